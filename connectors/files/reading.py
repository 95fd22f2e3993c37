"""CSV, JSON lines and Parquet, also gzipped, in chunks of bounded size: source rows, and the lines that are no rows."""

import csv
import gzip
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from topics.catalogue import EVENT_BYTES

Form = Literal["csv", "jsonl", "parquet"]
_SUFFIXES: Final[dict[str, Form]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_CHUNK_ROWS: Final = 10_000
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_CSV_BLOCK: Final = 8 * 1024 * 1024  # a row larger than this is an error of the file
_LINES: Final = msgspec.json.Decoder(type=dict[str, Any])


class FileError(ValueError):
    """The file cannot be read as what its name says; one line that says why."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row: what it says, named reason, detail."""

    raw: bytes
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some source rows in the file's order, and the bad lines met on the way; `table`: every row has every column."""

    rows: pl.DataFrame
    bad: list[BadLine] = field(default_factory=list)
    table: bool = True


def form_of(path: Path) -> Form:
    """What a file is, by its name without `.gz`. Raises FileError.

    >>> form_of(Path("inspections.csv.gz"))
    'csv'
    """
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    form = _SUFFIXES.get(name.suffix.lower())
    if form is None:
        raise FileError(f"{path.name}: not one of {', '.join(_SUFFIXES)} (or with .gz)")
    return form


def read_chunks(path: Path, *, encoding: str = "utf-8", delimiter: str = ",") -> Iterator[Chunk]:
    """The file's rows; CSV columns are text. Raises FileError, or OSError when it cannot be opened."""
    form = form_of(path)
    try:
        if form == "csv":
            yield from _csv(path, encoding, delimiter)
        elif form == "parquet":
            yield from _parquet(path)
        else:
            for lines, bad in read_lines(path):
                yield _rows_of(lines, bad)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, EOFError, gzip.BadGzipFile, csv.Error) as error:
        raise FileError(f"{path.name}: {' '.join(str(error).split())[:300]}") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise FileError(f"{path.name}: not {encoding[:40]} text") from error


def read_lines(path: Path) -> Iterator[tuple[list[bytes], list[BadLine]]]:
    """Lines of a text file in chunks, blank ones left out; a line larger than a record may be is bad, cut short."""
    lines: list[bytes] = []
    bad: list[BadLine] = []
    size = 0
    with opened(path) as file:
        while line := file.readline(EVENT_BYTES + 1):
            if len(line) > EVENT_BYTES:
                bad.append(BadLine(line[:EVENT_BYTES], "too-large", f"a line of more than {EVENT_BYTES} bytes"))
                while line and not line.endswith(b"\n"):
                    line = file.readline(EVENT_BYTES)
                continue
            if line.strip():
                lines.append(line.rstrip(b"\r\n"))
                size += len(line)
            if len(lines) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                yield lines, bad
                lines, bad, size = [], [], 0
    if lines or bad:
        yield lines, bad


def _csv(path: Path, encoding: str, delimiter: str) -> Iterator[Chunk]:
    names = _header(path, encoding, delimiter)
    bad: list[BadLine] = []

    def keep(row: Any) -> str:
        bad.append(
            BadLine(row.text.encode(), "bad-mapping", f"{row.actual_columns} columns, not {row.expected_columns}")
        )
        return "skip"

    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    reader = pyarrow.csv.open_csv(
        pa.input_stream(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK, encoding="utf8" if utf8 else encoding),
        pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        pyarrow.csv.ConvertOptions(column_types={name: pa.binary() for name in names}, strings_can_be_null=False),
    )
    for batch in reader:
        rows = pl.DataFrame(pl.from_arrow(batch))
        for start in range(0, rows.height, _CHUNK_ROWS):
            taken = bad[:]
            bad.clear()
            yield _decoded(rows.slice(start, _CHUNK_ROWS), taken)
    if bad:
        yield Chunk(pl.DataFrame(schema=dict.fromkeys(names, pl.String)), bad)


def _decoded(rows: pl.DataFrame, bad: list[BadLine]) -> Chunk:
    """Text columns; a row with invalid UTF-8 anywhere is a bad line."""
    text = rows.select(_text(rows[name]) for name in rows.columns)
    broken = pl.Series([False]).new_from_index(0, rows.height)
    for name in rows.columns:
        broken |= text[name].is_null() & rows[name].is_not_null()
    if not broken.any():
        return Chunk(text, bad)
    lines = [BadLine(b",".join(row), "bad-utf8", "") for row in rows.filter(broken).rows()]
    return Chunk(text.filter(~broken), bad + lines)


def _text(column: pl.Series) -> pl.Series:
    """The column as text; null where it is not UTF-8. Only a column that has such a row costs Python time."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = [_utf8(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    # Rows behind the header may be broken text; that is their own affair.
    with opened(path) as file, io.TextIOWrapper(file, codec, errors="replace", newline="") as text:
        names = next(csv.reader(text, delimiter=delimiter), [])
    if not names:
        raise FileError(f"{path.name}: no header line")
    if len(set(names)) < len(names):
        raise FileError(f"{path.name}: a column name stands twice in the header")
    return names


def _parquet(path: Path) -> Iterator[Chunk]:
    with opened(path) as file, tempfile.TemporaryFile() as aside:
        if path.suffix.lower() == ".gz":  # Parquet is read from its end: unpack it first
            shutil.copyfileobj(file, aside)
        with pa.PythonFile(aside if path.suffix.lower() == ".gz" else file, mode="r") as source:
            for batch in pyarrow.parquet.ParquetFile(source).iter_batches(_CHUNK_ROWS):
                yield Chunk(pl.DataFrame(pl.from_arrow(batch)))


def _rows_of(lines: list[bytes], bad: list[BadLine]) -> Chunk:
    """JSON lines as rows of text: members by name, nested ones as JSON."""
    rows: list[dict[str, str | None]] = []
    for line in lines:
        try:
            members = _LINES.decode(line)
            rows.append({name: _as_text(value) for name, value in members.items()})
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = "bad-utf8" if "utf-8" in str(error).lower() else "bad-json"
            bad.append(BadLine(line, reason, str(error)[:200]))
    names = dict.fromkeys(name for row in rows for name in row)
    return Chunk(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String)), bad, table=False)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where its name ends in .gz."""
    with path.open("rb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.open(file) as unpacked:
            yield unpacked  # type: ignore[misc]  # a GzipFile reads like any binary file
