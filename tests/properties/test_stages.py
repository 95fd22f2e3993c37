"""The law that recovery rests on: a stage restored at any point goes on exactly as one that was never interrupted.

A log of chunks and control records is decided once in one life, and once in many: at random points the state goes through
bytes into a fresh stage, which is first handed the control records obeyed so far, as a task does.
"""

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import load_packs, parse_rule
from streams.chunk import Chunk, cut
from streams.detect import Detect
from streams.dispatch import Dispatch
from streams.regional import Regional
from streams.snapshots import publish
from streams.stage import ControlRecord, Outbox, Stage
from tests.acceptance.house import subject
from tests.acceptance.rules import HOT, MANY
from topics.arrays import pack, unpack
from topics.events import KINDS
from topics.keys import partition_of
from topics.records import CLUE, COMMAND, EXAMPLE, RULE, TICK
from topics.spans import Spans
from topics.wire import encode

NOW = 1_792_375_200_000
PARTITIONS = 4
LATENESS = dict.fromkeys(KINDS, 600_000)
SUBJECTS = [s for s in map(subject, range(80)) if partition_of(s.encode(), PARTITIONS) == 1][:8]
STARTERS = {
    "food-poisoning-cluster", "ecology-cod-hour", "market-complaint-surge", "food-complaints-then-failed", "fire-exit-blocked",
    "market-revoked-returns", "food-cold-store-warming", "market-prepaid-cluster",
}  # fmt: skip
BY_REGION = MANY.replace("test-many", "test-region").replace("within: 1h", "within: 1h, by: region")
BY_REGION = BY_REGION.replace("by: subject", "by: region").replace("n_1h >= 5", "n_1h >= 3")
METRICS = ("cold_store_temp", "cold_store_temp", "cod", "residual_current")
Item = Chunk | tuple[str, list[ControlRecord]]
Letters = list[tuple[str, bytes, bytes, int]]


@cache
def packs() -> list[ControlRecord]:
    """A few starter rules and some that fire often, as control records."""
    rules = [rule for rule in load_packs(Path(__file__).parents[2] / "rules" / "packs") if rule.id in STARTERS]
    rules += [parse_rule(text, "test") for text in (HOT, MANY, BY_REGION)]
    return [ControlRecord(i, rule.id.encode(), rule_record(rule.id, rule.text)) for i, rule in enumerate(rules)]


def rule_record(rule_id: str, text: str) -> bytes:
    record = {"rule_id": rule_id, "version": "1", "text": text, "actor": "t", "published_at": NOW}
    return encode(RULE, record)


def chunk_of_values(topic: str, start: int, at: Sequence[int], keys: Sequence[bytes], values: Sequence[bytes]) -> Chunk:
    n = len(values)
    offsets = np.arange(start, start + n)
    return Chunk(topic, 1, start, start + n, offsets, np.array(at, np.int64), Spans.of(keys), Spans.of(values))


def event(rng: random.Random, number: int, at: int) -> tuple[str, dict[str, Any]]:
    kind = rng.choice(["iot", "iot", "iot", "inspection", "complaint", "opinion", "video"])
    occurred = at - (rng.randrange(5_000_000) if rng.random() < 0.15 else rng.randrange(2000))
    base: dict[str, Any] = {
        "event_id": f"e{number if rng.random() > 0.05 else rng.randrange(max(1, number))}",
        "kind": kind,
        "sector": rng.choice(["food-drug", "fire", "ecology", "market"]),
        "subject": rng.choice(SUBJECTS),
        "subject_name": "某单位",
        "region": rng.choice(["320102", "320104"]),
        "chain": rng.choice([None, "chain:a"]),
        "occurred_at": occurred,
        "observed_at": occurred + rng.randrange(500),
        "source": "test",
    }
    own: dict[str, dict[str, Any]] = {
        "iot": {
            "device_id": f"d{rng.randrange(3)}",
            "metric": rng.choice(METRICS),
            "value": rng.choice([rng.gauss(4, 3), rng.gauss(400, 300), 1e17]),
        },
        "inspection": {
            "result": rng.choice(["pass", "fail"]),
            "violations": rng.randrange(9),
            "critical_violations": 1,
        },
        "complaint": {
            "complaint_type": "complaint",
            "category": rng.choice(["food-poisoning", "prepaid"]),
            "complainant": str(number),
            "text": "食物中毒 腹泻",
        },
        "opinion": {"channel": "forum", "text": "食物中毒 腹泻", "sentiment": -0.5},
        "video": {"device_id": "c1", "label": rng.choice(["rat", "smoke", "fire"]), "confidence": rng.random()},
    }
    return kind, base | own[kind]


def detect_log(rng: random.Random) -> list[Item]:
    """The starter rules, then chunks of all kinds; between them rules go and come back, and a model's snapshot is published."""
    log: list[Item] = [("rules", packs())]
    ends: dict[str, int] = {}
    number, at, control = 0, NOW, len(packs())
    for _ in range(rng.randrange(3, 14)):
        rows: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for _ in range(rng.randrange(1, 60)):
            at += rng.choice([0, 10, 60_000, 600_000])
            kind, one = event(rng, number, at)
            rows.setdefault(kind, []).append((at, one))
            number += 1
        for kind, found in rows.items():
            topic = f"events.{kind}"
            values = [encode(KINDS[kind].schema, one) if rng.random() > 0.02 else b"\0broken" for _, one in found]
            keys = [one["subject"].encode() for _, one in found]
            log.append(chunk_of_values(topic, ends.get(topic, 0), [t for t, _ in found], keys, values))
            ends[topic] = ends.get(topic, 0) + len(found)
        if rng.random() < 0.3:
            old = rng.choice(packs())
            log.append(("rules", [ControlRecord(control, old.key, rng.choice([None, old.value, b"nonsense"]))]))
            control += 1
        if rng.random() < 0.3:
            log.append(("lists", [ControlRecord(control, b"revoked/" + SUBJECTS[0].encode(), b"\0nonsense")]))
            control += 1
        if rng.random() < 0.3:
            records, control = snapshot_records(rng, control)
            half = rng.randrange(len(records) + 1)  # a transaction's records may come in two calls
            log += [("models", part) for part in (records[:half], records[half:]) if part]
    return log


def snapshot_records(rng: random.Random, control: int) -> tuple[list[ControlRecord], int]:
    regional, out = Regional(1, 4, LATENESS), Outbox()
    regional.step(example_chunk(rng, 0, 210), out)
    learner = next(iter(regional._learners.values()))
    out = Outbox()
    publish(out, "food-drug", "visit", str(control), control, learner.parameters())
    records = [ControlRecord(control + i, key, value) for i, (key, value, _) in enumerate(out.records["models"])]
    return [*records, ControlRecord(control + len(records), b"x", b"no part")], control + len(records) + 1


def example_chunk(rng: random.Random, start: int, n: int) -> Chunk:
    def one() -> bytes:
        features = json.dumps({"visits": rng.random(), "last_bad": rng.choice([None, 0.0, 1.0])})
        row = {
            "sector": "food-drug",
            "model": "visit",
            "label": float(rng.random() < 0.3),
            "weight": 1.0,
            "features": features,
        }
        return encode(EXAMPLE, row)

    return chunk_of_values("rekeyed", start, [NOW] * n, [b"sector:food-drug"] * n, [one() for _ in range(n)])


def regional_log(rng: random.Random) -> list[Item]:
    """Copies of events by region and chain, and examples."""
    log: list[Item] = [("rules", packs())]
    start, number, at = 0, 0, NOW
    for _ in range(rng.randrange(2, 12)):
        if rng.random() < 0.4:
            log.append(example_chunk(rng, start, rng.randrange(1, 300)))
            start = log[-1].end  # type: ignore[union-attr]
            continue
        keys, values, times = [], [], []
        for _ in range(rng.randrange(1, 80)):
            at += rng.choice([0, 10, 60_000])
            kind, one = event(rng, number, at)
            number += 1
            keys.append(rng.choice([f"region:{one['region']}", f"chain:{one['chain']}"]).encode())
            values.append(encode(KINDS[kind].schema, one) if rng.random() > 0.02 else b"\0broken")
            times.append(at)
        log.append(chunk_of_values("rekeyed", start, times, keys, values))
        start += len(values)
    return log


def dispatch_log(rng: random.Random) -> list[Item]:
    """Clues, commands on them by people who know and people who do not, and days going by."""
    log: list[Item] = []
    ends: dict[str, int] = {}
    at, known = NOW, ["nobody"]
    verbs = ["claim", "return", "transfer", "assist", "handle", "feedback", "close", "raise", "nonsense"]
    arguments = [
        {}, {"note": "x"}, {"to": "fire-rescue", "reason": "x"}, {"suggested": "education", "reason": "x"},
        {"to": ["fire-rescue"], "text": "x"}, {"verdict": "confirmed", "text": "x"}, {"verdict": "false-alarm", "text": "x"},
    ]  # fmt: skip
    for _ in range(rng.randrange(3, 25)):
        at += rng.choice([1000, 3_600_000, 5 * 86_400_000])
        topic = rng.choice(["clues", "commands", "commands", "ticks"])
        values = []
        for _ in range(rng.randrange(1, 8)):
            if topic == "clues":
                known.append(f"c{rng.randrange(40)}")
                values.append(encode(CLUE, clue(known[-1], at, rng)))
            elif topic == "ticks":
                values.append(encode(TICK, {"at": at}))
            else:
                command = {
                    "command_id": f"k{rng.randrange(500)}", "clue_id": rng.choice(known), "verb": rng.choice(verbs),
                    "actor": "li",
                    "department": rng.choice(["market-supervision", "fire-rescue"]), "issued_at": at,
                    "arguments": json.dumps(rng.choice(arguments)),
                }  # fmt: skip
                values.append(encode(COMMAND, command))
        start = ends.get(topic, 0)
        log.append(chunk_of_values(topic, start, [at] * len(values), [b"k"] * len(values), values))
        ends[topic] = start + len(values)
    return log


def clue(clue_id: str, at: int, rng: random.Random) -> dict[str, Any]:
    return {
        "clue_id": clue_id, "origin": "rule", "origin_id": "r", "origin_version": "1", "title": "t", "sector": "food-drug",
        "severity": rng.choice(["red", "orange", "yellow", "blue"]), "department": "market-supervision",
        "subject": SUBJECTS[0], "key": "k", "explanation": "e", "evidence": "[]", "values": "{}",
        "occurred_at": at, "raised_at": at,
    }  # fmt: skip


def detect() -> Stage:
    return Detect(1, PARTITIONS, LATENESS, 1024 * 1024)


def decide(stage: Stage, item: Item) -> Letters:
    if isinstance(item, tuple):
        stage.control(*item)
        return []
    out = Outbox()
    stage.step(item, out)
    stage.report(live=False)
    return [(topic, *record) for topic, records in out.records.items() for record in records]


def reborn(make: Callable[[], Stage], stage: Stage, obeyed: Sequence[Item]) -> Stage:
    """The stage as a new owner has it: control records first, topic by topic, then the state, through bytes."""
    arrays = unpack(pack(stage.snapshot()))
    fresh = make()
    for topic in fresh.controls:
        records = [record for item in obeyed if isinstance(item, tuple) and item[0] == topic for record in item[1]]
        if records:
            fresh.control(topic, records)
    fresh.restore(arrays)
    return fresh


STAGES = {
    "detect": (detect, detect_log),
    "regional": (lambda: Regional(1, 4, LATENESS), regional_log),
    "dispatch": (lambda: Dispatch(1), dispatch_log),
}


@pytest.mark.parametrize("name", STAGES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), often=st.floats(0, 1))
def test_a_stage_restored_at_any_point_goes_on_as_if_nothing_had_happened(name: str, seed: int, often: float) -> None:
    """Outputs are equal, byte for byte and in order."""
    make, log_of = STAGES[name]
    log = log_of(random.Random(seed))
    rng = random.Random(seed + 1)
    one, many = make(), make()
    for i, item in enumerate(log):
        assert decide(one, item) == decide(many, item), f"item {i}"
        if rng.random() < often:
            many = reborn(make, many, log[: i + 1])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_detect_decides_alike_however_a_chunk_is_cut(seed: int) -> None:
    """What is fetched together is chance: clues and copies do not depend on it."""
    log = detect_log(random.Random(seed))
    rng = random.Random(seed + 1)
    one, other = detect(), detect()
    for item in log:
        whole = sorted(decide(one, item))
        if isinstance(item, tuple) or len(item) == 1:
            parts = decide(other, item)
        else:
            edge = rng.randrange(1, len(item))
            parts = decide(other, cut(item, 0, edge)) + decide(other, cut(item, edge, len(item)))
        assert sorted(parts) == whole
