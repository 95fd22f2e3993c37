"""A batch under way: progress, going on, the report, dry runs. A killed process: tests/acceptance/test_exchange.py."""

import json
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import make_url

from connectors.exchange import FORMS, ProgressError, Terms, open_source
from connectors.exchange.progress import alone
from connectors.producing import BrokerGone
from tests.unit.connectors.exchange.tables import GOOD, NOW, House, Kept, Row, rows_of


def mixed(count: int) -> list[Row]:
    """Good rows, every seventh with a warning, every eleventh refused, every thirteenth a repeat."""
    rows = rows_of("penalty", count)
    for i in range(0, count, 7):
        rows[i]["CF_NR_FK"] = "0.3"
    for i in range(0, count, 11):
        rows[i]["CF_JDRQ"] = None
    for i in range(13, count, 13):
        rows[i]["CF_WSH"] = rows[i - 12]["CF_WSH"]
    return rows


def ids(writer: Kept) -> list[str]:
    return [event["event_id"] for event in writer.events()]


@pytest.mark.parametrize("stop", range(1, 22, 3))
def test_it_goes_on_where_it_stopped(house: House, tmp_path: Path, stop: int) -> None:
    """A batch whose writer fails after any number of writes, run again, comes to the same events, counts and report as one that
    was not stopped; at most one chunk was sent twice."""
    whole = House(tmp_path / "whole")
    whole.folder.mkdir()
    path = house.csv(mixed(100))
    expected = whole.run("penalty", path, chunk_rows=10).tally.as_json()
    house.writer.fails_after = stop
    with pytest.raises(BrokerGone):
        house.run("penalty", path, chunk_rows=10)
    house.writer.fails_after = None
    outcome = house.run("penalty", path, chunk_rows=10)
    assert outcome.tally.as_json() == expected
    assert outcome.from_line % 10 == 0
    assert (outcome.from_line > 0) == (stop > 1)
    assert house.report.read_bytes() == whole.report.read_bytes()
    assert set(ids(house.writer)) == set(ids(whole.writer))
    twice = [one for one, count in Counter(ids(house.writer)).items() if count > 1]
    assert len(twice) <= 10


def test_a_finished_batch_sends_nothing_again(house: House) -> None:
    """Run again it tells the same counts and sends nothing; `restart` sends everything, with the same ids."""
    path = house.csv(mixed(30))
    first = house.run("penalty", path)
    sent = ids(house.writer)
    again = house.run("penalty", path)
    assert (again.before, again.tally.as_json(), ids(house.writer)) == (True, first.tally.as_json(), sent)
    report = house.report.read_bytes()
    anew = house.run("penalty", path, restart=True)
    assert (anew.before, anew.tally.as_json(), ids(house.writer)) == (False, first.tally.as_json(), sent * 2)
    assert house.report.read_bytes() == report


def test_a_restart_that_is_stopped_at_once_is_not_finished(house: House) -> None:
    """What was finished before does not count for a batch that began anew and did not come far."""
    path = house.csv(mixed(30))
    first = house.run("penalty", path)
    house.writer.fails_after = house.writer.calls
    with pytest.raises(BrokerGone):
        house.run("penalty", path, restart=True)
    house.writer.fails_after = None
    again = house.run("penalty", path)
    assert (again.before, again.from_line, again.tally.as_json()) == (False, 0, first.tally.as_json())


def stopped(house: House) -> Path:
    path = house.csv(mixed(100))
    house.writer.fails_after = 6
    with pytest.raises(BrokerGone):
        house.run("penalty", path, chunk_rows=10)
    house.writer.fails_after = None
    return path


def test_lines_of_a_chunk_that_was_not_done_are_cut(house: House) -> None:
    """A process killed between report and progress leaves lines that the next run would write again: each stands there once."""
    path = stopped(house)
    with house.report.open("ab") as report:
        report.write(b"99,x,x,x,x,x,a line that is much longer than all that follow would overwrite" * 100)
    tally = house.run("penalty", path, chunk_rows=10).tally
    assert len(house.entries()) == tally.warned.total() + tally.refused.total()


def test_a_changed_source_is_told(house: House) -> None:
    """Going on with another file, form, sector or engine would lose rows: it is refused, until `restart` says so."""
    path = stopped(house)
    for more in ({"target": "other"}, {"terms": Terms(b"k" * 32, "market")}):
        with pytest.raises(ProgressError, match="others than before"):
            house.run("penalty", path, chunk_rows=10, **more)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ProgressError, match=r"mtime_ns, size.*--restart"):
        house.run("penalty", path, chunk_rows=10)
    assert house.run("penalty", path, chunk_rows=10, restart=True).tally.read == 100


def test_a_changed_database_is_told(house: House) -> None:
    """A row that came before the last one sent, or rows that went: the place is not where it was."""
    import sqlite3

    house.csv(mixed(1))
    base = sqlite3.connect(house.folder / "d.db")
    names = list(GOOD["penalty"])
    base.execute(f"CREATE TABLE cf ({', '.join(names)})")
    insert = f"INSERT INTO cf VALUES ({', '.join('?' for _ in names)})"  # noqa: S608 - our own names
    base.executemany(
        insert, [list((row | {"CF_WSH": f"N{i:03}"}).values()) for i, row in enumerate(rows_of("penalty", 50))]
    )
    base.commit()
    source = open_source(f"sqlite:///{house.folder / 'd.db'}", FORMS["penalty"], table="cf")
    house.writer.fails_after = 3
    with pytest.raises(BrokerGone):
        house.run_source("penalty", source, chunk_rows=10)
    house.writer.fails_after = None
    base.execute(insert, list((GOOD["penalty"] | {"CF_WSH": "A"}).values()))
    base.commit()
    with pytest.raises(ProgressError, match="another than before"):
        house.run_source("penalty", source, chunk_rows=10)
    base.execute("DELETE FROM cf WHERE CF_WSH <> 'N001'")
    base.commit()
    with pytest.raises(ProgressError, match="fewer"):
        house.run_source("penalty", source, chunk_rows=10)
    base.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9, "identity": {}}'])
def test_a_broken_progress_file_is_told(house: House, text: str) -> None:
    """It is never taken for a beginning."""
    path = stopped(house)
    progress = house.report.with_name("report.csv.progress.json")
    progress.write_text(text)
    with pytest.raises(ProgressError, match="restart"):
        house.run("penalty", path)


def test_a_report_that_is_gone_is_told(house: House) -> None:
    """Its lines would be lacking."""
    path = stopped(house)
    house.report.unlink()
    with pytest.raises(ProgressError, match="report"):
        house.run("penalty", path)


def test_one_process_at_a_time(house: House) -> None:
    """A second one is told, and the lock leaves nothing behind."""
    path = house.csv(mixed(3))
    progress = house.report.with_name("report.csv.progress.json")
    with alone(progress), pytest.raises(ProgressError, match="another process"):
        house.run("penalty", path)
    house.run("penalty", path)
    assert sorted(p.name for p in house.folder.iterdir()) == ["report.csv", "report.csv.progress.json", "t.csv"]


def test_progress_names_no_password(house: House) -> None:
    """The progress file of a database has its address without, and without options, which may hold one."""
    import sqlite3

    base = sqlite3.connect(house.folder / "d.db")
    base.execute(f"CREATE TABLE cf ({', '.join(GOOD['penalty'])})")
    base.close()
    source = open_source(f"sqlite:///{house.folder / 'd.db'}?timeout=7", FORMS["penalty"], table="cf")
    house.run_source("penalty", source)
    saved = json.loads(house.report.with_name("report.csv.progress.json").read_text())
    assert saved["done"]
    assert saved["identity"]["url"] == f"sqlite:///{house.folder / 'd.db'}"
    assert "***" in make_url("mysql://u:secret@h/d").render_as_string(hide_password=True)


def test_a_dry_run_sends_nothing(house: House) -> None:
    """It counts and reports as a real run, and keeps no progress; it never takes a real run's report."""
    path = house.csv(mixed(50))
    dry = house.run("penalty", path, writer=None)
    report = house.report.read_bytes()
    assert not house.report.with_name("report.csv.progress.json").exists()
    real = house.run("penalty", path)
    assert real.tally.as_json() == dry.tally.as_json()
    assert house.report.read_bytes() == report
    with pytest.raises(ProgressError, match="--report"):
        house.run("penalty", path, writer=None)


def test_counts_go_to_the_gateway_metrics(house: House) -> None:
    """Accepted by kind, rejected by reason."""
    tally = house.run("penalty", house.csv(mixed(100)), chunk_rows=9).tally
    value = house.registry.get_sample_value
    accepted = value("fengsui_gateway_events_accepted_total", {"gateway": "exchange", "kind": "penalty"})
    rejected = value("fengsui_gateway_events_rejected_total", {"gateway": "exchange", "reason": "missing-field"})
    assert (accepted, rejected) == (tally.sent, tally.refused["missing-field"])
    assert tally.read == tally.sent + tally.refused.total() + tally.skipped.total()


def test_the_report_opens_in_a_spreadsheet(house: House) -> None:
    """A byte order mark, a heading, quoted cells; what would be a formula is a text."""
    row = GOOD["penalty"] | {"CF_NR_FK": "=1+2", "CF_WSH": "K"}
    house.run("penalty", house.csv([row]))
    assert house.report.read_bytes().startswith(b"\xef\xbb\xbf")
    (entry,) = [one for one in house.entries() if one["code"] == "bad-amount"]
    assert (entry["line"], entry["column"], entry["value"]) == ("2", "CF_NR_FK", "'=1+2")


def test_unknown_and_absent_columns_are_told(house: House) -> None:
    """Headings that mean nothing, and columns that the exchange asks for."""
    row: Row = {
        "CF_WSH": "1",
        "CF_JDRQ": "2026-03-01",
        "CF_XDR_SHXYM": "91350100M000100Y43",
        "CF_CFLB": "警告",
        "备用": "x",
    }
    outcome = house.run("penalty", house.csv([row | {"CF_CFJG": "某县城市管理和食品局"}]))
    assert outcome.unknown == ["备用"]
    assert "违法事实" in outcome.absent
    assert outcome.tally.warned == {}


def test_the_same_clock(house: House) -> None:
    """A batch judges times by the clock that it is given."""
    path = house.csv([GOOD["penalty"]])
    assert house.run("penalty", path, now_ms=lambda: NOW - 400 * 86_400_000).tally.refused == {"time-in-future": 1}
