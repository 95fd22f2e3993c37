"""What was named on the command line -> the source: a file by its ending, or a database's URL."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from connectors.exchange.database import Database
from connectors.exchange.forms import Form
from connectors.exchange.jsonfiles import JsonFile
from connectors.exchange.source import Piece, Source, SourceError, as_text
from connectors.exchange.textfiles import CsvFile
from connectors.exchange.workbook import UNPACKED_BYTES, Workbook

_FIRST_BYTES: Final = 1 << 20
_PARQUET_ROWS: Final = 10_000
_ENDINGS: Final = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")


def is_database(source: str) -> bool:
    """Whether it is a URL.

    >>> is_database("sqlite:///x.db"), is_database("x.csv")
    (True, False)
    """
    return "://" in source


def open_source(
    source: str,
    form: Form,
    *,
    sheet: str | None = None,
    table: str | None = None,
    query: str | None = None,
    unpacked: int = UNPACKED_BYTES,
) -> Source:
    """The source, looked at but not read. Raises SourceError, FormError or OSError."""
    if is_database(source):
        base = Database(source, form, table, query)
        identity = {"url": base.url, "table": table, "query": query, "order": base.order}
        return Source(base.url, base.names, identity, base.pieces, base.rows)
    path = Path(source)
    ending = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if ending not in _ENDINGS:
        old = "；旧格式 .xls 请另存为 .xlsx save an .xls as .xlsx" if ending == ".xls" else ""
        raise SourceError(f"{path.name}: 不是 not one of {', '.join(_ENDINGS)}, or a database URL{old}")
    identity = _identity(path)
    if ending in (".xlsx", ".xlsm"):
        book = Workbook(path, form, sheet, unpacked)
        return Source(path.name, book.names, identity | {"sheet": book.sheet}, book.pieces, book.rows, book.first)
    if ending in (".json", ".jsonl", ".ndjson"):
        json = JsonFile(path)
        return Source(path.name, [], identity, json.pieces, None if json.array else json.lines or None)
    if ending in (".parquet", ".pq"):
        return _parquet(path, identity)
    table_file = CsvFile(path, form)
    total = max(table_file.lines - table_file.header - 1, 0) or None
    return Source(path.name, table_file.names, identity, table_file.pieces, total, table_file.first)


def _identity(path: Path) -> dict[str, Any]:
    """Size, time and first bytes: a file that was changed is another one."""
    with path.open("rb") as file:
        first = hashlib.sha256(file.read(_FIRST_BYTES)).hexdigest()
    found = path.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "first_mib": first}


def _parquet(path: Path, identity: dict[str, Any]) -> Source:
    if path.suffix.lower() == ".gz":
        raise SourceError(f"{path.name}: Parquet 请先解压 unpack it first: Parquet is packed already")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names, total = list(file.schema_arrow.names), file.metadata.num_rows
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path.name}: {' '.join(str(error).split())[:200]}") from error

    def pieces() -> Iterator[Piece]:
        line = 1
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_PARQUET_ROWS):
                    rows = as_text(pl.DataFrame(pl.from_arrow(batch)))
                    yield Piece(
                        rows,
                        pl.int_range(line, line + rows.height, dtype=pl.Int64, eager=True),
                        upto=line + rows.height - 1,
                    )
                    line += rows.height
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"{path.name}: {' '.join(str(error).split())[:200]}") from error

    return Source(path.name, names, identity, pieces, total)
