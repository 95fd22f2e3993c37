"""A broker that is killed and comes up may forget to end transactions: whoever owns next ends them, before anything is committed.

Kafka leaves their markers out when it checks for expired transactions before its partitions have a leader again; the broker here
checks each second, so that it does. The last test is of the one that everybody else gets."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from connectors.admin import ensure_topics
from fengsui.embedded.kafka import KafkaService, java_command
from fengsui.settings import Settings, load
from streams.ledger import Ledger
from streams.writer import Writer
from tests.acceptance.toy import OUT, Counting, at_end, expected, numbers, open_bench

pytestmark = pytest.mark.broker
EXPIRED = 6.0  # seconds: longer than our transactions may last


class HastyKafka(KafkaService):
    """Looks for expired transactions each second."""

    def _properties(self, ports: Sequence[int]) -> dict[str, str]:
        return super()._properties(ports) | {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}


@contextmanager
def broker(kind: type[KafkaService]) -> Iterator[tuple[KafkaService, Settings]]:
    """A broker of that kind, and settings of a house on it."""
    with tempfile.TemporaryDirectory() as data:
        service = kind(Path(data) / "kafka", java_command(load()))
        service.start()
        try:
            yield service, Settings(kafka=service.bootstrap, topic_prefix="h.", group="h", data_dir=Path(data))
        finally:
            service.stop()


def killed_with_an_open_transaction(kafka: KafkaService, settings: Settings) -> None:
    """A task writes a batch and does not get as far as to commit it; the broker dies, and is back when that has expired."""
    writer = Writer(settings.kafka_client(), settings.topic_prefix, "h.h.feedback/0", "feedback")
    writer.own()
    producer = writer._producer
    assert producer is not None
    producer.begin_transaction()
    for topic, partition in ((OUT, 0), ("progress", 3 * settings.partitions)):
        producer.produce(settings.topic_prefix + topic, b"never", b"k", partition=partition)
    assert producer.flush(10) == 0
    kafka.kill()
    threading.Event().wait(EXPIRED)
    kafka.start()
    threading.Event().wait(2.5)  # its coordinator has looked


def visible(settings: Settings, topic: str, partition: int) -> list[bytes | None]:
    """Values of the committed records of a partition, up to its end."""
    config = {"group.id": "seen", "isolation.level": "read_committed", "enable.partition.eof": True}
    consumer = Consumer(settings.kafka_client() | config)
    consumer.assign([TopicPartition(settings.topic_prefix + topic, partition, 0)])
    found = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.append(message.value())
    consumer.close()
    return found


def test_a_forgotten_transaction_is_ended_before_the_next_begins() -> None:
    """The task's outputs are those of one pass; what was aborted is seen by nobody."""
    with broker(HastyKafka) as (kafka, settings):
        ensure_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions, 1)
        killed_with_an_open_transaction(kafka, settings)
        ledger = Ledger(settings.kafka_client(), settings.topic_prefix, 3 * settings.partitions)
        assert ledger.unfinished(), "this Kafka does not forget any more: the task need not look"
        ledger.close()
        with open_bench(settings) as bench:
            bench.send(numbers(0, 300))
            bench.task(Counting)
            at_end(bench, 300)
            assert bench.outputs() == expected(numbers(0, 300))
        assert b"never" not in visible(settings, OUT, 0)


def test_the_embedded_broker_forgets_nothing() -> None:
    """It waits until its partitions have leaders."""
    with broker(KafkaService) as (kafka, settings):
        ensure_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions, 1)
        killed_with_an_open_transaction(kafka, settings)
        writer = Writer(settings.kafka_client(), settings.topic_prefix, "h.h.feedback/0", "feedback")
        writer.own()
        ledger = Ledger(settings.kafka_client(), settings.topic_prefix, 3 * settings.partitions)
        assert not ledger.unfinished()
        assert visible(settings, OUT, 0) == []
        ledger.close()
        writer.close()
