"""Whether the running engine obeys what was just published: each task says in its progress how far it has read control topics."""

import time
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from fengsui.settings import Settings
from streams.ledger import Ledger, ledger_partition

_POLL_SECONDS: Final = 0.1


def await_obeyed(settings: Settings, topic: str, seconds: float) -> tuple[float, list[int]]:
    """Wait until all tasks of detect obey a control topic (`rules`, `lists`) as it stands now -> (seconds that took, partitions
    whose task does not yet). A task without work says so with its next tick, a second later. Raises KafkaException."""
    began = time.monotonic()
    wanted = _end(settings, topic)
    client, prefix, count = settings.kafka_client(), settings.topic_prefix, settings.partitions
    ledgers = {p: Ledger(client, prefix, ledger_partition("detect", p, count)) for p in range(count)}
    try:
        behind = set(ledgers)
        while True:
            behind = {p for p in behind if ledgers[p].last().controls.get(topic, 0) < wanted}
            if not behind or time.monotonic() - began >= seconds:
                return time.monotonic() - began, sorted(behind)
            time.sleep(_POLL_SECONDS)
    finally:
        for ledger in ledgers.values():
            ledger.close()


def _end(settings: Settings, topic: str) -> int:
    consumer = Consumer(settings.kafka_client() | {"group.id": "fengsui-look", "enable.auto.commit": False})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(settings.topic_prefix + topic, 0), timeout=30)[1])
    finally:
        consumer.close()
