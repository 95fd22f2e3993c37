"""A dispatch stage in the small, for tests: the desk between Kafka topics, one transaction a batch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.admin import ensure_topics
from fengsui.settings import Settings
from streams.desk import Desk, Workdays, parse_command
from topics.catalogue import topic
from topics.records import CLUE, CLUE_LOG
from topics.wire import decode, encode

SOURCES = ("clues", "commands")


class DispatchLoop:
    """Reads clues and commands of all partitions, decides, and writes the clue log in transactions."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.topic_prefix
        client = settings.kafka_client()
        self._consumer = Consumer(
            {
                **client,
                "group.id": f"{self._prefix}desk",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        self._producer = Producer(
            {
                **client,
                "transactional.id": f"{self._prefix}desk",
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "log_level": 0,
            }
        )
        self._partitions = settings.partitions
        self._desks = [Desk(Workdays()) for _ in range(settings.partitions)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk-loop")

    def case(self, clue_id: str) -> Any:
        """The clue as the desk holds it now."""
        return next((case for desk in self._desks if (case := desk.case(clue_id)) is not None), None)

    def start(self) -> None:
        self._producer.init_transactions(30)
        self._consumer.assign(
            [TopicPartition(self._prefix + name, number, 0) for name in SOURCES for number in range(self._partitions)]
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            self._producer.begin_transaction()
            for message in [first, *self._consumer.consume(200, 0)]:
                assert message.error() is None
                self._decide(message)
            self._producer.commit_transaction(30)

    def _decide(self, message: Any) -> None:
        desk, at = self._desks[message.partition()], message.timestamp()[1]
        if message.topic().endswith("clues"):
            outcome = desk.clue(decode(message.value())[1], at)
        else:
            outcome = desk.command(parse_command(message.value()), at)
        for entry in outcome.entries:
            self._put("clue-log", entry["clue_id"], CLUE_LOG, entry)
        for department, warning in outcome.warnings:
            name = f"warnings.{department}"
            self._put(name, warning["clue_id"], topic(name).schema, warning)

    def _put(self, name: str, key: str, schema: Any, record: dict[str, Any]) -> None:
        self._producer.produce(self._prefix + name, encode(schema, record), key)


@contextmanager
def dispatching(settings: Settings) -> Iterator[DispatchLoop]:
    """All topics, and a running dispatch loop."""
    ensure_topics(dict(settings.kafka_client()), settings.topic_prefix, settings.partitions, 1)
    loop = DispatchLoop(settings)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


def put_clues(settings: Settings, clues: list[dict[str, Any]]) -> None:
    """Clues onto their topic, as the detect stage would."""
    producer = Producer({**settings.kafka_client(), "partitioner": "murmur2_random", "acks": "all"})
    for record in clues:
        producer.produce(f"{settings.topic_prefix}clues", encode(CLUE, record), record["clue_id"])
    assert producer.flush(30) == 0
