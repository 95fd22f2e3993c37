"""What Kafka remembers of a task: its last progress record, its newest checkpoint, and the slices to replay since.

Progress and checkpoints have one partition for each (stage, partition number), so that a task's last record is at the end of
its own partition.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from streams.chunk import Chunk, chunk_of
from topics.catalogue import PROGRESS_STAGES
from topics.records import BLOB, PROGRESS
from topics.wire import decode, encode

PART_BYTES: Final = 512 * 1024
_LOOK_BACK: Final = 32
_POLL_SECONDS: Final = 1.0
_OUT_OF_PATIENCE: Final = 60  # polls without a record before a read gives up: the broker is gone


class LedgerUnreachableError(Exception):
    """Kafka did not answer in time; try again."""


class LedgerLostError(Exception):
    """A checkpoint or slice that progress points to is no longer in Kafka: silent recovery would be wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint lies: after batch `seq`, offsets [first, end) of `checkpoints`, `progress` = next progress offset."""

    seq: int
    first: int
    end: int
    progress: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What one transaction covered, and where the task stands after it."""

    seq: int = 0
    slices: list[tuple[str, int, int]] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    controls: dict[str, int] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    def encode(self, task: str) -> bytes:
        """The wire value."""
        c = self.checkpoint
        return encode(
            PROGRESS,
            {
                "task": task,
                "seq": self.seq,
                "slices": json.dumps(self.slices),
                "ends": json.dumps(self.ends),
                "controls": json.dumps(self.controls),
                "checkpoint": json.dumps([c.seq, c.first, c.end, c.progress] if c else None),
            },
        )


def progress_of(value: bytes) -> Progress:
    """The progress of a wire value."""
    record = decode(value)[1]
    checkpoint = json.loads(record["checkpoint"])
    return Progress(
        record["seq"],
        [(topic, first, end) for topic, first, end in json.loads(record["slices"])],
        json.loads(record["ends"]),
        json.loads(record["controls"]),
        Checkpoint(*checkpoint) if checkpoint else None,
    )


def ledger_partition(stage: str, partition: int, count: int) -> int:
    """The partition of `progress` and `checkpoints` that a task writes."""
    return PROGRESS_STAGES.index(stage) * count + partition


class Ledger:
    """Reads of one task. Opens a consumer for a read and closes it: recovery is rare."""

    def __init__(self, client: dict[str, Any], prefix: str, partition: int) -> None:
        self._client = client
        self._prefix = prefix
        self._partition = partition

    def last(self) -> Progress:
        """The newest committed progress; an empty one for a new task."""
        with _Reader(self._client) as reader:
            low, high = reader.ends(self._prefix + "progress", self._partition)
            back = _LOOK_BACK
            while high > low:
                start = max(low, high - back)
                values = [m.value() for m in reader.read(self._prefix + "progress", self._partition, start, high)]
                if values:
                    return progress_of(values[-1])
                if start == low:
                    break
                back *= 8
        return Progress()

    def since(self, checkpoint: Checkpoint | None) -> Iterator[Progress]:
        """Progress records after a checkpoint (all of them without one), in order."""
        topic, after = self._prefix + "progress", checkpoint.seq if checkpoint else 0
        with _Reader(self._client) as reader:
            low, high = reader.ends(topic, self._partition)
            start = max(low, checkpoint.progress) if checkpoint else low
            for message in reader.read(topic, self._partition, start, high):
                progress = progress_of(message.value())
                if progress.seq > after:
                    yield progress

    def checkpoint(self, where: Checkpoint) -> bytes:
        """The bytes of a checkpoint. Raises LedgerLostError."""
        with _Reader(self._client) as reader:
            topic = self._prefix + "checkpoints"
            rows = [decode(m.value())[1] for m in reader.read(topic, self._partition, where.first, where.end)]
        rows = [row for row in rows if json.loads(row["meta"])["seq"] == where.seq]
        if not rows or len(rows) != rows[0]["parts"]:
            raise LedgerLostError(f"checkpoint {where} is incomplete: {len(rows)} parts")
        return b"".join(row["body"] for row in sorted(rows, key=lambda row: int(row["part"])))

    def slice(self, topic: str, partition: int, first: int, end: int) -> Chunk | None:
        """The committed records with first <= offset < end; None when there are none. Raises LedgerLostError."""
        with _Reader(self._client) as reader:
            low, _ = reader.ends(self._prefix + topic, partition)
            if low > first:
                raise LedgerLostError(f"{topic}/{partition} begins at {low}, replay needs {first}")
            rows = [_Row(m) for m in reader.read(self._prefix + topic, partition, first, end)]
        if not rows:
            return None
        chunk = chunk_of(topic, partition, first, rows)
        return Chunk(topic, partition, first, end, chunk.offsets, chunk.timestamps, chunk.keys, chunk.values)


def blobs(name: str, seq: int, body: bytes) -> list[tuple[bytes, bytes]]:
    """(key, value) records of a checkpoint or snapshot, cut into parts of half a MiB."""
    parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)] or [b""]
    meta = json.dumps({"seq": seq})
    return [
        (
            f"{name}/{i}".encode(),
            encode(BLOB, {"name": name, "part": i, "parts": len(parts), "meta": meta, "body": part}),
        )
        for i, part in enumerate(parts)
    ]


class _Row:
    __slots__ = ("key", "offset", "timestamp", "value")

    def __init__(self, message: Message) -> None:
        self.offset: int = message.offset() or 0
        self.timestamp: int = message.timestamp()[1]
        self.key = message.key()
        self.value = message.value()


class _Reader:
    """A read-committed consumer outside any group."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._consumer = Consumer(
            client
            | {
                "group.id": "fengsui-ledger",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 4 * 1024 * 1024,
            }
        )

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """Log start and last stable offset."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        return int(low), int(high)

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[Message]:
        """Committed records with first <= offset < end, until the end of the partition at most."""
        if first >= end:
            return
        self._consumer.assign([TopicPartition(topic, partition, first if first > 0 else OFFSET_BEGINNING)])
        idle = 0
        while idle < _OUT_OF_PATIENCE:
            messages = self._consumer.consume(10_000, _POLL_SECONDS)
            idle = 0 if messages else idle + 1
            for message in messages:
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return
                if error is not None:
                    raise LedgerUnreachableError(str(error))
                if message.offset() >= end:
                    return
                yield message
        raise LedgerUnreachableError(f"{topic}/{partition}: no answer")
