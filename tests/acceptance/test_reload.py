"""Rules change under load: each event is judged by exactly one version, all workers switch within two seconds, nothing is lost,
nothing twice, and windows go on counting. Going back is publishing the former version."""

import json
import os
import random
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.admin import ensure_topics
from fengsui.obeyed import await_obeyed
from fengsui.publishing import publish
from fengsui.settings import Settings
from rules import parse_rule
from tests.acceptance.house import House, now_ms, open_house, reading
from tests.acceptance.rules import KEPT

pytestmark = pytest.mark.broker
RELOADS = 20
EVENTS = 30_000
BATCH = 1_500
SUBJECTS = 60
SPAN_MS = 100 * 3_600_000  # of event time, so that no hour has more clues than a rule may raise
SWITCH_MS = 2_000


def version(number: int) -> str:
    """The rule in its n-th version: what it says and how grave it is are others."""
    text = KEPT.replace("within: 1d", "within: 10d")
    text = text.replace("{subject_name} {value:.1f} ℃", f"v{number} {{n_1d:d}}")
    return text.replace("severity: orange", f"severity: {('orange', 'red')[number % 2]}")


@dataclass(frozen=True, slots=True)
class Published:
    """A version, and when it was acknowledged, ms UTC."""

    version: str
    acknowledged: int


def put(settings: Settings, number: int) -> Published:
    """Publish the n-th version."""
    text = version(number)
    rule = parse_rule(text, "test")
    publish(settings, [(rule, text)], "test")
    return Published(rule.version, now_ms())


def events() -> list[dict[str, Any]]:
    """Readings of sixty subjects in order of time, one in ten hot."""
    rng = random.Random(11)
    base, found = now_ms() - SPAN_MS - 60_000, []
    for i in range(EVENTS):
        at, value = base + i * SPAN_MS // EVENTS, 60.0 if rng.random() < 0.1 else 4.0
        found.append(reading(rng.randrange(SUBJECTS), value, event_id=f"e{i}", occurred_at=at, observed_at=at))
    return found


def ordinals(sent: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Event id of the hot ones -> the how many-th event of its subject it is."""
    seen: dict[str, int] = {}
    found = {}
    for one in sent:
        seen[one["subject"]] = seen.get(one["subject"], 0) + 1
        if one["value"] > 50:
            found[one["event_id"]] = seen[one["subject"]]
    return found


def changed_under_load(house: House, sent: Sequence[dict[str, Any]], kill: bool) -> list[Published]:
    """Feed all of it at a steady pace while twenty versions follow each other; in the middle a worker is killed, or not."""
    done: list[Published] = []
    pause, ended = threading.Event(), threading.Event()

    def change() -> None:
        for number in range(1, RELOADS + 1):
            pause.wait(0.8)
            done.append(put(house.settings, number))
            if kill and number == RELOADS // 2:
                os.kill(house.crew.pids[0], signal.SIGKILL)
        ended.set()

    changer = threading.Thread(target=change)
    changer.start()
    for first in range(0, len(sent), BATCH):
        house.send(sent[first : first + BATCH], seconds=60)
        pause.wait(16 / (len(sent) / BATCH))
    changer.join(120)
    assert ended.is_set()
    return done


@pytest.mark.parametrize("kill", [False, True])
def test_every_event_is_judged_by_one_version(settings: Settings, kill: bool) -> None:
    """Twenty reloads at two workers under load. With a worker killed in between, all of this holds but the two seconds."""
    sent = events()
    hot = ordinals(sent)
    with open_house(settings, [version(0)], workers=2) as house:
        first = parse_rule(version(0), "test").version
        done = changed_under_load(house, sent, kill)
        house.settle(120)
        clues = house.records("clues")
        # Back to the version before the last: the same text, the same version, in force again.
        again = put(settings, RELOADS - 1)
        assert await_obeyed(settings, "rules", 10)[1] == []
        probes = [reading(n, 60.0) for n in range(SUBJECTS)]
        house.send(probes)
        house.settle(60)
        after = [clue for clue in house.records("clues") if clue not in clues]
    order = [first, *(one.version for one in done)]
    assert len(set(order)) == RELOADS + 1
    number = {name: i for i, name in enumerate(order)}
    # One clue an event: none lost, none twice.
    assert sorted(evidence(clue)["event_id"] for clue in clues) == sorted(hot)
    for clue in clues:
        i, n = number[clue["origin_version"]], hot[evidence(clue)["event_id"]]
        assert clue["explanation"] == f"v{i} {n}"  # the words, the grade and the windows of that version
        assert clue["severity"] == ("orange", "red")[i % 2]
    for partition in range(settings.partitions):
        mine = sorted((c for c in clues if evidence(c)["partition"] == partition), key=lambda c: evidence(c)["offset"])
        judged = [number[clue["origin_version"]] for clue in mine]
        assert judged == sorted(judged), f"partition {partition} went back to an older version"
    assert len({number[clue["origin_version"]] for clue in clues}) > RELOADS // 2
    assert {evidence(clue)["event_id"] for clue in after} == {one["event_id"] for one in probes}
    assert {clue["origin_version"] for clue in after} == {again.version} == {order[RELOADS - 1]}
    if not kill:
        slowest = max(
            clue["raised_at"] - done[i].acknowledged
            for clue in clues
            if (i := number[clue["origin_version"]]) < RELOADS  # done[i] is the version after it
        )
        assert slowest < SWITCH_MS, f"an old version still judged what came {slowest} ms after the next one"


def evidence(clue: dict[str, Any]) -> dict[str, Any]:
    """Where the event of a clue stands."""
    found: dict[str, Any] = json.loads(clue["evidence"])[0]
    return found


def test_whoever_publishes_hears_when_workers_obey(settings: Settings) -> None:
    """All partitions are behind while nobody works, none with a worker; what comes next is judged by what was published."""
    ensure_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions, 1)
    put(settings, 0)
    assert await_obeyed(settings, "rules", 0.2)[1] == list(range(settings.partitions))
    with open_house(settings, []) as house:
        assert await_obeyed(settings, "rules", 30)[1] == []
        newer = put(settings, 1)
        took, behind = await_obeyed(settings, "rules", 10)
        assert (behind, took < 10) == ([], True)
        house.send([reading(1, 60.0)])
        house.settle()
        assert [clue["origin_version"] for clue in house.records("clues")] == [newer.version]
