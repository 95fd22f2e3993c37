"""Laws of batch exchange: cuts change nothing, cleaning what is clean changes nothing, nobody is refused in silence."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.exchange import FORMS
from connectors.exchange.cleaning import clean
from connectors.exchange.source import BadRow, Piece, Source, chunks
from tests.unit.connectors.exchange.tables import GOOD, House, Row

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    *("undefined", "null", "无", "—", "：", ":", "(1/1)", "（1/1）", "'", " ", "\u3000", "\ufeff", "=1", "ﬁ", "ΐ", "①"),
    *("９１", "万元", "元", "整", ",", "0.2", "2000", "罚款2000元", "罚款贰仟元", "警告", "没收"),
    *("2026-03-01", "2026/3/1", "年3月1日", "20260301", "46082", "46082.75"),
    *("91350100m000100y43", "110105491231002", "11010519491231002X", "自然人", "身份证", "001"),
    *("i", "u", "d", "不合格", "张三、李四"),
]
cells = st.none() | st.lists(st.sampled_from(PIECES), max_size=3).map("".join) | st.text(max_size=8)


@st.composite
def rows_of(draw: st.DrawFn, form: str) -> list[Row]:
    """Good rows of a form, a few cells of each changed, some repeated."""
    base = {FORMS[form].column_of(name) or name: value for name, value in GOOD[form].items()}
    names = sorted(base)
    made: list[Row] = []
    for i in range(draw(st.integers(1, 14))):
        key = FORMS[form].keys[0]
        row: Row = base | {key: f"K{draw(st.integers(0, 9))}" if draw(st.booleans()) else f"R{i}"}
        for name in draw(st.lists(st.sampled_from(names), max_size=4)):
            row[name] = draw(cells)
        made.append(row)
    return made


def frame_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String))


def source_of(rows: list[Row], cuts: list[int]) -> Source:
    """A table in memory whose pieces end at the cuts."""
    frame = frame_of(rows)
    ends = sorted({min(cut, frame.height) for cut in cuts} | {frame.height})

    def pieces() -> Any:
        start = 0
        for end in ends:
            part = frame.slice(start, end - start)
            yield Piece(part, pl.int_range(start + 2, end + 2, dtype=pl.Int64, eager=True), upto=end + 1)
            start = end

    return Source("memory", frame.columns, {}, pieces)


forms = st.sampled_from(sorted(GOOD))


@quick
@given(st.data(), forms, st.lists(st.integers(0, 14), max_size=4), st.integers(1, 20))
def test_how_a_table_is_cut_changes_nothing(data: st.DataObject, form: str, cuts: list[int], size: int) -> None:
    """Any pieces and any size of chunks give the same events in the same order, the same counts and the same report."""
    rows = data.draw(rows_of(form))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, parts = House(Path(one)), House(Path(other))
        expected = whole.run_source(form, source_of(rows, []), chunk_rows=1000)
        found = parts.run_source(form, source_of(rows, cuts), chunk_rows=size)
        assert parts.writer.events() == whole.writer.events()
        assert found.tally.as_json() == expected.tally.as_json()
        assert parts.report.read_bytes() == whole.report.read_bytes()
        assert sorted(map(str, parts.writer.letters())) == sorted(map(str, whole.writer.letters()))


@quick
@given(st.data(), forms)
def test_cleaning_what_is_clean_changes_nothing(data: st.DataObject, form: str) -> None:
    """clean(clean(x)) == clean(x), and the second time nothing is counted."""
    once = clean(FORMS[form], frame_of(data.draw(rows_of(form))))
    again = clean(FORMS[form], once.frame)
    assert again.frame.equals(once.frame)
    assert [finding.rule for finding in again.found] == []


@quick
@given(st.data(), forms)
def test_nobody_is_refused_in_silence(data: st.DataObject, form: str) -> None:
    """Each row is sent, skipped or refused; each that is refused stands in the report once, and is one dead letter."""
    rows = data.draw(rows_of(form))
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        tally = house.run_source(form, source_of(rows, [])).tally
        entries = house.entries()
        refused = [one["line"] for one in entries if one["consequence"].startswith("拒绝")]
        assert len(refused) == len(set(refused)) == tally.refused.total() == len(house.writer.letters())
        assert tally.read == tally.sent + tally.refused.total() + tally.skipped.total()
        assert tally.sent == len(house.writer.events())
        assert tally.warned.total() == sum(one["consequence"].startswith("提示") for one in entries)
        kept = {one["line"] for one in entries if one["consequence"].startswith("提示")}
        assert kept.isdisjoint(refused)


@quick
@given(
    st.lists(st.integers(1, 60), unique=True).map(sorted), st.lists(st.integers(1, 60), max_size=5), st.integers(1, 25)
)
def test_chunks_hold_each_line_once(lines: list[int], cuts: list[int], size: int) -> None:
    """Lines stay in order, each once, bad ones among them; a chunk ends at a multiple of its size, or where the source does."""

    def pieces() -> Any:
        start = 0
        for end in sorted({*cuts, 60}):
            own = [line for line in lines if start < line <= end]
            good = [line for line in own if line % 5]
            bad = [BadRow(line, "", "bad-json", "") for line in own if line % 5 == 0]
            yield Piece(pl.DataFrame({"a": [str(n) for n in good]}), pl.Series(good, dtype=pl.Int64), bad, end)
            start = end

    found = list(chunks(Source("x", ["a"], {}, pieces), size))
    told = [line for piece in found for line in sorted([*piece.lines, *(bad.line for bad in piece.bad)])]
    assert told == lines
    assert all(piece.upto % size == 0 for piece in found[:-1])
    assert [str(line) for piece in found for line in piece.lines] == [
        text for piece in found for text in piece.rows["a"]
    ]
