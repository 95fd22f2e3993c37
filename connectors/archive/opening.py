"""Whether the archive's folder of a topic is of the log that Kafka has under that name now."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from connectors.archive.shelf import same_log

_TIMEOUT: Final = 10.0


class LogIds:
    """Kafka's id of each topic, compared with the one that the archive was begun with."""

    def __init__(self, client: Mapping[str, Any], root: Path, prefix: str) -> None:
        """`client` reaches the cluster; `prefix` stands before topic names there, not in the archive."""
        self._admin = AdminClient({**client, "log_level": 0})
        self._root = root
        self._prefix = prefix

    def check(self, topics: Iterable[str]) -> dict[str, bool]:
        """Full topic name -> whether archive and log belong together; without those that Kafka does not know now.

        Raises OSError when the archive's folder cannot be used.
        """
        names = sorted(topics)
        if not names:
            return {}
        same: dict[str, bool] = {}
        futures = self._admin.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT)
        for name, future in futures.items():
            try:
                log_id = str(future.result().topic_id)
            except KafkaException:  # asked again later: the caller keeps the partition waiting
                continue
            same[name] = same_log(self._root, name.removeprefix(self._prefix), log_id)
        return same
