"""One task's transactional producer: each `write` is one Kafka transaction, all or nothing.

A transaction that a dead worker left open holds back readers of committed records, so its time-out is short; where a write does
not get through in that time (a giant batch, a slow broker), the next life is given twice as long.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from streams import metrics
from streams.pulse import Pulse

Records = Sequence[tuple[bytes, bytes, int]]  # key, value, partition or -1
CALL_SECONDS: Final = 10.0
GIVE_UP_SECONDS: Final = 20.0  # of one call's tries: a broker that has to come back takes less
SHORTEST_MS: Final = 5_000
LONGEST_MS: Final = 40_000
LONGEST_BACKOFF: Final = 5.0
_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)


class Stopping(Exception):  # noqa: N818 - a signal between frames of the task's own thread
    """The task was told to stop."""


class Writer:
    """Used by one thread; only `stop` comes from others. After a KafkaException: `close`, then `own` again."""

    def __init__(
        self, client: Mapping[str, Any], prefix: str, identity: str, label: str, pulse: Pulse | None = None
    ) -> None:
        """`identity`: the transactional id; `label`: the stage's name in metrics; `pulse`: beats before each call."""
        self._pulse = pulse or Pulse()
        self._client, self._prefix, self._identity, self._label = client, prefix, identity, label
        self._producer: Producer | None = None
        self._stopping = threading.Event()
        self._transaction_ms = SHORTEST_MS
        self._written = False

    @property
    def transaction_ms(self) -> int:
        """How long the broker lets a transaction of the next life stand."""
        return self._transaction_ms

    def stop(self) -> None:
        """Retry no more."""
        self._stopping.set()

    def own(self) -> None:
        """Fence predecessors: when this returns, what they left open is committed or aborted, and they can write no more."""
        if self._stopping.is_set():
            raise Stopping
        self._written = False
        self._pulse.beat()
        self._producer = Producer(
            {
                **self._client,
                "transactional.id": self._identity,
                "transaction.timeout.ms": self._transaction_ms,
                "message.timeout.ms": self._transaction_ms,
                "linger.ms": 0,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "message.max.bytes": 6 * 1024 * 1024,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        producer = self._producer
        self._retry(lambda: producer.init_transactions(CALL_SECONDS))

    def write(self, outputs: Mapping[str, Records], tracked: str) -> list[int]:
        """One transaction. Returns the offsets of the records of the topic `tracked`, all of them."""
        producer = self._producer
        if producer is None:
            raise Stopping
        offsets: list[int] = []

        def placed(error: KafkaError | None, message: Any) -> None:
            if error is None:
                offsets.append(message.offset())

        try:
            producer.begin_transaction()
            for topic, records in outputs.items():
                self._produce(producer, self._prefix + topic, records, placed if topic == tracked else None)
            self._retry(lambda: producer.commit_transaction(CALL_SECONDS))
        except KafkaException:
            self._transaction_ms = SHORTEST_MS if self._written else min(self._transaction_ms * 2, LONGEST_MS)
            raise
        if len(offsets) != len(outputs[tracked]):  # committed all the same: the next life reads where it stands
            raise KafkaException(
                KafkaError(KafkaError._FAIL, f"{len(offsets)} of {len(outputs[tracked])} delivery reports")
            )
        self._written = True
        return offsets

    def sweep(self, places: Iterable[tuple[str, int]]) -> None:
        """End what an earlier life left open in partitions (topic, partition), if Kafka forgot to: abort a transaction with
        a record in each of them; its markers end all that our producer id has begun there."""
        producer = self._producer
        if producer is None:
            raise Stopping
        producer.begin_transaction()
        for topic, partition in places:
            self._produce(producer, self._prefix + topic, [(b"", b"", partition)], None)
        self._pulse.beat()
        if producer.flush(CALL_SECONDS):  # what is not there yet would have no marker
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "a sweep did not get through"))
        self._retry(lambda: producer.abort_transaction(CALL_SECONDS))

    def close(self) -> None:
        """Let go of the producer, at once."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):  # an open transaction dies with its producer anyway
                producer.abort_transaction(2)
            producer.purge()

    @staticmethod
    def _produce(producer: Producer, topic: str, records: Records, placed: Callable[..., None] | None) -> None:
        for key, value, partition in records:
            while True:
                try:
                    producer.produce(topic, value, key, partition=partition, on_delivery=placed)
                    break
                except (
                    BufferError
                ):  # ends: a message that is not delivered in time fails the transaction, and this call
                    producer.poll(0.05)

    def _retry(self, call: Callable[[], Any]) -> None:
        """Call until it succeeds, while Kafka says that the same call may be made again; but not for ever: a producer can lose
        its coordinator for good when a broker comes back (ADR 13), and another producer finds it."""
        backoff, enough = 0.05, time.monotonic() + GIVE_UP_SECONDS
        while True:
            self._pulse.beat()
            try:
                call()
                return
            except KafkaException as error:
                if self._stopping.is_set():
                    raise Stopping from error
                if not error.args[0].retriable() or time.monotonic() >= enough:
                    raise
                metrics.KAFKA_WAITS.labels(self._label).inc()
                self._stopping.wait(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)


def fenced(error: BaseException) -> bool:
    """Whether somebody else owns the task now, or the broker gave up our transaction."""
    return isinstance(error, KafkaException) and error.args[0].code() in _FENCED
