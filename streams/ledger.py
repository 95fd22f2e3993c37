"""What Kafka remembers of a task: its last progress record, its newest checkpoint, and the slices to replay since.

Progress and checkpoints have one partition for each (stage, partition number), so that a task's last record is at the end of
its own partition.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.chunk import Chunk, chunk_of
from streams.pulse import Pulse
from topics.catalogue import PROGRESS_STAGES
from topics.records import BLOB, PROGRESS
from topics.wire import decode, encode

PART_BYTES: Final = 512 * 1024
_LOOK_BACK: Final = 32
_POLL_SECONDS: Final = 0.02
_OUT_OF_PATIENCE: Final = 30.0  # seconds without a record or an end before a read gives up: the broker is gone
_ENDS_SECONDS: Final = 10.0
_NO_END: Final = 2**62
OWN: Final = ("progress", "checkpoints")  # topics of which a task has a partition of its own


class LedgerUnreachableError(Exception):
    """Kafka did not answer in time; try again."""


class LedgerLostError(Exception):
    """A checkpoint or slice that progress points to is no longer in Kafka: silent recovery would be wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint lies: after batch `seq`, offsets [first, end) of `checkpoints`, `progress` = next progress offset.

    `slot`: two sets of keys take turns, so that the cleaner keeps this one while the next is being written.
    """

    seq: int
    first: int
    end: int
    progress: int
    slot: int = 0


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
                "checkpoint": json.dumps([c.seq, c.first, c.end, c.progress, c.slot] if c else None),
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


class Row:
    """A record with the attributes that `chunk_of` reads."""

    __slots__ = ("key", "offset", "timestamp", "value")

    def __init__(self, message: Message) -> None:
        self.offset: int = message.offset() or 0
        self.timestamp: int = message.timestamp()[1]
        self.key = message.key()
        self.value = message.value()


class Ledger:
    """Reads of one task. The consumer is opened by the first read and closed by `close`, once the task is live."""

    def __init__(self, client: dict[str, Any], prefix: str, partition: int, pulse: Pulse | None = None) -> None:
        self._pulse = pulse or Pulse()
        self._client = client
        self._prefix = prefix
        self._partition = partition
        self._open: _Reader | None = None

    @property
    def _reader(self) -> "_Reader":
        if self._open is None:
            self._open = _Reader(self._client, self._pulse)
        return self._open

    def close(self) -> None:
        """Let go of the consumer."""
        reader, self._open = self._open, None
        if reader is not None:
            reader.close()

    def last(self) -> Progress:
        """The newest committed progress; an empty one for a new task."""
        topic = self._prefix + "progress"
        low, high = self._reader.ends(topic, self._partition)
        back = _LOOK_BACK
        while high > low:
            start = max(low, high - back)
            values = [m.value() or b"" for m in self._reader.read(topic, self._partition, start, high)]
            if values:
                return progress_of(values[-1])
            if start == low:
                break
            back *= 8
        return Progress()

    def unfinished(self) -> bool:
        """Whether a transaction is open in the task's own partitions, which nobody else writes to."""
        everything = _Reader(self._client, self._pulse, "read_uncommitted")
        try:
            ends = {topic: everything.ends(self._prefix + topic, self._partition)[1] for topic in OWN}
        finally:
            everything.close()
        return any(self._reader.ends(self._prefix + topic, self._partition)[1] < end for topic, end in ends.items())

    def since(self, progress: Progress) -> list[Progress]:
        """The progress record of every batch after its checkpoint, in order. Raises LedgerLostError where one lacks."""
        checkpoint = progress.checkpoint
        topic, after = self._prefix + "progress", checkpoint.seq if checkpoint else 0
        if progress.seq == after:
            return []
        low, high = self._reader.ends(topic, self._partition)
        start = max(low, checkpoint.progress) if checkpoint else low
        records = [progress_of(m.value() or b"") for m in self._reader.read(topic, self._partition, start, high)]
        # The record that points to a later checkpoint repeats the seq of the batch before it: the first one counts.
        firsts = {one.seq: one for one in reversed(records)}
        batches = [firsts[seq] for seq in sorted(firsts) if seq > after]
        if [one.seq for one in batches] != list(range(after + 1, progress.seq + 1)):
            raise LedgerLostError(f"batches {after + 1} to {progress.seq}: {len(batches)} progress records")
        return batches

    def checkpoint(self, where: Checkpoint) -> bytes:
        """The bytes of a checkpoint. Raises LedgerLostError."""
        messages = self._reader.read(self._prefix + "checkpoints", self._partition, where.first, where.end)
        rows = [
            row
            for row in (decode(m.value() or b"")[1] for m in messages)
            if json.loads(row["meta"])["seq"] == where.seq
        ]
        if not rows or len(rows) != rows[0]["parts"]:
            raise LedgerLostError(f"checkpoint {where} is incomplete: {len(rows)} parts")
        return b"".join(row["body"] for row in sorted(rows, key=lambda row: int(row["part"])))

    def rows(self, topic: str, partition: int, first: int, end: int) -> list[Row]:
        """The committed records with first <= offset < end of a topic (its full name)."""
        return [Row(m) for m in self._reader.read(topic, partition, first, end)]

    def replay(self, partition: int, firsts: Mapping[str, int]) -> "Replay":
        """Reads topic after topic from `firsts` on, each once, in order. Raises LedgerLostError when that is gone."""
        for topic, first in firsts.items():
            low, _ = self._reader.ends(self._prefix + topic, partition)
            if low > first:
                raise LedgerLostError(f"{topic}/{partition} begins at {low}, replay needs {first}")
        return Replay(self._client, self._prefix, partition, firsts, self._pulse)


class Replay:
    """Slices of the input topics, read again in the order in which they were decided."""

    def __init__(
        self, client: dict[str, Any], prefix: str, partition: int, firsts: Mapping[str, int], pulse: Pulse
    ) -> None:
        self._readers = {topic: _Reader(client, pulse) for topic in firsts}
        self._partition = partition
        self._records = {
            topic: _peekable(reader.read(prefix + topic, partition, firsts[topic], _NO_END))
            for topic, reader in self._readers.items()
        }

    def slice(self, topic: str, first: int, end: int) -> Chunk | None:
        """The committed records with first <= offset < end; None when there are none."""
        rows = [Row(m) for m in self._records[topic].until(end) if (m.offset() or 0) >= first]
        return replace(chunk_of(topic, self._partition, first, rows), end=end) if rows else None

    def close(self) -> None:
        """Close the consumers."""
        for reader in self._readers.values():
            reader.close()


class _peekable:  # noqa: N801 - an iterator, named like itertools' own
    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        self._next: Message | None = None

    def until(self, end: int) -> Iterator[Message]:
        while True:
            message = self._next if self._next is not None else next(self._messages, None)  # one without value is false
            self._next = None
            if message is None:
                return
            if (message.offset() or 0) >= end:
                self._next = message
                return
            yield message


def blobs(name: str, told: Mapping[str, Any], body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) records of a checkpoint or model snapshot, cut into parts of half a MiB; each carries `told`."""
    count = max(1, -(-len(body) // PART_BYTES))
    meta = json.dumps(told)
    for i in range(count):
        part = body[i * PART_BYTES : (i + 1) * PART_BYTES]
        yield (
            f"{name}/{i}".encode(),
            encode(BLOB, {"name": name, "part": i, "parts": count, "meta": meta, "body": part}),
        )


class _Reader:
    """A consumer outside any group, of committed records unless told otherwise."""

    def __init__(self, client: dict[str, Any], pulse: Pulse, isolation: str = "read_committed") -> None:
        self._pulse = pulse
        pulse.beat()
        self._known: set[str] = set()
        self._consumer = Consumer(
            client
            | {
                "group.id": "fengsui-ledger",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",  # what is gone must not be skipped in silence
                "fetch.message.max.bytes": 4 * 1024 * 1024,
                "queued.max.messages.kbytes": 16 * 1024,  # a worker may recover dozens of tasks at once
                "fetch.wait.max.ms": 10,  # recovery waits for no one: an empty answer may come at once
                "topic.metadata.refresh.fast.interval.ms": 20,
            }
        )

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """Log start and last stable offset (of uncommitted reading: the end)."""
        deadline = time.monotonic() + _ENDS_SECONDS
        self._known.add(topic)
        while True:
            self._pulse.beat()
            try:
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=_ENDS_SECONDS
                )
                return int(low), int(high)
            except (
                KafkaException
            ):  # a leader that has just moved, a topic that has just been made; none says retriable()
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[Message]:
        """Committed records with first <= offset < end, until the end of the partition at most."""
        if first >= end:
            return
        if topic not in self._known:
            self.ends(topic, partition)  # finds the leader at once; `assign` alone would take half a second to
        self._consumer.assign([TopicPartition(topic, partition, first if first > 0 else OFFSET_BEGINNING)])
        quiet = 0.0
        position = first
        while quiet < _OUT_OF_PATIENCE:
            self._pulse.beat()
            # consume() comes back early only with all it was asked for: ask for no more than can come, and briefly
            messages = self._consumer.consume(max(1, min(10_000, end - position)), _POLL_SECONDS)
            quiet = 0.0 if messages else quiet + _POLL_SECONDS
            for message in messages:
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return
                if error is not None:
                    raise LedgerUnreachableError(str(error))
                position = (message.offset() or 0) + 1
                if position > end:
                    return
                yield message
                if position == end:
                    return
        raise LedgerUnreachableError(f"{topic}/{partition}: no answer")
