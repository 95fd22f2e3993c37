"""Where rows come from: the same rows give the same events out of every kind of source; what cannot be read is told in a line."""

import datetime as dt
import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from connectors.exchange import FORMS, FormError, SourceError, open_source
from connectors.exchange.source import chunks
from connectors.exchange.workbook import Workbook
from tests.unit.connectors.exchange.tables import GOOD, House, Row, rows_of

ROWS = rows_of("penalty", 12_345)
HEADINGS = list(GOOD["penalty"])


def csv_of(folder: Path, rows: list[Row], **how: str) -> Path:
    return House(folder).csv(rows, how.get("name", "t.csv"), how.get("encoding", "utf-8"))


def packed(folder: Path, rows: list[Row]) -> Path:
    path = folder / "t.csv.gz"
    path.write_bytes(gzip.compress(csv_of(folder, rows).read_bytes()))
    return path


def xlsx_of(folder: Path, rows: list[Row], title: bool = True) -> Path:
    path = folder / "t.xlsx"
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        hidden = book.add_worksheet("说明")
        hidden.hide()
        sheet = book.add_worksheet("处罚")
        sheet.activate()
        if title:
            sheet.write(0, 0, "某市双公示行政处罚一览表")
        sheet.write_row(int(title), 0, list(rows[0]))
        for i, row in enumerate(rows):
            sheet.write_row(i + 1 + title, 0, [value or "" for value in row.values()])
    return path


def json_lines(folder: Path, rows: list[Row]) -> Path:
    path = folder / "t.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def json_array(folder: Path, rows: list[Row]) -> Path:
    path = folder / "t.json"
    path.write_text(json.dumps({"RECORDS": rows}, ensure_ascii=False, indent=2), "gb18030")
    return path


def parquet(folder: Path, rows: list[Row]) -> Path:
    path = folder / "t.parquet"
    frame = pl.DataFrame(rows, infer_schema_length=None)
    typed = [pl.col("CF_JDRQ").str.to_date(), pl.col("CF_NR_FK").cast(pl.Float64)]
    frame.with_columns(typed).write_parquet(path)
    return path


MAKERS: list[Callable[[Path, list[Row]], Path]] = [csv_of, packed, xlsx_of, json_lines, json_array, parquet]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_source_says_the_same(house: House, make: Callable[[Path, list[Row]], Path]) -> None:
    """The same 12,345 rows, whatever holds them, are the same events in the same order."""
    tally = house.run("penalty", make(house.folder, ROWS)).tally
    assert (tally.read, tally.sent, tally.refused) == (12_345, 12_345, {})
    events = house.writer.events()
    assert [event["document_no"] for event in events] == [row["CF_WSH"] for row in ROWS]
    assert {event["fine"] for event in events} == {2000.0}
    assert {event["decided_at"] for event in events} == {1_772_294_400_000}


def table(folder: Path, rows: list[Row], key: str = "") -> str:
    with sqlite3.connect(folder / "d.db") as base:
        columns = ", ".join(f"{name} TEXT" for name in rows[0])
        base.execute(f"CREATE TABLE cf ({columns}{key})")
        marks = ", ".join("?" for _ in rows[0])
        base.executemany(f"INSERT INTO cf VALUES ({marks})", [list(row.values()) for row in rows])  # noqa: S608
    base.close()
    return f"sqlite:///{folder / 'd.db'}"


@pytest.mark.parametrize(
    "what", [{"table": "cf"}, {"query": "SELECT * FROM cf WHERE CF_WSH LIKE 'K%' AND '9:30' <> ':x';"}]
)
def test_a_database(house: House, what: dict[str, str]) -> None:
    """A table, or a query with colons in it, comes whole and in the order of its keys."""
    source = open_source(table(house.folder, ROWS), FORMS["penalty"], **what)  # type: ignore[arg-type]
    assert (source.total, source.identity["order"]) == (12_345, ["CF_WSH", "CF_XDR_SHXYM", "CF_XDR_ZJHM"])
    lines = [number for piece in chunks(source, 1000) for number in piece.lines]
    assert lines == list(range(1, 12_346))
    names = [name for piece in chunks(source, 1000) for name in piece.rows["CF_WSH"]]
    assert names == sorted(row["CF_WSH"] or "" for row in ROWS)


def test_a_database_with_a_key(tmp_path: Path) -> None:
    """A primary key is the order."""
    source = open_source(table(tmp_path, ROWS[:5], ", PRIMARY KEY (CF_WSH)"), FORMS["penalty"], table="cf")
    assert source.identity["order"] == ["CF_WSH"]


def test_odd_types_of_a_database(tmp_path: Path) -> None:
    """Numbers, bytes and nulls in one column are texts, each by itself."""
    with sqlite3.connect(tmp_path / "d.db") as base:
        base.execute("CREATE TABLE t (ticket_no, title, accepted_at)")
        base.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, b"\xe7\x94\xb2", 2.0), (2, None, "x"), (3, 1.5, None)])
    base.close()
    source = open_source(f"sqlite:///{tmp_path / 'd.db'}", FORMS["hotline"], table="t")
    (piece,) = chunks(source, 10)
    assert piece.rows.rows() == [("1", "甲", "2"), ("2", None, "x"), ("3", "1.5", None)]


@pytest.mark.parametrize(
    ("url", "what", "says"),
    [
        ("sqlite:///{}/d.db", {"table": "no"}, "no table no"),
        ("sqlite:///{}/d.db", {}, "--table"),
        ("sqlite:///{}/d.db", {"query": "DELETE FROM cf"}, "syntax"),
        ("sqlite:///{}/missing/d.db", {"table": "cf"}, "unable to open"),
        ("postgresql://u:secret@127.0.0.1:1/d", {"table": "cf"}, "psycopg"),
        ("gaussdb://u:secret@h/d", {"table": "cf"}, "driver"),
    ],
)
def test_a_database_that_cannot_be_read(tmp_path: Path, url: str, what: dict[str, str], says: str) -> None:
    """One line that says why, or which driver to install; never a password."""
    table(tmp_path, ROWS[:2])
    with pytest.raises(SourceError, match=says) as raised:
        open_source(url.format(tmp_path), FORMS["penalty"], **what)  # type: ignore[arg-type]
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings(house: House, encoding: str) -> None:
    """UTF-8 with and without a mark, and GB 18030, are told apart."""
    house.run("penalty", house.csv(ROWS[:3], encoding=encoding))
    assert [event["party_name"] for event in house.writer.events()] == ["某某食品有限公司"] * 3


def test_broken_rows_of_a_csv(house: House) -> None:
    """Rows in broken UTF-8 or with too many cells are refused where they stand; titles and blank lines are lines, not rows."""
    head = "双公示一览," + "," * (len(HEADINGS) - 2) + "\r\n" + ",".join(HEADINGS) + "\r\n"
    rows = [",".join(value or "" for value in row.values()).encode() for row in ROWS[:4]]
    rows[1] = rows[1].replace("某某".encode(), b"\xff\xfe")
    path = house.folder / "t.csv"
    path.write_bytes(
        head.encode() + b"\r\n".join([rows[0], b"", rows[1], rows[2] + b",x", b"," * (len(HEADINGS) - 1), rows[3]])
    )
    tally = house.run("penalty", path, chunk_rows=2).tally
    assert (tally.read, tally.sent, tally.refused) == (4, 2, {"bad-utf8": 1, "bad-mapping": 1})
    assert [(one["line"], one["code"]) for one in house.entries()] == [("5", "bad-utf8"), ("6", "bad-mapping")]
    assert {letter["reason"] for letter in house.writer.letters()} == {"bad-utf8", "bad-mapping"}


@pytest.mark.parametrize("array", [False, True])
def test_broken_records_of_json(house: House, array: bool) -> None:
    """What is no object is refused where it stands, and its neighbours go on."""
    good = [json.dumps(row, ensure_ascii=False) for row in ROWS[:3]]
    parts = [good[0], "7", good[1], '{"CF_WSH": nul}' if array else "{", good[2]]
    path = house.folder / "t.json"
    path.write_text(f"[{','.join(parts)}]" if array else "\n".join([*parts, ""]), "utf-8")
    tally = house.run("penalty", path).tally
    assert (tally.read, tally.sent, tally.refused) == (5, 3, {"bad-json": 2})
    assert [one["line"] for one in house.entries()] == ["2", "4"]


def test_cells_of_a_workbook(house: House) -> None:
    """Dates and numbers of Excel are read as they are meant; a row's number is the spreadsheet's; a sheet is chosen by name."""
    path = house.folder / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("空")
        sheet = book.add_worksheet("检查")
        sheet.write_row(2, 1, list(GOOD["inspection"]))
        sheet.write_row(4, 1, [value or "" for value in GOOD["inspection"].values()])
        day = list(GOOD["inspection"]).index("check_date") + 1
        sheet.write_datetime(4, day, dt.datetime(2026, 3, 1, 9, 30), book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write_number(4, list(GOOD["inspection"]).index("area_number") + 1, 320102)
        sheet.write_row(6, 1, ["", "", "x", "JC2"])
    source = open_source(str(path), FORMS["inspection"], sheet="检查")
    assert source.first == 4
    tally = house.run_source("inspection", source).tally
    assert (tally.read, tally.sent, tally.refused) == (2, 1, {"missing-field": 1})
    (event,) = house.writer.events()
    assert (event["occurred_at"], event["region"]) == (1_772_328_600_000, "320102")
    assert [one["line"] for one in house.entries()] == ["7"]


def bomb(path: Path, lie: bool) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 3_000_000)
    if lie:  # the directory says that it is small
        data = path.read_bytes()
        size = (3_000_000).to_bytes(4, "little")
        at = data.rindex(size)
        path.write_bytes(data[:at] + (100).to_bytes(4, "little") + data[at + 4 :])


@pytest.mark.parametrize("lie", [False, True])
def test_a_zip_bomb(tmp_path: Path, lie: bool) -> None:
    """A workbook that unpacks to more than the limit, or lies about it, is refused before it is read."""
    path = tmp_path / "b.xlsx"
    bomb(path, lie)
    with pytest.raises(SourceError, match="no XLSX" if lie else "unpacked-too-large"):
        Workbook(path, FORMS["penalty"], limit=2_000_000)


@pytest.mark.parametrize(
    ("name", "data", "error", "says"),
    [
        ("x.docx", b"", SourceError, "not one of"),
        ("x.xls", b"", SourceError, "save an .xls as .xlsx"),
        ("x.xlsx", b"PK", SourceError, "no XLSX"),
        ("x.csv", b"\xff\xfea\x00", SourceError, "UTF-16"),
        ("x.csv", b"\x81\xff\n", SourceError, "neither UTF-8 nor GB 18030"),
        ("x.csv", b"a,b\n1,2\n", SourceError, "none of the headings"),
        ("x.csv", b"CF_WSH,CF_NR\n1,2\n", FormError, "CF_JDRQ"),
        ("x.csv", b"", SourceError, "none of the headings"),
        ("x.json", b'[{"CF_WSH": "1"}, {"CF', SourceError, "does not end"),
        ("x.parquet", b"PAR1", SourceError, "x.parquet"),
    ],
)
def test_what_cannot_be_read(house: House, name: str, data: bytes, error: type[Exception], says: str) -> None:
    """It is told in one line."""
    path = house.folder / name
    path.write_bytes(data)
    with pytest.raises(error, match=says) as raised:
        house.run("penalty", path)
    assert "\n" not in str(raised.value)


def test_two_headings_of_one_meaning(house: House) -> None:
    """The one that the form names first is taken, and the other where that is empty, wherever they stand."""
    rows = [{"处罚文书号": "B", **GOOD["penalty"], "CF_WSH": number} for number in ("A", " ", None)]
    house.run("penalty", house.csv([*rows[:2], rows[2] | {"处罚文书号": "C"}]))
    assert [event["document_no"] for event in house.writer.events()] == ["A", "B", "C"]


def test_headings_of_people(house: House) -> None:
    """Chinese headings with stars, units, blanks and full-width letters mean the form's columns."""
    names = {
        "CF_WSH": "*行政处罚决定书文号",
        "CF_NR_FK": "罚款金额（万元）",
        "CF_JDRQ": " 处罚决定日期 ",
        "CF_CFLB": "处罚类别*",
        "CF_NR": "ＣＦ＿ＮＲ",
    }
    row = {names.get(name, name): value for name, value in GOOD["penalty"].items()}
    tally = house.run("penalty", house.csv([row])).tally
    assert (tally.sent, tally.warned.total()) == (1, 0)
