"""What the archiver holds of a partition: when it writes, what it drops, how long it waits after a failure."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from connectors.archive.layout import spans
from connectors.archive.table import Record
from streams.archive import consumer_config
from streams.archive_buffer import Buffer, Flush

NOON = 1_767_240_000_000


def buffer(root: Path) -> Buffer:
    """An open buffer."""
    found = Buffer(root, "ticks", 0)
    assert found.shelf.try_lock()
    return found


def fill(found: Buffer, *offsets: int, at: float = 0.0, size: int = 1) -> None:
    """Take records at a time of the clock."""
    for offset in offsets:
        found.add(Record(offset, NOON, None, b"x" * size), lambda: at)


@pytest.mark.parametrize(
    ("flush", "now", "due"),
    [
        (Flush(rows=3), 0.0, True),
        (Flush(rows=4), 0.0, False),
        (Flush(bytes=600), 0.0, True),
        (Flush(seconds=10), 9.9, False),
        (Flush(seconds=10), 10.0, True),
        (Flush(seconds=10), -5.0, True),
    ],
)
def test_rows_bytes_or_seconds_make_a_file_due(tmp_path: Path, flush: Flush, now: float, due: bool) -> None:
    """Whichever comes first; a clock that was set back does not stop it."""
    found = buffer(tmp_path)
    fill(found, 0, 1, 2, size=100)
    assert found.due(flush, now) is due


def test_nothing_is_never_due(tmp_path: Path) -> None:
    """An idle partition writes no file."""
    found = buffer(tmp_path)
    found.reached(50)
    assert not found.due(Flush(seconds=0), 1e9)
    found.write()
    assert spans(tmp_path, "ticks") == []


def test_what_is_there_already_is_not_taken_again(tmp_path: Path) -> None:
    """A fetch after a seek may repeat records, from the files or from memory."""
    found = buffer(tmp_path)
    fill(found, 0, 1)
    found.write()
    fill(found, 0, 1, 2, 2, 1, 3)
    assert [record.offset for record in found.records] == [2, 3]
    assert found.next == 4


def test_a_file_covers_markers_up_to_where_the_log_was_read(tmp_path: Path) -> None:
    """The end told by Kafka belongs to the file, so that the next one starts there."""
    found = buffer(tmp_path)
    fill(found, 3)
    found.reached(9)
    found.write()
    assert [(span.first, span.last) for span in spans(tmp_path, "ticks")] == [(0, 8)]
    assert (found.records, found.bytes, found.next) == ([], 0, 9)


def test_failures_wait_longer_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 s, 1 s, 2 s ... up to the longest; then all is written once and the wait is over."""
    found = buffer(tmp_path)
    fill(found, 0, 1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        waits = []
        for _ in range(4):
            with pytest.raises(OSError, match="No space"):
                found.write()
            waits.append(found.failed(100.0, 3.0))
    assert waits == [0.5, 1.0, 2.0, 3.0]
    assert not found.ready(102.9)
    assert found.due(Flush(), 103.0)
    found.write()
    assert found.recovered()
    assert not found.recovered()
    assert [(span.first, span.last) for span in spans(tmp_path, "ticks")] == [(0, 1)]


def test_the_consumer_reads_committed_records_and_never_jumps_by_itself() -> None:
    """A position out of range is a decision of ours, and the group's offsets are not the progress."""
    config = consumer_config({"bootstrap.servers": "h:1"}, "g-archive")
    assert config["isolation.level"] == "read_committed"
    assert config["auto.offset.reset"] == "error"
    assert config["enable.auto.commit"] is False
    assert config["bootstrap.servers"] == "h:1"
