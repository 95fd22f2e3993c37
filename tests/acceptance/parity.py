"""A running house and a back-test of its archive, clue by clue. `python -m tests.acceptance.parity [EVENTS]` (default: a million)
does on a broker of its own what `test_backtest.py` does with fewer events."""

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.archive.verify import verify
from fengsui.backtest import Backtest, backtest
from fengsui.embedded import services
from fengsui.settings import Settings
from rules import parse_rule
from rules.judge import CAP_PER_HOUR
from tests.acceptance.house import House, open_house
from tests.acceptance.rules import CROWD, HOT, MANY
from tests.faults.load import load

PER_HOUR = 10_000  # events an hour of event time: the cap of clues an hour is reached by none
# What a live clue and one of a back-test have in common: all but the version of a rule that is not live yet.
ALIKE = (
    "clue_id", "origin", "origin_id", "sector", "severity", "department", "subject", "subject_name", "region", "key",
    "explanation", "values", "evidence", "occurred_at", "raised_at", "title",
)  # fmt: skip
AFTER = """
id: test-complaint-then-failed
title: 投诉后检查不合格
sector: food-drug
status: live
on: inspection
features:
  complaints_1h: {agg: count, within: 1h, where: "kind = 'complaint'"}
  hot_1h: {agg: max, of: value, within: 1h}
when: "result = 'fail' AND complaints_1h > 0"
severity: {yellow: "true", red: "hot_1h > 50"}
episode: {quiet: 1s}
department: market-supervision
explain: "{complaints_1h} {hot_1h:.1f}"
"""


def mixed(seed: int, events: int) -> list[dict[str, Any]]:
    """Readings, some late and some repeated; complaints and failed inspections of the same subjects; what intake refuses."""
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    for event in load(seed, events, max(2, events // PER_HOUR)):
        found.append(event)
        if rng.random() < 0.05:
            other = {k: v for k, v in event.items() if k not in ("device_id", "metric", "value")}
            own = rng.choice(
                [{"kind": "complaint", "complaint_type": "complaint"}, {"kind": "inspection", "result": "fail"}]
            )
            found.append(other | own | {"event_id": f"{event['event_id']}-{own['kind']}"})
        if rng.random() < 0.01:
            old = {"occurred_at": event["occurred_at"] - 2 * 3_600_000, "event_id": f"{event['event_id']}-late"}
            found.append(event | old)
        if rng.random() < 0.01:
            found.append(event | {"event_id": f"{event['event_id']}-bad", "subject": "uscc:91350100M000100Y40"})
    return found


def drafted(settings: Settings, texts: Sequence[str], threads: int) -> Backtest:
    """A back-test of rules on the house's archive."""
    rules = [parse_rule(text.replace("status: live", "status: draft"), "t") for text in texts]
    lateness = settings.allowed_lateness_ms
    return backtest(rules, settings.archive_dir, lateness=lateness, threads=threads, cap_per_hour=CAP_PER_HOUR)


def by_id(house: House, rules: Sequence[str]) -> dict[str, dict[str, object]]:
    """The live clues of these rules."""
    return {c["clue_id"]: {n: c[n] for n in ALIKE} for c in house.records("clues") if c["origin_id"] in rules}


@dataclass(frozen=True, slots=True)
class Parity:
    """Clues by id, of the stream and of back-tests on one core and on two: by subject, and by region."""

    events: int
    live: dict[str, dict[str, object]]
    crowds: dict[str, dict[str, object]]
    one: Backtest
    two: Backtest
    regional: Backtest

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return told(self.one) == told(self.two) == self.live and told(self.regional) == self.crowds


def told(found: Backtest) -> dict[str, dict[str, object]]:
    """What a back-test says, as `by_id` says it of the stream."""
    return {clue["clue_id"]: {name: clue[name] for name in ALIKE} for clue in found.clues.to_dicts()}


def compared(settings: Settings, events: int) -> Parity:
    """Feed a house, let it settle, archive all of it, and judge the archive."""
    texts = [HOT, MANY, AFTER]
    with open_house(settings, [*texts, CROWD]) as house:
        fed = mixed(5, events)
        for first in range(0, len(fed), 2_000):
            house.send(fed[first : first + 2_000])
        house.settle(120 + events / 1_000)
        assert verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=60 + events / 5_000).ok
        live = by_id(house, ["test-hot", "test-many", "test-complaint-then-failed"])
        crowds = by_id(house, ["test-crowd"])
    one, two = drafted(settings, texts, 1), drafted(settings, texts, 2)
    return Parity(len(fed), live, crowds, one, two, drafted(settings, [CROWD], 2))


def main(events: int) -> None:
    """From a shell."""
    with (
        tempfile.TemporaryDirectory(prefix="fengsui-parity-") as folder,
        services(Settings(data_dir=Path(folder))) as running,
    ):
        began = time.monotonic()
        given = running.settings.model_copy(update={"topic_prefix": "parity.", "archive_dir": Path(folder) / "archive"})
        found = compared(given, events)
        late, by_region = sum(found.one.late.values()), len(found.crowds)
        sys.stdout.write(
            f"events {found.events} (too late {late}), clues {len(found.live)} and by region {by_region}, "
            f"{'the same' if found.same else 'NOT the same'}, {time.monotonic() - began:.0f} s\n"
        )
        raise SystemExit(not found.same)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
