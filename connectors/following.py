"""Following small topics of one partition, in a thread, from where they have been read to: the rules, the device register.

A follower that is not given what is there begins anew (`connectors.stalls`); so does one that Kafka refuses.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.stalls import Place, Stalled, Watch

log = structlog.get_logger(__name__)
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 10.0
_BATCH: Final = 1000
Take = Callable[[str, int, bytes, bytes | None], None]


class Follower:
    """`ends()`: topic -> next offset, 0 where nothing was read yet. `take(topic, offset, key, value)` is given each committed
    record in order, `moved(topic, offset)` is told that a topic has no more before that offset, both in the follower's thread."""

    def __init__(
        self,
        client: Mapping[str, Any],
        prefix: str,
        name: str,
        ends: Callable[[], Mapping[str, int]],
        take: Take,
        moved: Callable[[str, int], None],
    ) -> None:
        """`name`: of the reader, in its thread, its group, its metric and its log."""
        self._client, self._prefix, self._name = dict(client), prefix, name
        self._ends, self._take, self._moved = ends, take, moved
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def wait_ready(self, seconds: float) -> bool:
        """True once everything that stood in the topics at start has been read."""
        return self._ready.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except Stalled:  # it has been told
                continue
            except KafkaException as error:
                log.warning(f"{self._name}.wait", error=str(error)[:200])
                self._stopping.wait(_AGAIN_SECONDS)

    def _read(self) -> None:
        """With one consumer, from where the topics have been read to."""
        watch = Watch(self._client, self._name)
        consumer = Consumer(
            self._client
            | {
                "group.id": f"fengsui-{self._name}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # librdkafka's own default would skip records
            }
        )
        waiting = set(self._ends())
        try:
            consumer.assign([self._place(consumer, topic, end) for topic, end in self._ends().items()])
            while not self._stopping.is_set():
                messages = consumer.consume(_BATCH, _POLL_SECONDS)
                for message in messages:
                    topic, offset = (message.topic() or "").removeprefix(self._prefix), message.offset() or 0
                    error = message.error()
                    if error is None:
                        self._take(topic, offset, message.key() or b"", message.value())
                    elif error.code() == KafkaError._PARTITION_EOF:
                        self._moved(topic, offset)
                        waiting.discard(topic)
                        if not waiting:
                            self._ready.set()
                    else:
                        log.warning(f"{self._name}.wait", topic=topic, error=str(error))
                watch.look(self._stands, len(messages) < _BATCH)
        finally:
            consumer.close()

    def _place(self, consumer: Consumer, topic: str, end: int) -> TopicPartition:
        """Where to read on. Asking where a topic begins takes milliseconds, librdkafka's own search for it up to a second."""
        place = TopicPartition(self._prefix + topic, 0)
        place.offset = end or consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)[0]
        return place

    def _stands(self) -> dict[Place, int]:
        return {(self._prefix + topic, 0): end for topic, end in self._ends().items()}
