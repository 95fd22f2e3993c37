"""SQL over the archive: what may be asked, what is answered, what is out of reach."""

import json
from pathlib import Path

import pytest

from connectors.archive.query import Answer, Limits, QueryFailed, query
from connectors.archive.query_child import fenced
from connectors.archive.shelf import Shelf
from connectors.archive.sql import SqlRefused, guard
from connectors.archive.table import Record
from tests.unit.topics.samples import event
from topics.records import TICK
from topics.wire import encode

NOON = 1_767_240_000_000
DAY = 86_400_000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ten sensor readings over two days, three ticks of which one is broken."""
    readings = [event("iot", event_id=f"e{i}", value=float(i)) for i in range(10)]
    shelf = Shelf(tmp_path, "events.iot", 0)
    assert shelf.try_lock()
    list(shelf.write([Record(i, NOON + i // 5 * DAY, b"\xff", v) for i, v in enumerate(readings)]))
    shelf.release()
    shelf = Shelf(tmp_path, "ticks", 1)
    assert shelf.try_lock()
    list(shelf.write([Record(i, NOON, None, v) for i, v in enumerate([encode(TICK, {"at": 5}), b"\x00junk", None])]))
    shelf.release()
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "select 1; select 2",
        "drop table clues",
        "copy clues to 'x.csv'",
        "attach 'x.db'",
        "install httpfs",
        "load httpfs",
        "pragma database_list",
        "set memory_limit='1TB'",
        "create table t as select 1",
        "insert into clues select 1",
        "delete from clues",
        "select * into x from clues",
        "explain analyze select 1",
        "select * from read_csv('x.csv')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        'select * from "x.parquet"',
        "select * from glob('*')",
        "select * from duckdb_settings()",
        "select * from query('select 1')",
        "select * from information_schema.tables",
        "select * from nowhere",
        "from read_blob('/etc/passwd')",
        "with a as (select * from read_text('/etc/passwd')) select * from a",
        "select (select content from read_text('/etc/passwd'))",
        "",
        "   ",
        "not sql at all (",
        "select " + "(" * 5000 + "1" + ")" * 5000,
        "select " + " and ".join(["1=1"] * 5000),
        "select " + "- " * 3000 + "1",
        "select '" + "x" * 30_000 + "'",
        "select '\0'",
    ],
)
def test_what_may_not_be_asked_is_refused(text: str) -> None:
    """Anything but one SELECT over the archive's own tables is refused in one line, without a traceback."""
    with pytest.raises(SqlRefused) as refused:
        guard(text)
    assert len(str(refused.value).splitlines()) == 1


def test_queries_that_may_be_asked() -> None:
    """Joins, CTEs, set operations, window functions and series pass, and name the topics they read."""
    text = """with a as (select subject, count(*) n from events_iot group by 1)
        select * from a join clue_log using (subject)
        union all select * from (select subject, row_number() over () from warnings_fire_rescue), range(3)"""
    assert set(guard(text).topics) == {"events.iot", "clue-log", "warnings.fire-rescue"}


def test_answers(archive: Path) -> None:
    """Raw and decoded columns, the date of the folder, bytes as text or hex, all in one bounded process."""
    text = "select date, count(*) n, sum(value) s, min(_offset) o from events_iot group by all order by date"
    assert query(archive, text) == Answer(
        ["date", "n", "s", "o"], [["2026-01-01", 5, 10.0, 0], ["2026-01-02", 5, 35.0, 5]], False
    )
    found = query(archive, "select _partition, _key, at, _value from ticks order by _offset")
    assert found.rows[0][:3] == [1, None, 5]
    assert found.rows[1][3] == "0x006a756e6b"
    assert found.rows[2] == [1, None, None, None]
    assert query(archive, "select count(*) from clues").rows == [[0]]
    assert query(archive, "select 'nan'::double x, 1.5::decimal(4,2), [1,2], {'a': '\\xff'::blob}").rows == [
        [None, 1.5, [1, 2], {"a": "0xff"}]
    ]


def test_an_answer_is_cut_at_its_limits(archive: Path) -> None:
    """Rows and bytes are bounded, and the answer says that it was cut."""
    found = query(archive, "select event_id from events_iot order by 1", Limits(rows=3))
    assert (found.rows, found.truncated) == ([["e0"], ["e1"], ["e2"]], True)
    assert query(archive, "select event_id from events_iot", Limits(rows=10)).truncated is False
    assert query(archive, "select repeat('x', 1000) from range(100)", Limits(bytes=5000)).truncated


@pytest.mark.parametrize(
    "text",
    [
        "select nothing from clues",
        "select count(*) from range(100000000000) a, range(1000000) b",
        "select lpad('x', 2000000000)",
        "select length(repeat('x', 1000000000)) from range(100)",
    ],
)
def test_a_query_that_fails_or_never_ends_is_told_in_one_line(archive: Path, text: str) -> None:
    """Wrong columns, endless work and great memory end the query, not the command."""
    with pytest.raises(QueryFailed) as failed:
        query(archive, text, Limits(seconds=2, memory_mb=256))
    assert len(str(failed.value).splitlines()) == 1


def test_a_torn_file_is_an_error_not_a_crash(archive: Path) -> None:
    """A file that is not Parquet makes the query fail with its reason."""
    next((archive / "ticks").rglob("*.parquet")).write_bytes(b"PAR1 nothing")
    with pytest.raises(QueryFailed):
        query(archive, "select * from ticks")


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_text('{root}/secret')",
        "select * from '{root}/secret'",
        "copy (select 1) to '{root}/out'",
        "attach '{root}/x.db'",
        "select * from glob('{root}/*')",
        "load '{root}/x.so'",
        "install httpfs",
        "set enable_external_access = true",
        "set memory_limit = '64GB'",
        "reset lock_configuration",
        "select * from archive_rows",
    ],
)
def test_behind_the_guard_duckdb_itself_reaches_nothing(archive: Path, text: str) -> None:
    """Were the guard fooled, DuckDB would still refuse files, databases, extensions, settings, Python's variables."""
    import duckdb

    (archive / "secret").write_text("secret")
    archive_rows = json.loads("[]")  # a variable that a replacement scan could find
    assert archive_rows == []
    connection = fenced(archive, ["ticks"], 256)
    with pytest.raises(duckdb.Error):
        connection.execute(text.replace("{root}", str(archive))).fetchall()
    assert not (archive / "out").exists()
