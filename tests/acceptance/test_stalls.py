"""A partition that a reader's consumer stops fetching, in silence: the reader is begun anew, and nothing is lost.

librdkafka does so now and then when a broker comes back; here the partition is paused behind the reader's back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import REGISTRY, CollectorRegistry

from connectors import following, stalls
from connectors.archive.layout import positions
from connectors.view import projector as view
from connectors.view.metrics import ViewMetrics
from fengsui.settings import Settings
from streams import archive
from streams.archive_buffer import Flush
from streams.controls import Controls
from tests.acceptance.archive_helpers import make_topics, until
from tests.acceptance.test_archive import archiving
from tests.acceptance.test_desk_view import projecting

pytestmark = pytest.mark.broker
SECONDS = 0.5
QUIET = 3.0  # several looks


class Deaf(Consumer):
    """A consumer whose partitions can be silenced from outside."""

    made: ClassVar[list["Deaf"]] = []

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        Deaf.made.append(self)


@contextmanager
def archived(settings: Settings, topic: str) -> Iterator[Callable[[], int]]:
    """An archiver; how many offsets of partition 0 are in files."""
    with archiving(settings, Flush(seconds=0.1)):
        yield lambda: positions(settings.archive_dir, topic).get(0, 0)


@contextmanager
def controlled(settings: Settings, topic: str) -> Iterator[Callable[[], int]]:
    """A reader of control topics; where it stands."""
    reader = Controls(settings.kafka_client(), settings.topic_prefix, (topic,))
    reader.start()
    try:
        yield lambda: reader.ends()[topic]
    finally:
        reader.stop()


@contextmanager
def viewed(settings: Settings, topic: str) -> Iterator[Callable[[], int]]:
    """A projector; how many records it refused."""
    registry = CollectorRegistry()
    with projecting(settings, ViewMetrics(registry)):
        yield lambda: int(registry.get_sample_value("fengsui_view_records_bad_total") or 0)


READERS = {
    "archive": (archive, archived, "clues"),
    "controls": (following, controlled, "rules"),
    "view": (view, viewed, "clue-log"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_that_is_not_given_what_is_there_begins_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Once; and one that has everything stays, though markers of transactions stand at the end of its log."""
    module, reading, topic = READERS[name]
    monkeypatch.setattr(stalls, "STALL_SECONDS", SECONDS)
    monkeypatch.setattr(module, "Consumer", Deaf)
    Deaf.made.clear()
    make_topics(settings, topic, partitions=1)
    producer = Producer(settings.kafka_client() | {"transactional.id": settings.group})
    producer.init_transactions(30)
    found = lambda: REGISTRY.get_sample_value("fengsui_reader_stalls_total", {"reader": name}) or 0  # noqa: E731

    def send(count: int) -> None:
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(settings.topic_prefix + topic, b"v", b"k", partition=0)
        producer.commit_transaction(30)

    with reading(settings, topic) as come:
        send(10)
        until(lambda: come() >= 10)
        before = found()  # on a busy machine the first records may take longer than a stall here
        threading.Event().wait(QUIET)
        assert found() == before
        deaf = len(Deaf.made)
        Deaf.made[-1].pause([TopicPartition(settings.topic_prefix + topic, 0)])
        send(10)
        until(lambda: come() >= 20)
        assert found() == before + 1
        assert len(Deaf.made) == deaf + 1
