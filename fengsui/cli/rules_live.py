"""What is published: what stands in the compacted topics of rules and lists now."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from cyclopts import Parameter

from fengsui.cli.common import Wrong, say
from fengsui.obeyed import await_obeyed
from fengsui.settings import Settings
from topics.wire import Refused, decode

WAIT_SECONDS: Final = 10.0
Waiting = Annotated[float, Parameter(help="Seconds to wait until all workers obey; 0: do not look.")]
_ANSWER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Published:
    """One published rule: version, text of its file, who published it and when (ms UTC)."""

    rule_id: str
    version: str
    text: str
    actor: str
    published_at: int


def published(settings: Settings) -> dict[str, Published]:
    """Rule id (or `filter:` and its id) -> what is published now. Raises Wrong when the topic cannot be read."""
    return {key: Published(**found) for key, found in standing(settings, "rules").items()}


def entries(settings: Settings) -> dict[str, dict[str, dict[str, Any]]]:
    """List -> entry -> `expires_at` (ms UTC or None) and `why`. Raises Wrong when the topic cannot be read."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for key, record in standing(settings, "lists").items():
        name, _, entry = key.partition("/")
        body = json.loads(record["body"])
        why = body.get("why", "") if isinstance(body, dict) else ""
        found.setdefault(name, {})[entry] = {"expires_at": record["expires_at"], "why": why}
    return found


def in_force(settings: Settings, topic: str, seconds: float, quietly: bool) -> dict[str, Any]:
    """Wait until workers obey what stands on a control topic, and say so; what a command adds to its JSON: the seconds that took
    (None where not all do yet, or nobody looked) and the partitions that do not."""
    if seconds <= 0:
        return {"in_force_after": None, "behind": []}
    try:
        took, behind = await_obeyed(settings, topic, seconds)
    except KafkaException as error:  # what was published stands, whoever obeys it
        raise Wrong(f"published, but whether workers obey cannot be seen: {error}") from error
    if not quietly:
        if behind:
            say(
                f"{took:.0f} 秒后仍有 {len(behind)} 个分区未生效 partitions do not obey yet: no worker, or one that is behind"
            )
        else:
            say(f"{took:.1f} 秒后在全部 {settings.partitions} 个分区生效 in force in all partitions")
    return {"in_force_after": None if behind else round(took, 3), "behind": behind}


def standing(settings: Settings, topic: str) -> dict[str, dict[str, Any]]:
    """Key -> the newest record of a compacted topic, of keys that were not deleted. Raises Wrong."""
    config = {"group.id": "fengsui-rules", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer(settings.kafka_client() | config | {"enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(settings.topic_prefix + topic, 0, OFFSET_BEGINNING)])
        return _to_the_end(consumer, topic)
    except KafkaException as error:
        raise Wrong(f"the topic of {topic} cannot be read: {error}") from error
    finally:
        consumer.close()


def _to_the_end(consumer: Consumer, topic: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    while True:
        message = consumer.poll(_ANSWER_SECONDS)
        if message is None:
            raise Wrong(f"the topic of {topic} did not answer within {_ANSWER_SECONDS:.0f} s")
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return found
            raise KafkaException(error)
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _record(value, topic)


def _record(value: bytes, topic: str) -> dict[str, Any]:
    try:
        return decode(value)[1]
    except Refused as refused:
        raise Wrong(f"the topic of {topic} holds a record that is none: {refused}") from refused
