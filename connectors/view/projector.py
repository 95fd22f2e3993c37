"""The projector: a thread that keeps the live view in Redis up with the clue log.

It asks Redis where the view stands and reads on from there. Whatever goes wrong (Redis or Kafka away, Redis emptied,
another projector ahead), it waits a little and asks again: nothing is lost, because the log is the truth. The engine
never waits for it.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import redis
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.stalls import Place, Stalled, Watch
from connectors.view.logged import Logged, read_log
from connectors.view.metrics import ViewMetrics, shared
from connectors.view.writer import ViewGap, ViewLost, ViewWriter
from topics.wire import Refused

_log = structlog.get_logger(__name__)
_BATCH: Final = 500
_POLL_SECONDS: Final = 0.2
_CHECK_SECONDS: Final = 1.0
_WAIT_SECONDS: Final = 0.05
_LONGEST_WAIT_SECONDS: Final = 2.0
_METADATA_SECONDS: Final = 5.0
_CLOSED_KEPT_MS: Final = 30 * 86_400_000


def log_consumer(kafka: Mapping[str, Any], group: str) -> Consumer:
    """A consumer of committed records for manual assignment: it joins no group and commits nothing."""
    return Consumer(
        {
            **kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 50,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 0,
        }
    )


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """The partitions of a topic. Raises KafkaException when it is not there or no broker answers."""
    found = consumer.list_topics(topic, timeout=_METADATA_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


class Projector:
    """Keeps the view up to date between `start` and `stop`. Any number may run at once."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        prefix: str,
        redis_url: str,
        *,
        metrics: ViewMetrics | None = None,
        closed_kept_ms: int = _CLOSED_KEPT_MS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`kafka`: librdkafka's address and security. Clues closed longer ago than `closed_kept_ms` leave the view."""
        self._kafka = dict(kafka)
        self._prefix = prefix
        self._redis_url = redis_url
        self._metrics = metrics or shared()
        self._closed_kept = closed_kept_ms
        self._clock = clock
        self._stop = threading.Event()
        self._caught_up = threading.Event()
        self._waited = 0
        self._thread = threading.Thread(target=self._run, name="view-projector", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own. Does not wait for any service."""
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """End the thread; what is not applied yet is applied by the next projector."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def wait_caught_up(self, seconds: float) -> bool:
        """Wait until the view holds all that the log held when the projector last (re)opened it."""
        return self._caught_up.wait(seconds)

    def _run(self) -> None:
        writer = ViewWriter(self._redis_url, self._prefix, self._clock)
        try:
            while not self._stop.is_set():
                self._attempt(writer)
        finally:
            writer.close()

    def _attempt(self, writer: ViewWriter) -> None:
        try:
            self._session(writer)
        except ViewLost:
            _log.warning("live view lost", prefix=self._prefix)
        except ViewGap as gap:
            _log.info("live view stands elsewhere", partition=gap.partition, position=gap.position)
        except redis.RedisError as error:
            self._wait("redis", error)
        except (KafkaException, Stalled) as error:
            self._wait("kafka", error)

    def _wait(self, service: str, error: Exception) -> None:
        """Told once as a log line, every time as a metric; longer each time, until something works again."""
        self._metrics.waits.labels(service).inc()
        if self._waited == 0:
            _log.warning("live view waits", service=service, reason=type(error).__name__)
        self._stop.wait(min(_WAIT_SECONDS * 2**self._waited, _LONGEST_WAIT_SECONDS))
        self._waited = min(self._waited + 1, 16)

    def _session(self, writer: ViewWriter) -> None:
        """From one opening of the view to the next."""
        self._caught_up.clear()
        positions = writer.open()
        if writer.began:
            self._metrics.rebuilds.inc()
        topic = f"{self._prefix}clue-log"
        consumer = log_consumer(self._kafka, f"{self._prefix}view")
        try:
            stands = {(topic, number): positions.get(number, 0) for number in partitions_of(consumer, topic)}
            consumer.assign([TopicPartition(*place, offset) for place, offset in stands.items()])
            self._waited = 0
            self._read(consumer, writer, stands)
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, writer: ViewWriter, stands: dict[Place, int]) -> None:
        """`stands`: the next offset of each partition that the consumer was given; kept up to date."""
        checked, watch = 0.0, Watch(self._kafka, "view")
        left = {partition for _, partition in stands}  # their end has not been seen yet
        while not self._stop.is_set():
            first = consumer.poll(_POLL_SECONDS)
            messages = [] if first is None else [first, *consumer.consume(_BATCH - 1, 0)]
            left -= self._take(messages, writer)
            stands.update({(m.topic() or "", m.partition() or 0): _after(m) for m in messages})
            watch.look(lambda: stands, len(messages) < _BATCH)
            if not left and not self._caught_up.is_set():
                writer.complete()
                self._caught_up.set()
            if time.monotonic() - checked > _CHECK_SECONDS:
                self._check(consumer, writer)
                checked = time.monotonic()

    def _take(self, messages: Sequence[Message], writer: ViewWriter) -> set[int]:
        """Apply a batch. Returns the partitions that it saw the end of."""
        ended: set[int] = set()
        records = [logged for message in messages if (logged := self._logged(message, ended)) is not None]
        if records:
            with self._metrics.seconds.time():
                new = writer.apply(records)
            self._metrics.applied.inc(len(new))
            if not writer.building:  # what a rebuild brings back has been measured before
                self._metrics.observe(new)
        return ended

    def _logged(self, message: Message, ended: set[int]) -> Logged | None:
        error = message.error()
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            ended.add(partition)
            return None
        if error is not None:
            raise KafkaException(error)
        key, value = message.key() or b"", message.value()
        clue_id = key.decode("utf-8", "replace")
        if value is None:
            return Logged(partition, offset, clue_id, None)
        try:
            record = read_log(value)
            return Logged(partition, offset, record["clue_id"], record)
        except Refused as refused:
            self._metrics.bad.inc()
            _log.error("clue-log record refused", partition=partition, offset=offset, reason=refused.reason)
            return None

    def _check(self, consumer: Consumer, writer: ViewWriter) -> None:
        """Now and then: is it still the same view, how far behind is it, and does it hold clues closed long ago?"""
        if not writer.alive():
            raise ViewLost
        writer.trim(int(self._clock() * 1000) - self._closed_kept)
        for place in consumer.position(consumer.assignment()):
            _, high = consumer.get_watermark_offsets(place, cached=True)
            if place.offset >= 0 and high >= 0:
                self._metrics.lag.labels(str(place.partition)).set(max(high - place.offset, 0))


def _after(message: Message) -> int:
    """The next offset that the partition of a record, or of the news of its end, can bring."""
    return int(message.offset() or 0) + (message.error() is None)
