"""The embedded services as they really are: started, stopped, killed, orphaned, and raced for."""

import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fengsui.embedded.kafka import KafkaService
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings

pytestmark = pytest.mark.broker


def make_topic(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)


def write(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "transaction.timeout.ms": 5000})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(30)


def read(bootstrap: str, topic: str) -> bytes:
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": f"{topic}.reader",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    consumer = Consumer(config)
    try:
        consumer.subscribe([topic])
        (message,) = consumer.consume(1, 30)
        assert message.error() is None
        value = message.value()
        assert value is not None
        return value
    finally:
        consumer.close()


def test_a_committed_record_comes_back(broker: KafkaService, topic_prefix: str) -> None:
    """A record written in a transaction is read by a read-committed consumer of a group."""
    make_topic(broker.bootstrap, f"{topic_prefix}one")
    write(broker.bootstrap, f"{topic_prefix}one", b"beacon")
    assert read(broker.bootstrap, f"{topic_prefix}one") == b"beacon"


def test_valkey_wants_its_password(valkey: ValkeyService) -> None:
    """With the password the server serves scripts too; without it, it refuses."""
    client = redis.Redis.from_url(valkey.url)
    assert client.eval("return redis.call('INCRBY', KEYS[1], 3)", 1, "n") == 3
    stranger = redis.Redis.from_url("redis://" + valkey.url.split("@")[1])
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_settings_point_to_the_session(settings: Settings, broker: KafkaService) -> None:
    """The settings fixture reaches both services and has a prefix of its own."""
    assert settings.kafka == broker.bootstrap
    assert settings.topic_prefix != "fengsui."
