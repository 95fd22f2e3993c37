"""A toy stage that counts, and a bench to run tasks of it against a real broker without Faust."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from connectors.admin import ensure_topics
from fengsui.settings import Settings
from streams.chunk import Chunk, chunk_of
from streams.controls import Controls
from streams.inbox import Limits
from streams.ledger import Ledger, ledger_partition
from streams.stage import Arrays, ControlRecord, Outbox
from streams.task import Task, TaskOptions
from tests.acceptance.house import wait_until
from topics.spans import Spans

TOPIC, OUT = "clue-log", "rekeyed"  # the feedback stage's, which has one input


class Counting:
    """Writes for each record how many came before it, and their checksum: any loss, repeat or wrong recovery shows at once. A
    record that begins with a dot is counted, and nothing is written for it."""

    name, topics, patient, controls = "feedback", (TOPIC,), (), ("rules",)

    def __init__(self, poison: bytes = b"", ballast: int = 0, error: type[BaseException] = ValueError) -> None:
        self.count, self.sum, self.rules = 0, 0, 0
        self._poison, self._ballast, self._error = poison, ballast, error

    def step(self, chunk: Chunk, out: Outbox) -> None:
        for value in chunk.values:
            if value is not None and value == self._poison:
                raise self._error("poison")
            self.count += 1
            self.sum = (self.sum * 31 + sum(value or b"")) % 2**61
            if not (value or b"").startswith(b"."):
                out.put(OUT, b"%d" % self.count, b"%d %d %d %s" % (self.count, self.sum, self.rules, value or b""))

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        self.rules += len(records)

    def snapshot(self) -> Arrays:
        own = {"state": np.array([self.count, self.sum], np.int64)}
        return own | (
            {"ballast": np.random.default_rng(1).integers(0, 255, self._ballast, np.uint8)} if self._ballast else {}
        )

    def restore(self, arrays: Arrays) -> None:
        self.count, self.sum = arrays["state"].tolist()
        if self._ballast:
            assert arrays["ballast"].size == self._ballast

    def report(self, live: bool) -> None:
        pass


@dataclass
class Bench:
    """Topics of one test, and tasks that are fed straight from Kafka."""

    settings: Settings
    client: dict[str, Any]
    controls: Controls
    producer: Producer
    stack: ExitStack
    tasks: list[Task] = field(default_factory=list)

    def options(self, **changes: Any) -> TaskOptions:
        plain = TaskOptions(self.client, self.settings.topic_prefix, self.settings.group, self.settings.partitions)
        limits = Limits(batch_rows=changes.pop("batch_rows", Limits().batch_rows))
        return replace(plain, **{"checkpoint_seconds": 0.3, "limits": limits} | changes)

    def send(self, values: Sequence[bytes], topic: str = TOPIC) -> None:
        """Records to partition 0, acknowledged."""
        for value in values:
            self.producer.produce(self.settings.topic_prefix + topic, value, b"k", partition=0)
            self.producer.poll(0)
        assert self.producer.flush(60) == 0

    def task(self, make: Callable[[], Any] = Counting, **changes: Any) -> Task:
        """A running task that is fed until the test ends."""
        task = Task(Counting.name, 0, make, self.options(**changes), self.controls, lambda _: None, lambda _: None)
        stop = threading.Event()
        feeder = threading.Thread(target=self._feed, args=(task, stop))

        def end() -> None:
            stop.set()
            task.stop()
            feeder.join(30)
            task.join(30)

        self.tasks.append(task)
        task.start()
        feeder.start()
        self.stack.callback(end)
        return task

    def _feed(self, task: Task, stop: threading.Event) -> None:
        consumer = Consumer(
            self.client
            | {
                "group.id": "toy",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        at: int | None = None
        try:
            while not stop.is_set():
                if not task.wait_owned(0.05) or task.full:
                    time.sleep(0.01)
                    continue
                wanted = task.positions()[TOPIC]
                if at != wanted:
                    consumer.assign([TopicPartition(self.settings.topic_prefix + TOPIC, 0, wanted)])
                    at = wanted
                rows = [_Row(m) for m in consumer.consume(500, 0.05) if m.error() is None]
                if rows and task.offer(chunk_of(TOPIC, 0, at, rows)):
                    at = rows[-1].offset + 1
        finally:
            consumer.close()

    def read(self, topic: str, partition: int = 0) -> list[bytes]:
        """All committed values of a partition."""
        consumer = Consumer(
            self.client
            | {
                "group.id": "look",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(self.settings.topic_prefix + topic, partition, 0)])
        values: list[bytes] = []
        try:
            while True:
                for message in consumer.consume(1000, 0.1):
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        return values
                    if error is None:
                        values.append(message.value() or b"")
        finally:
            consumer.close()

    def outputs(self) -> list[bytes]:
        """What the tasks wrote, by count."""
        found = [v for p in range(self.settings.partitions) for v in self.read(OUT, p)]
        return sorted(found, key=lambda v: int(v.split(b" ", 1)[0]))

    def where(self) -> int:
        """The task's partition of `progress` and `checkpoints`."""
        return ledger_partition(Counting.name, 0, self.settings.partitions)

    def ledger(self) -> Ledger:
        """What Kafka remembers of the task."""
        ledger = Ledger(self.client, self.settings.topic_prefix, self.where())
        self.stack.callback(ledger.close)
        return ledger


class _Row:
    def __init__(self, message: Any) -> None:
        self.offset, self.timestamp = message.offset(), message.timestamp()[1]
        self.key, self.value = message.key(), message.value()


def expected(values: Sequence[bytes], rules: int = 0) -> list[bytes]:
    """The outputs of one pass."""
    stage, out = Counting(), Outbox()
    stage.rules = rules
    stage.step(Chunk(TOPIC, 0, 0, 0, np.zeros(0, np.int64), np.zeros(0, np.int64), Spans.of([]), Spans.of(values)), out)
    return [value for _, value, _ in out.records.get(OUT, [])]


def numbers(first: int, end: int) -> list[bytes]:
    """Values that tell each other apart."""
    return [b"v%d" % i for i in range(first, end)]


def at_end(bench: Bench, count: int, seconds: float = 60) -> None:
    """Until some task has committed everything."""
    wait_until(lambda: len(bench.outputs()) >= count, seconds, f"{count} outputs")


@contextmanager
def open_bench(settings: Settings) -> Iterator[Bench]:
    """Topics, a producer and the control topics' reader."""
    client = settings.kafka_client()
    ensure_topics(client, settings.topic_prefix, settings.partitions, 1)
    with ExitStack() as stack:
        controls = Controls(client, settings.topic_prefix, ("rules", "models", "lists"))
        controls.start()
        stack.callback(controls.stop)
        producer = Producer(client | {"linger.ms": 5})
        yield Bench(settings, client, controls, producer, stack)
