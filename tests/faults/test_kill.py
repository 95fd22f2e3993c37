"""kill -9 in mid-stream: every expected clue once, none twice, as an offline pass over the same log gives them."""

import os
import random
import signal
import threading
from collections import Counter
from typing import Any

import polars as pl
import pytest

from connectors.archive.reading import Reader, ranges
from fengsui.settings import Settings
from rules import Judge, parse_rule
from tests.acceptance.house import House, open_house, reading, wait_until
from tests.acceptance.rules import HOT, MANY
from topics.columns import decode_chunk
from topics.events import KINDS

pytestmark = [pytest.mark.faults, pytest.mark.broker]
EVENTS, KILLS, SUBJECTS = 40_000, 3, 400


def load(seed: int) -> list[dict[str, Any]]:
    """Readings of 400 subjects over two hours, some late, some repeated, one in fifty hot."""
    rng = random.Random(seed)
    base = reading(0, 0.0)["occurred_at"] - 2 * 3_600_000
    events = []
    for i in range(EVENTS):
        at = base + i * 7_200_000 // EVENTS - (rng.randrange(300_000) if rng.random() < 0.03 else 0)
        value = 60.0 if rng.random() < 0.02 else round(rng.gauss(4, 2), 2)
        number = min(int(rng.expovariate(1 / 120)), SUBJECTS - 1)
        events.append(reading(number, value, event_id=f"e{i}", occurred_at=at, observed_at=at))
        if rng.random() < 0.01:
            events.append(events[-1])
    return events


def reference(settings: Settings) -> list[str]:
    """Clue ids by one pass over the log of each partition."""
    prefix, expected = settings.topic_prefix, []
    wanted = ranges(settings.kafka_client(), prefix, ["events.iot"])["events.iot"]
    judges = {
        p: Judge(
            [parse_rule(text, "test") for text in (HOT, MANY)], scope="subject", lateness=settings.allowed_lateness_ms
        )
        for p in wanted
    }
    seen: set[str] = set()
    with Reader(settings.kafka_client()) as reader:
        for stretch in reader.read(prefix + "events.iot", wanted):
            frame = decode_chunk(KINDS["iot"], [r.value for r in stretch.records]).frame.with_columns(
                pl.Series("_offset", [r.offset for r in stretch.records]),
                pl.Series("_ts", [r.timestamp for r in stretch.records]),
            )
            fresh = [not (i in seen or seen.add(i)) for i in frame["event_id"].to_list()]  # type: ignore[func-returns-value]
            clues = judges[stretch.partition].judge(
                "iot", frame.filter(pl.Series(fresh)), topic="events.iot", partition=stretch.partition
            )
            expected += clues["clue_id"].to_list()
    return expected


def _wait_for_more_clues(house: House) -> None:
    before = len(house.records("clues"))
    wait_until(lambda: len(house.records("clues")) > before, 60, "clues going on")


def _kill(house: House, victim: int) -> None:
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in house.crew.pids, 30, "a new worker")


def kill_now_and_then(house: House, kills: int, rng: random.Random) -> None:
    """kill -9 the worker itself (not its launcher), each time in mid-stream, and await its successor."""
    for _ in range(kills):
        _wait_for_more_clues(house)
        _kill(house, rng.choice(house.crew.pids))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_clue_once_and_none_twice_through_kills(settings: Settings, workers: int) -> None:
    """Clues of a read-committed reader equal those of an offline pass over the same log."""
    rng = random.Random(workers)
    settings = settings.model_copy(update={"checkpoint_seconds": 1.0})
    with open_house(settings, [HOT, MANY], workers) as house:
        events = load(workers)

        def feed() -> None:
            pause = threading.Event()
            for first in range(0, len(events), 500):
                house.send(events[first : first + 500])
                pause.wait(0.25)  # a steady stream, so that kills land in its middle

        feeder = threading.Thread(target=feed)
        feeder.start()
        kill_now_and_then(house, KILLS, rng)
        feeder.join()
        house.crew.wait_ready()
        house.settle(120)
        got = Counter(clue["clue_id"] for clue in house.records("clues"))
        expected = reference(settings)
    assert len(expected) > 1000
    assert set(got) == set(expected)
    assert max(got.values()) == 1
