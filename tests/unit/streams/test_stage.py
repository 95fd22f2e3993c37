"""What a stage may write: nothing that Kafka would refuse at every commit."""

import numpy as np
import pytest

from streams.chunk import Chunk
from streams.stage import Outbox, UnwritableError
from topics.catalogue import EVENT_BYTES, TOPICS
from topics.spans import Spans
from topics.wire import decode


def one(value: bytes | None, key: bytes | None = b"k") -> Chunk:
    at = np.array([5], np.int64)
    return Chunk("events.iot", 0, 5, 6, at, at, Spans.of([key]), Spans.of([value]))


def test_a_dead_letter_is_cut_to_what_its_topic_takes() -> None:
    """Eight KiB may unfold to hundreds of MiB; the letter keeps the beginning, and says how much there was."""
    out = Outbox()
    out.reject("intake", one(bytes(50 * 2**20), bytes(2**20)), 0, "too-large", "big")
    (key, value, _) = out.records["rejected"][0]
    letter = decode(value)[1]
    assert len(key) + len(value) <= TOPICS["rejected"].max_bytes
    assert letter["value"] == bytes(EVENT_BYTES)
    assert letter["detail"] == f"big (cut from {2**20} + {50 * 2**20} bytes)"
    out.check({})


def test_a_dead_letter_of_usual_size_is_whole() -> None:
    """Raw bytes, so that it can be mended and sent again; a tombstone stays one."""
    out = Outbox()
    out.reject("intake", one(b"x" * 1000), 0, "bad-json")
    out.reject("intake", one(None, None), 0, "null-value")
    first, second = (decode(value)[1] for _, value, _ in out.records["rejected"])
    assert (first["value"], first["detail"]) == (b"x" * 1000, "")
    assert (second["key"], second["value"]) == (None, None)


@pytest.mark.parametrize(("topic", "size"), [("clues", EVENT_BYTES + 1), ("no-such-topic", 1)])
def test_what_kafka_would_refuse_is_found_before_the_commit(topic: str, size: int) -> None:
    """Only what is new since a mark is looked at."""
    out = Outbox()
    out.put("clues", b"k", b"good")
    before = out.counts()
    out.put(topic, b"", bytes(size))
    with pytest.raises(UnwritableError):
        out.check(before)
