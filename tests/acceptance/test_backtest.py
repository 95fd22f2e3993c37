"""The back-test raises what the live stream raised: on the archive of a running house, clue by clue."""

import random
from collections.abc import Sequence

import pytest

from connectors.archive.verify import verify
from fengsui.backtest import Backtest, backtest
from fengsui.settings import Settings
from rules import parse_rule
from tests.acceptance.house import House, open_house
from tests.acceptance.rules import CROWD, HOT, MANY
from tests.faults.load import load

pytestmark = pytest.mark.broker
EVENTS = 20_000
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


def mixed(seed: int, events: int) -> list[dict[str, object]]:
    """Readings, some late and some repeated; complaints and failed inspections of the same subjects; what intake refuses."""
    rng = random.Random(seed)
    found: list[dict[str, object]] = []
    for event in load(seed, events):
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


def drafted(settings: Settings, texts: Sequence[str], processes: int) -> Backtest:
    """A back-test of rules on the house's archive."""
    rules = [parse_rule(text.replace("status: live", "status: draft"), "t") for text in texts]
    return backtest(rules, settings.archive_dir, lateness=settings.allowed_lateness_ms, processes=processes)


def by_id(house: House, rules: Sequence[str]) -> dict[str, dict[str, object]]:
    """The live clues of these rules."""
    return {c["clue_id"]: {n: c[n] for n in ALIKE} for c in house.records("clues") if c["origin_id"] in rules}


def test_a_backtest_raises_what_the_stream_raised(settings: Settings) -> None:
    """By subject, across kinds, with late, repeated and refused events, on one core and on two; and by region, though copies of
    events from several partitions met in an order of their own."""
    texts = [HOT, MANY, AFTER]
    with open_house(settings, [*texts, CROWD]) as house:
        events = mixed(5, EVENTS)
        for first in range(0, len(events), 2_000):
            house.send(events[first : first + 2_000])
        house.settle(120)
        assert verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=60).ok
        live = by_id(house, ["test-hot", "test-many", "test-complaint-then-failed"])
        crowds = by_id(house, ["test-crowd"])
    one, two = drafted(settings, texts, 1), drafted(settings, texts, 2)
    assert {c["clue_id"]: {n: c[n] for n in ALIKE} for c in one.clues.to_dicts()} == live
    assert len({c["origin_id"] for c in live.values()}) == 3
    assert one.clues.equals(two.clues)
    assert one.suppressed == two.suppressed
    assert one.late["iot"] > 0
    regional = drafted(settings, [CROWD], 2)
    assert {c["clue_id"]: {n: c[n] for n in ALIKE} for c in regional.clues.to_dicts()} == crowds
    assert len(crowds) > 10
