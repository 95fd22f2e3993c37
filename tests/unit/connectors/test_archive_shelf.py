"""The Parquet store: exact bytes, names as progress, one owner, nothing half-written."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.archive import shelf as shelf_module
from connectors.archive.layout import Span, day, holes, positions, spans, topics
from connectors.archive.shelf import Shelf, same_log
from connectors.archive.table import Record, columns, schema, table
from tests.unit.topics.samples import event
from topics.catalogue import TOPICS
from topics.records import EXAMPLE, REJECTED, TICK
from topics.wire import encode

DAY = 86_400_000
NOON = 1_767_240_000_000  # 2026-01-01 12:00 in UTC+8


def owned(root: Path, topic: str = "ticks", partition: int = 0) -> Shelf:
    """A shelf that is locked."""
    shelf = Shelf(root, topic, partition)
    assert shelf.try_lock()
    return shelf


def tick(offset: int, timestamp: int = NOON) -> Record:
    """A record of `ticks`."""
    return Record(offset, timestamp, None, encode(TICK, {"at": timestamp}))


def test_a_file_is_named_by_what_it_covers_and_gives_the_bytes_back(tmp_path: Path) -> None:
    """Offsets without a record, before and after, are covered; key, value, headers and time come back exactly."""
    records = [Record(3, NOON, b"\xff\x00", b"\x00junk", [("h", b"\x00"), ("h", None)]), Record(5, NOON, None, None)]
    written = list(owned(tmp_path).write(records, covers_to=9))
    assert [w.span for w in written] == [Span("ticks", 0, 0, 8, "2026-01-01")]
    rows = pq.read_table(written[0].span.path(tmp_path), partitioning=None).to_pylist()
    assert [(r["_offset"], r["_ts"], r["_key"], r["_value"], r["at"]) for r in rows] == [
        (3, NOON, b"\xff\x00", b"\x00junk", None),
        (5, NOON, None, None, None),
    ]
    assert rows[0]["_headers"] == [{"key": "h", "value": b"\x00"}, {"key": "h", "value": None}]
    assert positions(tmp_path, "ticks") == {0: 9}


def test_days_part_at_midnight_in_utc_plus_8(tmp_path: Path) -> None:
    """One file for each run of one date, covering all offsets between them without a hole."""
    midnight = 1_767_283_200_000  # 2026-01-02 00:00 in UTC+8
    records = [tick(0, midnight - 1), tick(4, midnight), tick(5, midnight + DAY)]
    found = [w.span for w in owned(tmp_path).write(records)]
    assert [(s.date, s.first, s.last) for s in found] == [
        ("2026-01-01", 0, 0),
        ("2026-01-02", 1, 4),
        ("2026-01-03", 5, 5),
    ]
    assert holes(found) == []


@given(st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50)
def test_no_timestamp_is_refused(timestamp: int) -> None:
    """Any 64-bit log time has a date (a record must not be lost for its clock)."""
    assert len(day(timestamp)) == 10
    assert [len(run) for _, run in shelf_module._runs([tick(0), Record(1, timestamp, None, None)])]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5 * DAY), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_stream_flushed_anywhere_is_there_once_and_covered(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever gaps, times and flushes: every record lies in one file, spans touch, a new owner resumes after them."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        shelf, offset, pending, sent = owned(root), 0, [], []
        for gap, time, flush in steps:
            offset += gap
            pending.append(Record(offset, NOON + time, None, b"x%d" % offset))
            sent.append(offset)
            offset += 1
            if flush:
                list(shelf.write(pending))
                shelf.release()
                shelf, pending = owned(root), []
                assert shelf.position == sent[-1] + 1
        list(shelf.write(pending))
        shelf.release()
        found = spans(root, "ticks")
        assert holes(found) == []
        rows = [o for s in found for o in pq.read_table(s.path(root), partitioning=None)["_offset"].to_pylist()]
        assert rows == sent


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """A second archiver does not get the lock until the first lets go, and then starts where the files end."""
    first, second = owned(tmp_path), Shelf(tmp_path, "ticks", 0)
    assert not second.try_lock()
    list(first.write([tick(0), tick(1)]))
    first.release()
    assert second.try_lock()
    assert second.position == 2
    second.release()


def test_nobody_writes_without_the_lock(tmp_path: Path) -> None:
    """Writing unlocked is a programming error, not a second copy."""
    with pytest.raises(RuntimeError, match="not locked"):
        list(Shelf(tmp_path, "ticks", 0).write([tick(0)]))


def test_a_failed_write_leaves_no_file_and_the_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle: what came before is there, the rest can be written again after a rescan."""
    shelf = owned(tmp_path)
    real, calls = pq.write_table, []

    def full(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            args[1].write(b"PAR1 half a file")
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    monkeypatch.setattr(pq, "write_table", full)
    records = [tick(0), tick(1, NOON + DAY), tick(2, NOON + 2 * DAY)]
    with pytest.raises(OSError, match="No space"):
        list(shelf.write(records))
    assert shelf.rescan() == 1
    list(shelf.write(records[1:]))
    assert [s.first for s in spans(tmp_path, "ticks")] == [0, 1, 2]


def test_a_failure_after_the_rename_is_seen_by_rescan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When only the folder's fsync fails the file counts, so that no record is written twice."""
    shelf = owned(tmp_path)
    list(shelf.write([tick(0)]))
    real = os.fsync
    calls: list[int] = []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:  # the file's own sync is the first
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        list(shelf.write([tick(1)]))
    assert shelf.position == 1
    assert shelf.rescan() == 2


def test_what_kafka_had_deleted_is_noted(tmp_path: Path) -> None:
    """A gap note covers the offsets without pretending records."""
    shelf = owned(tmp_path)
    assert shelf.skip(100, NOON).gap
    list(shelf.write([tick(100)]))
    assert holes(spans(tmp_path, "ticks")) == []
    assert positions(tmp_path, "ticks") == {0: 101}


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    """Notes, other people's files and half-written ones are neither progress nor in the way."""
    list(owned(tmp_path).write([tick(0)]))
    (tmp_path / "ticks" / "date=2026-01-01" / "0-5-1.txt").write_text("a note")
    (tmp_path / "ticks" / "readme").write_text("hello")
    (tmp_path / "ticks" / "other").mkdir()
    assert positions(tmp_path, "ticks") == {0: 1}
    assert topics(tmp_path) == ["ticks"]
    assert topics(tmp_path / "nowhere") == []


def test_a_topic_made_again_is_another_log(tmp_path: Path) -> None:
    """The first id stays; another one is refused, so that old progress never hides new records."""
    assert same_log(tmp_path, "clues", "A")
    assert same_log(tmp_path, "clues", "A")
    assert not same_log(tmp_path, "clues", "B")


def test_events_are_decoded_beside_their_bytes() -> None:
    """Avro and JSON rows have columns, broken ones nulls, in the order of the log."""
    good = event("iot", event_id="a", value=1.5)
    values = [b"\x00\x00\x00\x03", good, b"{oops", None, b'{"event_id":"j"}', good]
    found = pl.DataFrame(table("events.iot", 2, [Record(i, NOON, None, v) for i, v in enumerate(values)]))
    assert found["event_id"].to_list() == [None, "a", None, None, None, "a"]
    assert found["value"].to_list() == [None, 1.5, None, None, None, 1.5]
    assert found["_value"].to_list() == values
    assert found["_partition"].to_list() == [2] * 6


def test_rekeyed_copies_of_every_kind_share_the_envelope() -> None:
    """One topic, many schemas: envelope columns for events, what fits for learning examples."""
    example = encode(EXAMPLE, {f.name: 1.0 if f.type == "double" else "e" for f in EXAMPLE.fields})
    values = [event("iot", event_id="a"), example, event("penalty", event_id="b"), b"", None]
    found = pl.DataFrame(table("rekeyed", 0, [Record(i, NOON, None, v) for i, v in enumerate(values)]))
    assert found["event_id"].to_list() == ["a", "e", "b", None, None]
    assert found["kind"].to_list() == ["iot", None, "penalty", None, None]


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_every_topic_has_a_stable_schema(name: str) -> None:
    """A table of undecodable records has the topic's schema, so that all files of a topic can be read together."""
    found = table(name, 0, [Record(0, NOON, b"k", b"\x00\x01\x02"), Record(1, NOON, None, None)])
    assert found.schema.equals(schema(name))
    assert found.num_rows == 2


def test_a_topic_outside_the_catalogue_keeps_raw_records() -> None:
    """No schema, no columns, no loss."""
    assert columns("other") == {}
    assert table("other", 0, [Record(0, NOON, b"k", b"v")])["_value"].to_pylist() == [b"v"]


def test_bytes_fields_are_decoded_where_they_are_small() -> None:
    """A dead letter's raw bytes are a column; a checkpoint's body is not kept twice."""
    letter = dict.fromkeys(("reason", "detail", "stage", "topic"), "x") | dict.fromkeys(
        ("partition", "offset", "rejected_at"), 1
    )
    wire = encode(REJECTED, letter | {"key": b"\x00", "value": b"\xff"})
    assert table("rejected", 0, [Record(0, NOON, None, wire)])["value"].to_pylist() == [b"\xff"]
    assert "body" not in columns("checkpoints")


def test_a_fault_in_a_decoder_costs_columns_not_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an unexpected exception leaves the raw record."""
    monkeypatch.setattr("connectors.archive.table.decode_records", lambda *_: 1 / 0)
    found = table("ticks", 0, [tick(0)])
    assert found["_offset"].to_pylist() == [0]
    assert found["at"].to_pylist() == [None]
