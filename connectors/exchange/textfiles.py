"""CSV as departments export it: UTF-8 or GB 18030, commas, tabs or semicolons, perhaps a title above the headings."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv

from connectors.exchange.forms import Form
from connectors.exchange.source import BadRow, Piece, SourceError, find_header, headings
from connectors.files.reading import opened

_BLOCK: Final = 1 << 20
_CSV_BLOCK: Final = 4 << 20  # a row larger than this is an error of the file
_DELIMITERS: Final = ",\t;|"
_LOOK: Final = 64 * 1024
_WITHIN: Final = 10


def encoding_of(path: Path) -> tuple[str, int]:
    """`utf-8` or `gb18030`, whichever the whole file is without a fault, and how many lines it has. Where it is neither, but its
    beginning is UTF-8: `utf-8`, and the broken rows are refused. Raises SourceError.
    """
    with opened(path) as file:
        head = file.read(_LOOK)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{path.name}: UTF-16 文本，请另存为 UTF-8 text in UTF-16: save it as UTF-8")
    for encoding in ("utf-8", "gb18030"):
        lines = _decodes(path, encoding)
        if lines is not None:
            return encoding, lines
    if _head_is_utf8(head):
        return "utf-8", 0
    raise SourceError(f"{path.name}: 既非 UTF-8 也非 GB 18030 neither UTF-8 nor GB 18030", "bad-utf8")


def _decodes(path: Path, encoding: str) -> int | None:
    """Lines of a file that is text in that encoding from end to end, else None."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines = 0
    try:
        with opened(path) as file:
            while block := file.read(_BLOCK):
                lines += block.count(b"\n")
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return lines


def _head_is_utf8(head: bytes) -> bool:
    """Whether the first line is UTF-8."""
    try:
        head.partition(b"\n")[0].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class CsvFile:
    """A CSV file: encoding, delimiter, headings and the line that they stand in."""

    def __init__(self, path: Path, form: Form) -> None:
        """Looks at the whole file once. Raises SourceError or OSError."""
        self.path = path
        self.encoding, self.lines = encoding_of(path)
        with opened(path) as file:
            head = file.read(_LOOK).decode("utf-8-sig" if self.encoding == "utf-8" else self.encoding, "replace")
        rows = {d: _rows(head, d) for d in _DELIMITERS}
        self.delimiter = max(rows, key=lambda d: max((_known(form, row) for row in rows[d]), default=0))
        self.header = find_header(form, rows[self.delimiter])
        self.names = headings(rows[self.delimiter][self.header])

    @property
    def first(self) -> int:
        """The number of the first row of data; the headings stand in the one before."""
        return self.header + 2

    def pieces(self) -> Iterator[Piece]:
        """Its rows. Raises SourceError where it is no CSV."""
        try:
            yield from self._pieces()
        except (pa.ArrowInvalid, EOFError, gzip.BadGzipFile) as error:
            raise SourceError(f"{self.path.name}: {' '.join(str(error).split())[:300]}") from error

    def _pieces(self) -> Iterator[Piece]:
        odd: list[tuple[int, str, int]] = []

        def keep(row: Any) -> str:
            odd.append((row.number, row.text, row.actual_columns))
            return "skip"

        reader = pyarrow.csv.open_csv(
            pa.input_stream(str(self.path), compression="gzip" if self.path.suffix.lower() == ".gz" else None),
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=_CSV_BLOCK,
                encoding="utf8" if self.encoding == "utf-8" else self.encoding,
                column_names=self.names,
                skip_rows=self.header + 1,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep
            ),
            pyarrow.csv.ConvertOptions(column_types={n: pa.binary() for n in self.names}, strings_can_be_null=False),
        )
        at = self.first
        skipped: set[int] = set()
        for batch in reader:
            rows = pl.DataFrame(pl.from_arrow(batch))
            skipped = {number for number in skipped if number >= at} | {number for number, _, _ in odd}
            lines, end = _numbered(at, rows.height, skipped)
            mine = [one for one in odd if one[0] < end]
            odd[:] = [one for one in odd if one[0] >= end]
            yield self._decoded(rows, lines, self._bad(mine), end - 1)
            at = end
        if odd:
            none = pl.DataFrame(schema=dict.fromkeys(self.names, pl.String))
            yield Piece(none, pl.Series([], dtype=pl.Int64), self._bad(odd), odd[-1][0])

    def _bad(self, odd: list[tuple[int, str, int]]) -> list[BadRow]:
        width = len(self.names)
        return [
            BadRow(number, text, "bad-mapping", f"{columns} 列而非 columns, not {width}")
            for number, text, columns in odd
            if text.strip()
        ]

    def _decoded(self, rows: pl.DataFrame, lines: pl.Series, bad: list[BadRow], upto: int) -> Piece:
        text = rows.select(_utf8(rows[name]) for name in rows.columns)
        broken = pl.Series([False]).new_from_index(0, rows.height)
        for name in rows.columns:
            broken |= text[name].is_null() & rows[name].is_not_null()
        if broken.any():
            wrong = zip(lines.filter(broken), rows.filter(broken).rows(), strict=True)
            bad = bad + [BadRow(n, b",".join(row).decode("utf-8", "replace"), "bad-utf8", "") for n, row in wrong]
            bad.sort(key=lambda one: one.line)
        return Piece(text.filter(~broken), lines.filter(~broken), bad, upto)


def _rows(head: str, delimiter: str) -> list[list[str]]:
    try:
        return [row for row, _ in zip(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), range(_WITHIN))]  # noqa: B905 - the shorter ends it
    except csv.Error:
        return []


def _known(form: Form, row: list[str]) -> int:
    return sum(form.column_of(cell) is not None for cell in row if cell)


def _numbered(at: int, count: int, skipped: set[int]) -> tuple[pl.Series, int]:
    """Numbers of `count` rows from line `at` on, around the skipped ones; and the number after the last."""
    within = sorted(n for n in skipped if n >= at)
    ends = at + count
    for n in within:
        if n < ends:
            ends += 1
    lines = pl.int_range(at, ends, dtype=pl.Int64, eager=True)
    return (lines.filter(~lines.is_in(within)) if within else lines), ends


def _utf8(column: pl.Series) -> pl.Series:
    """The column as text; null where it is not UTF-8. Only a column that has such a row costs Python time."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts: list[str | None] = []
        for value in column.to_list():
            try:
                texts.append(None if value is None else value.decode("utf-8"))
            except UnicodeDecodeError:
                texts.append(None)
        return pl.Series(column.name, texts, dtype=pl.String)
