"""What the gateways' acceptance tests share: topics of the test's own, and a read-committed reader of them."""

from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from fengsui.settings import Settings
from topics.catalogue import TOPICS, partitions
from topics.events import EVENT_TOPICS
from topics.wire import decode


def make_topics(settings: Settings, *more: str) -> None:
    """Create the event topics, `rejected` and `more` under the settings' prefix, as the catalogue has them."""
    wanted = [
        NewTopic(settings.topic_prefix + name, partitions(name, settings.partitions), 1, config=TOPICS[name].config)
        for name in (*EVENT_TOPICS, "rejected", *more)
    ]
    admin = AdminClient(dict(settings.kafka_client()))
    for future in admin.create_topics(wanted).values():
        future.result(60)


def read(settings: Settings, topic: str) -> list[Any]:
    """Every record of a topic (name without prefix) that a read-committed reader sees now, by partition and offset."""
    config = {
        **settings.kafka_client(),
        "group.id": settings.group,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }
    name = settings.topic_prefix + topic
    consumer = Consumer(config)
    try:
        numbers = range(partitions(topic, settings.partitions))
        consumer.assign([TopicPartition(name, number, 0) for number in numbers])
        open_ends, found = set(numbers), []
        while open_ends:
            for message in consumer.consume(1000, 1.0):
                if message.error() is None:
                    found.append(message)
                else:
                    open_ends.discard(message.partition())
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition(), message.offset()))


def records(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """`read`, decoded."""
    return [decode(message.value())[1] for message in read(settings, topic)]
