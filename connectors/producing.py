"""Writing to Kafka from a gateway: batches in, one future a batch, bounded memory, a broker that may come and go.

A batch's future is done when Kafka has acknowledged every record of it (acks=all, idempotent), or holds BrokerGone when
the time limit passed first; then the sender is told to send again, and the engine drops repeats by event id.

writer = EventWriter({"bootstrap.servers": "..."}, prefix="fengsui.")
await writer.write(KINDS["iot"], [(b"device:7", value)])
"""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.metrics import GatewayMetrics, shared
from topics.catalogue import EVENT_BYTES
from topics.events import Kind
from topics.records import REJECTED
from topics.wire import encode

Pair = tuple[bytes | None, bytes]

_log = structlog.get_logger(__name__)
_QUEUE_RECORDS: Final = 200_000
_QUEUE_BYTES: Final = 128 * 1024 * 1024
_POLL_SECONDS: Final = 0.2
_NOTICE_SECONDS: Final = 1.0
_DETAIL_CHARS: Final = 1000  # the topic's limit leaves 64 KiB beside the value for the other fields
REJECTED_TOPIC: Final = "rejected"


class BrokerGone(Exception):  # noqa: N818 - what is the case, for the sender to act on
    """Kafka did not acknowledge within the limit; whether it has the records is unknown. Send again later."""


class QueueFull(Exception):  # noqa: N818 - the same
    """More is waiting for Kafka than may be held in memory. Send again later."""


def producer_config(client: Mapping[str, str | int], ack_seconds: float) -> dict[str, Any]:
    """librdkafka's producer configuration on top of a client's (address and security).

    >>> producer_config({"bootstrap.servers": "h:1"}, 5)["partitioner"]
    'murmur2_random'
    """
    return {
        **client,
        "partitioner": "murmur2_random",  # the default is CRC32: other clients would put a subject elsewhere
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.max.bytes": EVENT_BYTES + 64 * 1024,
        "message.timeout.ms": round(ack_seconds * 1000),
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "queue.buffering.max.messages": 2 * _QUEUE_RECORDS,
        "queue.buffering.max.kbytes": 2 * _QUEUE_BYTES // 1024,
        "log_level": 0,  # a broker that is gone is told once by a metric and a line of ours, not by a line a second
    }


def dead_letter(reason: str, detail: str, stage: str, value: bytes, *, at: int) -> bytes:
    """The wire value of a dead letter for something that never reached a topic; `at` is when it was refused, ms UTC."""
    return encode(
        REJECTED,
        {
            "reason": reason,
            "detail": detail[:_DETAIL_CHARS],
            "stage": stage,
            "topic": "",
            "partition": -1,
            "offset": -1,
            "rejected_at": at,
            "key": None,
            "value": value[:EVENT_BYTES],
        },
    )


class _Batch:
    """Counts the acknowledgements of one batch, and settles its future with the last."""

    __slots__ = ("_error", "_left", "_lock", "_writer", "future", "noted", "records", "size", "started")

    def __init__(self, writer: "EventWriter", records: int, size: int) -> None:
        self.future: Future[int] = Future()
        self.future.set_running_or_notify_cancel()  # what was handed to the producer cannot be called back
        self.records = records
        self.size = size
        self.started = time.monotonic()
        self.noted = False
        self._left = records
        self._lock = threading.Lock()
        self._error: KafkaError | None = None
        self._writer = writer

    def acknowledged(self, error: KafkaError | None, _message: object) -> None:
        """Delivery report of one record."""
        self.count(1, error)

    def count(self, records: int, error: KafkaError | None) -> None:
        """`records` more are settled: acknowledged, or failed with an error."""
        with self._lock:
            self._error = self._error or error
            self._left -= records
            done = self._left == 0
        if done:
            self._writer.settle(self, self._error)


class EventWriter:
    """A producer with a poll thread of its own. Safe to use from several threads and event loops at once."""

    def __init__(
        self,
        client: Mapping[str, str | int],
        *,
        prefix: str,
        ack_seconds: float = 10.0,
        queue_records: int = _QUEUE_RECORDS,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        """Connects lazily. `client`: librdkafka's address and security; `prefix`: put before each topic's name."""
        self._config = producer_config(client, ack_seconds)
        self._prefix = prefix
        self._queue_records = queue_records
        self._metrics = metrics or shared()
        self._lock = threading.Condition()
        self._batches: set[_Batch] = set()
        self._records = 0
        self._bytes = 0
        self._fatal = False
        self._closing = False
        self._waiting_noted = 0.0
        self._producer = Producer(self._config)
        self._thread = threading.Thread(target=self._poll, name="producer-poll", daemon=True)
        self._thread.start()

    async def write(self, kind: Kind, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        """Write n events of a kind; returns n once all are acknowledged. Raises BrokerGone or QueueFull."""
        return await self.send(kind.topic, pairs, wait_seconds)

    async def write_rejected(self, letters: Sequence[bytes], wait_seconds: float = 1.0) -> int:
        """Write n dead letters, each made by `dead_letter`. Raises as `write`."""
        return await self.send(REJECTED_TOPIC, [(None, letter) for letter in letters], wait_seconds)

    async def send(self, topic: str, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        """Write records to a topic (name without prefix) and await their acknowledgement. Raises as `write`."""
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                future = self.submit(topic, pairs)
            except QueueFull:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(0.01)
            else:
                return await asyncio.wrap_future(future)

    def submit(self, topic: str, pairs: Sequence[Pair], wait_seconds: float = 0.0) -> Future[int]:
        """Hand records over; the future holds their number or BrokerGone. Raises QueueFull when they do not fit.

        A batch larger than the whole queue is taken when the queue is empty.
        """
        size = sum(len(value) for _, value in pairs)
        batch = _Batch(self, len(pairs), size)
        if not pairs:
            batch.future.set_result(0)
            return batch.future
        with self._lock:
            if not self._lock.wait_for(lambda: self._fits(len(pairs), size), wait_seconds):
                raise QueueFull(f"{self._records} records wait for Kafka")
            self._records += len(pairs)
            self._bytes += size
            self._batches.add(batch)
            self._metrics.queue.set(self._records)
        self._produce(self._prefix + topic, pairs, batch)
        return batch.future

    def ready(self, seconds: float = 2.0) -> bool:
        """Whether a broker answers (a round trip of at most that long)."""
        try:
            self._producer.list_topics(self._prefix + REJECTED_TOPIC, timeout=seconds)
        except KafkaException:
            return False
        return True

    def close(self, seconds: float = 15.0) -> int:
        """Wait for what is under way, at most that long, and stop. Returns how many records were not acknowledged."""
        with self._lock:
            self._lock.wait_for(lambda: self._records == 0, seconds)
            left = self._records
            self._closing = True
        self._thread.join()
        self._producer.purge()
        self._producer.flush(_POLL_SECONDS)
        return left

    def _fits(self, records: int, size: int) -> bool:
        if self._records == 0:
            return True
        return self._records + records <= self._queue_records and self._bytes + size <= _QUEUE_BYTES

    def settle(self, batch: _Batch, error: KafkaError | None) -> None:
        """Free a batch's room and tell who waits for it (called by the batch with its last acknowledgement)."""
        with self._lock:
            self._batches.discard(batch)
            self._records -= batch.records
            self._bytes -= batch.size
            self._metrics.queue.set(self._records)
            self._lock.notify_all()
        if error is None:
            batch.future.set_result(batch.records)
            return
        if error.fatal():
            self._fatal = True
        self._metrics.failed.inc(batch.records)
        batch.future.set_exception(BrokerGone(f"{error.name()}: {error.str()}"))

    def _produce(self, topic: str, pairs: Sequence[Pair], batch: _Batch) -> None:
        done = 0
        try:
            for key, value in pairs:
                self._producer.produce(topic, value, key, on_delivery=batch.acknowledged)
                done += 1
        except KafkaException as error:
            batch.count(len(pairs) - done, error.args[0])
        except BufferError:
            batch.count(len(pairs) - done, KafkaError(KafkaError._QUEUE_FULL))

    def _poll(self) -> None:
        while not self._closing:
            self._producer.poll(_POLL_SECONDS)
            if self._fatal:
                self._renew()
            self._notice_waiting()

    def _renew(self) -> None:
        """A new producer after a fatal error (a lost sequence): the old one's records fail, their senders are told."""
        old, self._producer = self._producer, Producer(self._config)
        self._fatal = False
        _log.error("producer renewed after a fatal error")
        old.purge()
        old.flush(_POLL_SECONDS)

    def _notice_waiting(self) -> None:
        """Count each write that waits for a broker longer than a healthy one needs."""
        now = time.monotonic()
        if now - self._waiting_noted < _POLL_SECONDS:
            return
        self._waiting_noted = now
        with self._lock:
            late = [batch for batch in self._batches if not batch.noted and now - batch.started > _NOTICE_SECONDS]
        for batch in late:
            batch.noted = True
        if late:
            self._metrics.broker_waits.inc(len(late))
            _log.warning("waiting for Kafka", writes=len(late), records=self._records)
