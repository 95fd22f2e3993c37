"""A running house for acceptance tests: topics, rules, worker processes, and read-committed eyes on every topic."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from connectors.admin import ensure_topics
from fengsui.crew import Crew
from fengsui.demo.settle import Settling, read_all
from fengsui.publishing import publish
from fengsui.settings import Settings
from rules import parse_rule
from topics.events import KINDS
from topics.identifiers import uscc_check_digit
from topics.wire import encode

NOW_SKEW_MS = 60_000


def subject(number: int) -> str:
    """A valid credit code."""
    body = f"91320100MA{number:07d}"
    return f"uscc:{body}{uscc_check_digit(body)}"


def now_ms() -> int:
    """The machine's time."""
    return int(time.time() * 1000)


def reading(number: int, value: float, **changes: Any) -> dict[str, Any]:
    """A sensor reading of the subject with that number, a minute old."""
    at = now_ms() - NOW_SKEW_MS
    return {
        "event_id": uuid.uuid4().hex,
        "kind": "iot",
        "sector": "food-drug",
        "subject": subject(number),
        "subject_name": f"第{number}食堂",
        "region": "320102",
        "occurred_at": at,
        "observed_at": at,
        "source": "test",
        "device_id": "d1",
        "metric": "cold_store_temp",
        "value": value,
    } | changes


def wait_until(condition: Callable[[], bool], seconds: float, what: str = "the condition") -> None:
    """Await a condition. Raises AssertionError when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not hold within {seconds} s")


@dataclass(slots=True)
class House:
    """A house under test."""

    settings: Settings
    crew: Crew
    producer: Producer

    def send(self, events: Sequence[dict[str, Any]], seconds: float = 30) -> None:
        """Events straight to Kafka in Avro; returns when acknowledged."""
        for event in events:
            kind = KINDS[event["kind"]]
            self.put(kind.topic, event["subject"].encode(), encode(kind.schema, event))
        self.flush(seconds)

    def put(self, topic: str, key: bytes | None, value: bytes | None, **more: Any) -> None:
        """One raw record."""
        self.producer.produce(self.settings.topic_prefix + topic, value, key, **more)
        self.producer.poll(0)

    def flush(self, seconds: float = 30) -> None:
        """Until everything is acknowledged."""
        assert self.producer.flush(seconds) == 0

    def settle(self, seconds: float = 90.0) -> None:
        """Until every stage has committed all there is."""
        settling = Settling(self.settings)
        try:
            settling.wait(seconds)
        finally:
            settling.close()

    def records(self, topic: str) -> list[dict[str, Any]]:
        """All committed records of a topic."""
        return [record for record, _ in read_all(self.settings, topic)]


@contextmanager
def open_house(
    settings: Settings, rules: Sequence[str], workers: int = 1, behind: Settings | None = None
) -> Iterator[House]:
    """Topics, rules (texts of rule files) and workers, ready; `behind`: what the workers are told, where it is something else."""
    client = settings.kafka_client()
    ensure_topics(client, settings.topic_prefix, settings.partitions, 1)
    publish(settings, [(parse_rule(text, "test"), text) for text in rules], "test")
    producer = Producer(
        client
        | {"partitioner": "murmur2_random", "linger.ms": 5, "message.max.bytes": 8_000_000, "enable.idempotence": True}
    )
    with Crew(behind or settings, workers) as crew:
        crew.wait_ready()
        yield House(settings, crew, producer)
        producer.flush(10)
