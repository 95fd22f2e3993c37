"""Waiting until the journey is over: every stage has committed all that its topics hold, and every clue is fed back."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from connectors.archive.reading import Range, Reader, ranges, unended
from fengsui.settings import Settings
from streams.ledger import Ledger, ledger_partition
from topics.catalogue import TOPICS, outputs
from topics.wire import decode

_POLL_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 5.0
STAGE_TOPICS: Final = {
    "detect": [name for name in TOPICS if name.startswith("events.")],
    "regional": ["rekeyed"],
    "dispatch": ["clues", "commands"],
    "feedback": ["clue-log"],
}
# What stages write for people and for each other. A transaction is over for its readers when it has ended in every partition.
_WRITTEN: Final = sorted({name for stage in STAGE_TOPICS for name in outputs(stage)} - {"progress", "checkpoints"})


class NotSettledError(Exception):
    """The journey did not come to its end in time."""


class Settling:
    """Looks at Kafka from outside, as any operator could: last stable offsets against the tasks' progress."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = settings.kafka_client()
        self._ledgers = {
            (stage, partition): Ledger(
                self._client, settings.topic_prefix, ledger_partition(stage, partition, settings.partitions)
            )
            for stage in STAGE_TOPICS
            for partition in range(settings.partitions)
        }
        self._stood: dict[
            tuple[str, int], tuple[int, dict[str, int]]
        ] = {}  # task -> its progress log's end, its ends then
        self._consumer = Consumer(
            self._client
            | {
                "group.id": "fengsui-settle",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
            }
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        for ledger in self._ledgers.values():
            ledger.close()

    def wait(self, seconds: float, also: Callable[[], bool] = lambda: True) -> None:
        """Until nothing is left to do and `also` holds, twice in a row. Raises NotSettledError."""
        deadline, calm = time.monotonic() + seconds, 0
        left: list[str] = []
        while time.monotonic() < deadline:
            left = self.left()
            calm = calm + 1 if not left and also() else 0
            if calm == 2:  # noqa: PLR2004 - two looks, so that a stage's last output is seen by the next one
                return
            time.sleep(_POLL_SECONDS)
        raise NotSettledError(f"after {seconds:.0f} s still to do: {', '.join(left) or 'clues to feed back'}")

    def left(self) -> list[str]:
        """Topic/partition pairs with committed records that their stage has not decided yet."""
        prefix = self._settings.topic_prefix
        ends = ranges(self._client, prefix, ["progress", *(t for topics in STAGE_TOPICS.values() for t in topics)])
        places = [
            TopicPartition(prefix + topic, partition, first)
            for stage, topics in STAGE_TOPICS.items()
            for partition in range(self._settings.partitions)
            for topic, first in self._firsts(stage, partition, topics, ends["progress"]).items()
            if ends[topic][partition].end > first
        ]
        return self._with_records(places) or unended(self._client, prefix, _WRITTEN)

    def _firsts(self, stage: str, partition: int, topics: list[str], logs: Mapping[int, Range]) -> dict[str, int]:
        """Where a task stands; its progress is read only when there is more of it than at the last look."""
        task = stage, partition
        end = logs[ledger_partition(stage, partition, self._settings.partitions)].end
        if task not in self._stood or self._stood[task][0] != end:
            self._stood[task] = end, self._ledgers[task].last().ends
        ends = self._stood[task][1]
        return {topic: ends.get(topic, 0) for topic in topics}

    def _with_records(self, places: list[TopicPartition]) -> list[str]:
        """Those places after which records come, not mere transaction markers."""
        waiting = {(p.topic, p.partition) for p in places}
        found: set[str] = set()
        if not places:
            return []
        self._consumer.assign(places)
        deadline = time.monotonic() + _LOOK_SECONDS
        while waiting and time.monotonic() < deadline:
            for message in self._consumer.consume(100, 0.05):
                place = (message.topic(), message.partition())
                waiting.discard(place)
                if message.error() is None:
                    found.add(f"{place[0]}/{place[1]}")
        self._consumer.unassign()
        return sorted(found | {f"{topic}/{partition}" for topic, partition in waiting})


def read_all(settings: Settings, topic: str) -> Iterator[tuple[dict[str, Any], int]]:
    """(record, log time) of every committed record of a topic with a schema, once."""
    wanted = ranges(settings.kafka_client(), settings.topic_prefix, [topic])[topic]
    with Reader(settings.kafka_client()) as reader:
        for stretch in reader.read(settings.topic_prefix + topic, wanted):
            for record in stretch.records:
                yield decode(record.value or b"")[1], record.timestamp
