"""What a stage is: a pure decision over chunks, with state that can be saved. The task around it does all input and output.

A stage must be deterministic: the same chunks and control records in the same order give the same outbox and state, because
recovery replays them in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt

from streams.chunk import Chunk
from topics.fields import Schema
from topics.records import REJECTED
from topics.wire import encode

Arrays = dict[str, npt.NDArray[Any]]


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
        """A dead letter with the raw bytes of a chunk's row."""
        offset = int(chunk.offsets[row])
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
                "key": chunk.keys[row],
                "value": chunk.values[row],
            },
        )

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
