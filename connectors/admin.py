"""Topics in Kafka as the catalogue says: created where they lack, never changed or deleted here; where partitions end."""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]  # the stubs leave them out

from topics.catalogue import TOPICS, partitions

_TIMEOUT: Final = 30.0
offset_spec: Any = OffsetSpec  # untyped in the library


class TopicMismatchError(Exception):
    """A topic exists with another number of partitions than the catalogue gives it."""


def ensure_topics(client: dict[str, Any], prefix: str, count: int, replication: int) -> list[str]:
    """Create the topics that lack; returns their names. Raises TopicMismatchError, KafkaException."""
    admin = AdminClient(client)
    have = admin.list_topics(timeout=_TIMEOUT).topics
    lacking = []
    for name, topic in TOPICS.items():
        number = partitions(name, count)
        known = have.get(prefix + name)
        if known is None:
            lacking.append(
                NewTopic(prefix + name, num_partitions=number, replication_factor=replication, config=topic.config)
            )
        elif len(known.partitions) != number:
            raise TopicMismatchError(f"{prefix + name} has {len(known.partitions)} partitions, {number} are due")
    if lacking:
        _create(admin, lacking)
    return [topic.topic for topic in lacking]


def ends(
    admin: AdminClient, places: Iterable[TopicPartition], level: IsolationLevel = IsolationLevel.READ_COMMITTED
) -> dict[TopicPartition, Future[Any]]:
    """Ask where partitions end for readers of that level -> an answer of each, whose `result().offset` it is. Does not wait."""
    wanted = dict.fromkeys(places, offset_spec.latest())
    return admin.list_offsets(wanted, isolation_level=level, request_timeout=_TIMEOUT)


def _create(admin: AdminClient, lacking: list[NewTopic]) -> None:
    for future in admin.create_topics(lacking, operation_timeout=_TIMEOUT).values():
        try:
            future.result(_TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was quicker
                raise
