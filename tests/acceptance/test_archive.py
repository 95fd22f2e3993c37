"""The archive on a real broker: every record once, whatever happens to archivers, disks, topics and transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.archive.layout import positions
from fengsui.settings import Settings
from streams.archive import Archiver
from streams.archive_buffer import Flush
from tests.acceptance.archive_helpers import make_topics, send, until

pytestmark = pytest.mark.broker

QUICK = Flush(seconds=0.3)


@contextmanager
def archiving(settings: Settings, flush: Flush = QUICK, **given: Any) -> Iterator[Archiver]:
    """An archiver at work; at the end it has stopped cleanly."""
    archiver = Archiver(
        settings.kafka_client(), settings.group, settings.topic_prefix, settings.archive_dir, flush=flush, **given
    )
    archiver.start()
    try:
        yield archiver
    finally:
        assert archiver.stop()


def test_records_of_several_topics_arrive(settings: Settings) -> None:
    """What was there before and what comes later is archived; a second run goes on where the first ended."""
    make_topics(settings, "clues", "events.iot")
    send(settings, "clues", [(b"k%d" % i, b"v%d" % i) for i in range(100)])
    with archiving(settings):
        until(lambda: sum(positions(settings.archive_dir, "clues").values()) == 100)
        send(settings, "events.iot", [(b"k", b"v")] * 10)
        until(lambda: sum(positions(settings.archive_dir, "events.iot").values()) == 10)
    send(settings, "clues", [(b"k%d" % i, b"v%d" % i) for i in range(50)])
    with archiving(settings):
        until(lambda: sum(positions(settings.archive_dir, "clues").values()) == 150)
