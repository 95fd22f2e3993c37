"""The archiver: a thread of each worker that copies every topic to Parquet. Its progress is the files' names.

The consumer group only spreads the partitions; where to go on is read from the archive, under a lock a partition. A
failed write is tried again, with the partition paused, until the disk takes it: nothing is skipped.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.archive.opening import LogIds
from connectors.archive.reading import record_of
from connectors.stalls import Watch
from streams import archive_metrics as metrics
from streams.archive_buffer import Buffer, Flush
from topics.catalogue import TOPICS

_log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.2
OPEN_SECONDS: Final = 1.0  # between two tries to open partitions that are locked or unknown
LONGEST_BACKOFF: Final = 30.0
_Key = tuple[str, int]


class Archiver:
    """Copies all topics of the catalogue under `root`; `client` reaches the cluster; group, prefix: as the workers'."""

    def __init__(
        self,
        client: Mapping[str, Any],
        group: str,
        prefix: str,
        root: Path,
        *,
        flush: Flush | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Not started yet. `clock` gives seconds since 1970."""
        self._client = dict(client)
        self._group = f"{group}-archive"
        self._prefix = prefix
        self._root = root
        self._flush = flush or Flush()
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """Write what was read and end -> whether it ended in time. What was not written stays in Kafka."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _session(self) -> "_Session":
        return _Session(self._client, self._group, self._prefix, self._root, flush=self._flush, clock=self._clock)

    def _run(self) -> None:
        delay = OPEN_SECONDS
        while not self._stopping.is_set():
            began = self._clock()
            try:
                self._session().run(self._stopping)
            except Exception:  # the files are the progress: beginning anew repairs every state
                _log.exception("the archiver begins anew")
                metrics.FAILURES.inc()
                delay = OPEN_SECONDS if self._clock() - began > LONGEST_BACKOFF else min(delay * 2, LONGEST_BACKOFF)
                self._stopping.wait(delay)


class _Session:
    """One consumer's life: partitions come and go, each with a buffer of its own."""

    def __init__(
        self, client: dict[str, Any], group: str, prefix: str, root: Path, *, flush: Flush, clock: Callable[[], float]
    ) -> None:
        self._prefix = prefix
        self._root = root
        self._flush = flush
        self._clock = clock
        self._buffers: dict[_Key, Buffer] = {}  # by full topic name and partition
        self._waiting: set[_Key] = set()  # assigned, not open yet, paused
        self._refused: set[_Key] = set()
        self._next_open = 0.0
        self._log_ids = LogIds(client, root, prefix)
        self._consumer = Consumer(consumer_config(client, group))
        self._watch = Watch(client, "archive")

    def run(self, stopping: threading.Event) -> None:
        """Until told to stop, and then write what was read."""
        names = [self._prefix + name for name in TOPICS]
        self._consumer.subscribe(names, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while not stopping.is_set():
                messages = self._consumer.consume(self._flush.batch, POLL_SECONDS)
                self._take(messages)
                self._watch.look(self._fetched, len(messages) < self._flush.batch)
                self._open_waiting()
                self._write_due()
                self._observe()
        finally:
            self._consumer.close()  # revokes: what was read is written, locks are given up
            for buffer in self._buffers.values():
                buffer.shelf.release()
            metrics.BUFFERED_BYTES.set(0)
            metrics.LAG_SECONDS.set(0)

    def _fetched(self) -> dict[_Key, int]:
        """Where each partition stands that is fetched: not those that a full disk has paused."""
        return {key: buffer.position for key, buffer in self._buffers.items() if not buffer.failing}

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        keys = [(p.topic, p.partition) for p in partitions]
        opened = self._open(keys)
        consumer.incremental_assign([TopicPartition(*key, opened.get(key, 0)) for key in keys])
        consumer.resume([TopicPartition(*key) for key in opened])  # a pause outlives its assignment
        _log.info("archive.assigned", partitions=len(keys), opened=len(opened))
        self._waiting.update(key for key in keys if key not in opened)
        if self._waiting:
            consumer.pause([TopicPartition(*key) for key in self._waiting])

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        _log.info("archive.revoked", partitions=len(partitions))
        for partition in partitions:
            key = (partition.topic, partition.partition)
            self._waiting.discard(key)
            self._refused.discard(key)
            buffer = self._buffers.pop(key, None)
            if buffer is not None:  # its lock is ours until here, even when the group gave the partition to another
                self._write(key, buffer)
                buffer.shelf.release()

    def _open(self, keys: list[_Key]) -> dict[_Key, int]:
        """Lock partitions -> where to go on, for those that could be locked."""
        opened: dict[_Key, int] = {}
        try:
            same = self._log_ids.check({topic for topic, _ in keys})
            for topic, partition in keys:
                if same.get(topic) is False:
                    self._refuse((topic, partition), "the archive is of another log of this name")
                elif topic in same:
                    buffer = Buffer(self._root, topic.removeprefix(self._prefix), partition)
                    if buffer.shelf.try_lock():
                        self._buffers[topic, partition] = buffer
                        opened[topic, partition] = buffer.shelf.position
                    else:
                        metrics.WAITS.labels("lock").inc()
        except OSError as error:
            _log.warning("the archive cannot be used", reason=str(error))
            metrics.WAITS.labels("disk").inc()
        return opened

    def _open_waiting(self) -> None:
        """Try again what could not be opened: another archiver's lock, a cluster or disk that did not answer."""
        if not self._waiting or self._clock() < self._next_open:
            return
        self._next_open = self._clock() + OPEN_SECONDS
        for key, position in self._open(sorted(self._waiting - self._refused)).items():
            if self._seek(key, position):
                self._waiting.discard(key)
            else:
                self._buffers.pop(key).shelf.release()

    def _seek(self, key: _Key, position: int) -> bool:
        try:
            self._consumer.seek(TopicPartition(*key, position))
            self._consumer.resume([TopicPartition(*key)])
        except KafkaException as error:  # the assignment has not settled yet
            _log.debug("seek must wait", topic=key[0], partition=key[1], reason=str(error))
            return False
        return True

    def _take(self, messages: Iterable[Any]) -> None:
        buffers = self._buffers
        for message in messages:
            error = message.error()
            if error is not None:
                self._heed(message, error)
                continue
            buffer = buffers.get((message.topic(), message.partition()))
            if buffer is not None:
                buffer.add(record_of(message), self._clock)

    def _heed(self, message: Any, error: KafkaError) -> None:
        key = (message.topic(), message.partition())
        buffer = self._buffers.get(key)
        if error.code() == KafkaError._PARTITION_EOF:
            if buffer is not None:
                buffer.reached(message.offset())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and buffer is not None:
            self._out_of_range(key, buffer)
        elif error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # topics that are not made yet come later
            _log.warning("kafka", reason=str(error))
            metrics.WAITS.labels("kafka").inc()

    def _out_of_range(self, key: _Key, buffer: Buffer) -> None:
        """Kafka does not have the offset asked for: deleted by retention, or the log is shorter than the archive."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=10)
        if not buffer.next < low:
            self._refuse(key, f"Kafka's log ends at {high}, the archive at {buffer.next}")
            self._steer(self._consumer.pause, key)
            self._buffers.pop(key).shelf.release()
            return
        if self._write(key, buffer):
            deleted = low - buffer.next
            buffer.shelf.skip(low, int(self._clock() * 1000))
            metrics.EXPIRED.labels(buffer.topic).inc(deleted)
        self._consumer.seek(TopicPartition(*key, buffer.next))

    def _refuse(self, key: _Key, why: str) -> None:
        if key not in self._refused:
            self._refused.add(key)
            _log.error("partition is not archived", topic=key[0], partition=key[1], reason=why, archive=str(self._root))

    def _write_due(self) -> None:
        now = self._clock()
        for key, buffer in self._buffers.items():
            if buffer.due(self._flush, now):
                self._write(key, buffer)
        while sum(buffer.bytes for buffer in self._buffers.values()) > self._flush.total_bytes:
            key, buffer = max(self._buffers.items(), key=lambda item: item[1].bytes if item[1].ready(now) else -1)
            if not (buffer.ready(now) and self._write(key, buffer)):
                break

    def _write(self, key: _Key, buffer: Buffer) -> bool:
        """Write what a partition has; on failure pause it and try later -> whether all is written."""
        try:
            buffer.write()
        except OSError as error:
            wait = buffer.failed(self._clock(), LONGEST_BACKOFF)
            _log.warning("archive write failed", topic=key[0], partition=key[1], reason=str(error), wait=wait)
            metrics.WAITS.labels("disk").inc()
            self._steer(self._consumer.pause, key)
            return False
        if buffer.recovered():
            self._steer(self._consumer.resume, key)
        self._show(key, buffer)
        return True

    def _steer(self, what: Callable[[list[TopicPartition]], None], key: _Key) -> None:
        try:
            what([TopicPartition(*key)])
        except KafkaException as error:  # a partition that is being taken away
            _log.debug("cannot steer", topic=key[0], partition=key[1], reason=str(error))

    def _show(self, key: _Key, buffer: Buffer) -> None:
        """Write the group's offset too, for the eyes of lag tools; nothing here reads it."""
        try:
            self._consumer.commit(offsets=[TopicPartition(*key, buffer.shelf.position)], asynchronous=True)
        except KafkaException as error:
            _log.debug("cannot show progress", topic=key[0], partition=key[1], reason=str(error))

    def _observe(self) -> None:
        oldest = min((b.records[0].timestamp for b in self._buffers.values() if b.records), default=None)
        metrics.LAG_SECONDS.set(0.0 if oldest is None else max(0.0, self._clock() - oldest / 1000))
        metrics.BUFFERED_BYTES.set(sum(buffer.bytes for buffer in self._buffers.values()))
        metrics.REFUSED.set(len(self._refused))


def consumer_config(client: Mapping[str, Any], group: str) -> dict[str, Any]:
    """librdkafka's configuration of the archiver's consumer on top of a client's (address and security)."""
    return {
        **client,
        "group.id": group,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,  # the files are the progress
        "auto.offset.reset": "error",  # an offset that is gone is a decision, see _out_of_range
        "enable.partition.eof": True,  # tells how far the log is read though nothing but markers was there
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "max.poll.interval.ms": 60_000,  # also how long the group waits for a member that the broker still believes in
        "heartbeat.interval.ms": 2_000,
        "topic.metadata.refresh.interval.ms": 5_000,
        "allow.auto.create.topics": False,
        "fetch.max.bytes": 16 * 1024 * 1024,
        "queued.max.messages.kbytes": 65_536,
        "log_level": 0,
    }
