"""Intake: every record of a chunk is judged, refused with a named reason, dropped as a repeat, or sent to its own partition."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from streams.chunk import Chunk
from streams.intake import Intake
from streams.stage import Outbox
from topics.events import KINDS
from topics.keys import partition_of
from topics.spans import Spans
from topics.wire import decode, encode

NOW = 1_790_000_000_000
SUBJECT = "uscc:91350100M000100Y43"
PARTITIONS = 4
HOME = partition_of(SUBJECT.encode(), PARTITIONS)
MOST = 1024 * 1024


def event(**changes: Any) -> dict[str, Any]:
    """A good sensor reading."""
    return {
        "event_id": "e1", "kind": "iot", "sector": "food-drug", "subject": SUBJECT, "region": "320102",
        "occurred_at": NOW - 1000, "observed_at": NOW - 500, "source": "test", "device_id": "d1",
        "metric": "cold_store_temp", "value": 4.5,
    } | changes  # fmt: skip


def avro(**changes: Any) -> bytes:
    """The same in the wire format."""
    return encode(KINDS["iot"].schema, event(**changes))


def as_json(**changes: Any) -> bytes:
    """The same as JSON."""
    return json.dumps(event(**changes)).encode()


def take(values: list[bytes | None], partition: int = HOME) -> tuple[list[str], dict[int, str], Outbox, Intake]:
    """(ids of good events, offset -> reason, outbox, intake) of one chunk."""
    n = len(values)
    chunk = Chunk(
        "events.iot", partition, 0, n, np.arange(n), np.full(n, NOW, np.int64), Spans.of([b"k"] * n), Spans.of(values)
    )
    out, intake = Outbox(), Intake(PARTITIONS, MOST)
    frame = intake.take(chunk, out)
    letters = [decode(value)[1] for _, value, _ in out.records.get("rejected", [])]
    for letter in letters:
        assert letter["value"] == values[letter["offset"]]
        assert letter["topic"] == "events.iot"
    return frame["event_id"].to_list(), {x["offset"]: x["reason"] for x in letters}, out, intake


BAD: list[tuple[str, bytes | None]] = [
    ("broken-avro", avro()[:30]),
    ("unknown-schema", b"\0\0\0\xff\xff" + avro()[5:]),
    ("bad-json", as_json()[:40]),
    ("bad-utf8", as_json().replace(b"test", b"\xff\xfe")),
    ("bad-utf8", avro().replace(b"test", b"\xff\xfe\xff\xfe")),
    ("wrong-kind", as_json(kind="weather")),
    ("unknown-format", b"hello"),
    ("bad-uscc", avro(subject="uscc:91350100M000100Y4Z")),
    ("bad-subject", avro(subject="somebody")),
    ("not-finite", avro(value=float("nan"))),
    ("not-finite", avro(value=float("inf"))),
    ("bad-json", as_json().replace(b"4.5", b"NaN")),
    ("time-too-old", avro(occurred_at=0)),
    ("time-in-future", avro(observed_at=4_102_444_800_000)),
    ("empty-value", b""),
    ("null-value", None),
    ("too-large", as_json(source="x" * 2 * MOST)),
    ("unknown-sector", avro(sector="space")),
    ("bad-region", avro(region="990101")),
    ("missing-field", as_json(device_id=None)),
    ("missing-field", avro(device_id="")),
    ("bad-type", as_json(value="warm")),
    ("bad-type", as_json(value=10**400)),
    ("bad-json", b"[" * 100_000),
]


@pytest.mark.parametrize(("reason", "value"), BAD, ids=[f"{i}-{reason}" for i, (reason, _) in enumerate(BAD)])
def test_a_bad_record_is_refused_with_its_reason_and_the_good_around_it_go_on(reason: str, value: bytes | None) -> None:
    """The raw bytes stand in the dead letter; neighbours are not touched."""
    ids, refused, _, intake = take([avro(event_id="a"), value, avro(event_id="b")])
    assert ids == ["a", "b"]
    assert refused == {1: reason}
    assert intake.take_counts() == Counter({("rejected", reason): 1})


def test_all_bad_at_once() -> None:
    """A chunk with every fault between good records loses none and refuses each once."""
    values = [v for i, (_, bad) in enumerate(BAD) for v in (avro(event_id=f"good-{i}"), bad)]
    ids, refused, _, _ = take(values)
    assert ids == [f"good-{i}" for i in range(len(BAD))]
    assert refused == {2 * i + 1: reason for i, (reason, _) in enumerate(BAD)}


def test_repeats_are_dropped_and_counted() -> None:
    """The first of a repeated id goes on, in whatever form it comes."""
    ids, refused, _, intake = take([avro(event_id="a"), as_json(event_id="a"), avro(event_id="b"), avro(event_id="a")])
    assert ids == ["a", "b"]
    assert not refused
    assert intake.take_counts() == Counter({("duplicates", "iot"): 2})


def test_a_dirty_credit_code_is_cleaned_and_its_event_sent_to_its_own_partition() -> None:
    """An event keyed by a dirty code lands elsewhere; it is judged where all events of its subject are."""
    elsewhere = (HOME + 1) % PARTITIONS
    dirty = avro(event_id="d", subject="uscc:统一社会信用代码：91350100m000100y43(1/1)")
    ids, refused, out, intake = take([dirty], partition=elsewhere)
    assert ids == []
    assert not refused
    [(key, value, _)] = out.records["events.iot"]
    assert key == SUBJECT.encode()
    assert decode(value)[1]["subject"] == SUBJECT
    assert intake.take_counts() == Counter({("rerouted", "iot"): 1})
    assert take([value])[0] == ["d"]
