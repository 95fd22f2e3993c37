"""The rules that are published: what stands in the compacted rules topic now."""

from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from fengsui.cli.common import Wrong
from fengsui.settings import Settings
from topics.wire import Refused, decode

_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Published:
    """One published rule: version, text of its file, who published it and when (ms UTC)."""

    rule_id: str
    version: str
    text: str
    actor: str
    published_at: int


def published(settings: Settings) -> dict[str, Published]:
    """Rule id -> what is published now. Raises Wrong when the topic cannot be read."""
    config = {"group.id": "fengsui-rules", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer(settings.kafka_client() | config | {"enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(settings.topic_prefix + "rules", 0, OFFSET_BEGINNING)])
        return _to_the_end(consumer)
    except KafkaException as error:
        raise Wrong(f"the rules topic cannot be read: {error}") from error
    finally:
        consumer.close()


def _to_the_end(consumer: Consumer) -> dict[str, Published]:
    found: dict[str, Published] = {}
    while True:
        message = consumer.poll(_WAIT_SECONDS)
        if message is None:
            raise Wrong(f"the rules topic did not answer within {_WAIT_SECONDS:.0f} s")
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return found
            raise KafkaException(error)
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = Published(**_record(value))


def _record(value: bytes) -> dict[str, Any]:
    try:
        return decode(value)[1]
    except Refused as refused:
        raise Wrong(f"the rules topic holds a record that is not a rule: {refused}") from refused
