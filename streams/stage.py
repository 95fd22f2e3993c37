"""What a stage is: a pure decision over chunks, with state that can be saved. The task around it does all input and output.

A stage must be deterministic: the same chunks and control records in the same order give the same outbox and state, because
recovery replays them in silence.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy.typing as npt

from streams.chunk import Chunk
from topics.catalogue import EVENT_BYTES, TOPICS
from topics.fields import Schema
from topics.records import REJECTED
from topics.wire import encode

Arrays = dict[str, npt.NDArray[Any]]
MOST_KEY_BYTES: Final = 64 * 1024  # of a dead letter's raw key


class UnwritableError(ValueError):
    """An output that Kafka would refuse for ever: too large, or of a topic that the catalogue does not have."""


@dataclass(slots=True)
class Outbox:
    """What one batch writes, in order: topic -> [(key, value, partition or -1)]. Committed in one transaction."""

    records: dict[str, list[tuple[bytes, bytes, int]]] = field(default_factory=dict)

    def put(self, topic: str, key: bytes, value: bytes, partition: int = -1) -> None:
        """One record in the wire format."""
        self.records.setdefault(topic, []).append((key, value, partition))

    def put_many(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Records of one topic; keys and values of the same length."""
        self.records.setdefault(topic, []).extend((k, v, -1) for k, v in zip(keys, values, strict=True))

    def record(self, topic: str, schema: Schema, key: str, record: Mapping[str, Any]) -> None:
        """One record as a mapping."""
        self.put(topic, key.encode(), encode(schema, record))

    def reject(self, stage: str, chunk: Chunk, row: int, reason: str, detail: str = "") -> None:
        """A dead letter with the raw bytes of a chunk's row; what unfolded to more than a topic takes is cut."""
        offset = int(chunk.offsets[row])
        key, value = chunk.keys[row], chunk.values[row]
        if len(value or b"") > EVENT_BYTES or len(key or b"") > MOST_KEY_BYTES:
            detail = f"{detail} (cut from {len(key or b'')} + {len(value or b'')} bytes)".strip()
            key, value = key and key[:MOST_KEY_BYTES], value and value[:EVENT_BYTES]
        self.record(
            "rejected",
            REJECTED,
            f"{chunk.topic}/{chunk.partition}/{offset}",
            {
                "reason": reason,
                "detail": detail,
                "stage": stage,
                "topic": chunk.topic,
                "partition": chunk.partition,
                "offset": offset,
                "rejected_at": int(chunk.timestamps[row]),
                "key": key,
                "value": value,
            },
        )

    def counts(self) -> dict[str, int]:
        """Topic -> how many records there are so far."""
        return {topic: len(records) for topic, records in self.records.items()}

    def check(self, before: Mapping[str, int]) -> None:
        """Look at what was put since `before`. Raises UnwritableError: better now, for one row, than at every commit."""
        for topic, records in self.records.items():
            known = TOPICS.get(topic)
            if known is None:
                raise UnwritableError(f"no topic {topic}")
            fresh = itertools.islice(records, before.get(topic, 0), None)
            largest = max((len(key) + len(value) for key, value, _ in fresh), default=0)
            if largest > known.max_bytes:
                raise UnwritableError(f"{largest} bytes for {topic}")

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.records.values())


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One record of a control topic (rules, models, lists): offset, key, value (None: deleted)."""

    offset: int
    key: bytes
    value: bytes | None


class Stage(Protocol):
    """One stage of one partition: state and decisions."""

    name: str
    topics: tuple[str, ...]
    patient: tuple[str, ...]  # topics whose records come last: not before all that has arrived until now is there
    controls: tuple[str, ...]

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Decide a chunk: change the state, write to the outbox. Bad rows are rejected, never raised."""

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        """Obey control records, between two batches."""

    def snapshot(self) -> Arrays:
        """The whole state as arrays."""

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""

    def report(self, live: bool) -> None:
        """Update the metrics after a batch was committed (`live`) or replayed (what was counted is then dropped)."""
