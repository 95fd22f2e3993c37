"""The process that answers one query: reads the question from stdin, writes the answer to stdout, both JSON.

DuckDB sees Arrow data sets and nothing else: no file, no network, no extension, no setting can be reached from SQL. The
process itself may write no file, and has bounded memory and time.
"""

import contextlib
import datetime as dt
import decimal
import json
import math
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from connectors.archive.layout import files
from connectors.archive.sql import table_name
from connectors.archive.table import schema

_BESIDES: Final = 1 << 30  # address space of threads and libraries beside DuckDB's own limit
_FETCH: Final = 200
_THREADS: Final = 2
_DATE: Final = pa.schema([pa.field("date", pa.date32())])


def main() -> None:
    """Answer the question on stdin."""
    asked = json.load(sys.stdin)
    limit(asked["memory_mb"], asked["seconds"])
    try:
        found = answer(asked)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}
    except MemoryError:
        found = {"error": f"more than {asked['memory_mb']} MB"}
    sys.stdout.write(json.dumps(found, ensure_ascii=False, allow_nan=False))
    sys.stdout.flush()
    # Threads of the libraries that still run while Python ends have cost an answer ("exception not rethrown").
    os._exit(0)


def limit(memory_mb: int, seconds: float) -> None:
    """Bound this process: address space, processor time, no written file, no core dump."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    wanted = {
        resource.RLIMIT_AS: used + memory_mb * 1024 * 1024 + _BESIDES,
        resource.RLIMIT_CPU: math.ceil(seconds * _THREADS) + 5,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        with contextlib.suppress(ValueError):  # a lower limit is in force already
            resource.setrlimit(what, (most, most))


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Columns and rows, or an error in one line."""
    connection = fenced(Path(asked["root"]), asked["topics"], asked["memory_mb"])
    late = threading.Timer(asked["seconds"], connection.interrupt)
    late.daemon = True
    late.start()
    try:
        result = connection.execute(asked["sql"])
        columns = [column[0] for column in result.description or []]
        rows, truncated = _fetch(result, asked["rows"], asked["bytes"])
    except duckdb.InterruptException:
        return {"error": f"more than {asked['seconds']:g} s"}
    finally:
        late.cancel()
    return {"columns": columns, "rows": rows, "truncated": truncated}


def fenced(root: Path, topics: list[str], memory_mb: int) -> duckdb.DuckDBPyConnection:
    """DuckDB with the tables of the topics and a way to nothing else."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": _THREADS,
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    for topic in topics:
        connection.register(table_name(topic), dataset(root, topic))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def dataset(root: Path, topic: str) -> Any:
    """The files of a topic as one Arrow data set with the catalogue's columns and `date`; empty when there are none."""
    whole = pa.schema([*schema(topic), *_DATE])
    paths = files(root, topic)
    if not paths:
        return whole.empty_table()
    parts = ds.partitioning(_DATE, flavor="hive")
    return ds.dataset(paths, schema=whole, format="parquet", partitioning=parts, partition_base_dir=str(root / topic))


def _fetch(result: duckdb.DuckDBPyConnection, most: int, most_bytes: int) -> tuple[list[list[Any]], bool]:
    rows: list[list[Any]] = []
    size = 0
    while batch := result.fetchmany(min(_FETCH, most + 1 - len(rows))):
        for row in batch:
            plain = [_plain(value) for value in row]
            size += len(json.dumps(plain, ensure_ascii=False, allow_nan=False))
            if len(rows) >= most or size > most_bytes:
                return rows, True
            rows.append(plain)
    return rows, False


def _plain(value: Any) -> Any:
    """A value as JSON data: bytes as text or hex, times as ISO 8601, numbers that JSON lacks as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | decimal.Decimal():
            return float(value) if math.isfinite(value) else None
        case bytes() | bytearray() | memoryview():
            return text_of(bytes(value))
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def text_of(value: bytes) -> str:
    """Bytes for people: UTF-8 text where they are that, else `0x` and hex.

    >>> text_of("火".encode()), text_of(b"\\x00\\xff")
    ('火', '0x00ff')
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return text if text.isprintable() or not any(ord(c) < 9 for c in text) else f"0x{value.hex()}"  # noqa: PLR2004


if __name__ == "__main__":
    main()
