"""SQL over the archive: DuckDB in a process of its own that can read nothing but the archive, for a bounded time."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors.archive.sql import guard

_GRACE: Final = 10.0  # seconds for the process to start


class QueryFailed(Exception):  # noqa: N818 - what the query met, not a failure of ours
    """The query did not come to an end: wrong names or types, too much time or memory, an unreadable file."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use: seconds, memory, rows given back and their size as JSON."""

    seconds: float = 60.0
    memory_mb: int = 1024
    rows: int = 1000
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows; `truncated` when there were more than the limits allow. Bytes that are no text are hex."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool


def query(root: Path, text: str, limits: Limits | None = None) -> Answer:
    """Answer one SELECT over the archive's tables (topics with `_` for other signs: events_iot, clue_log, ...).

    Raises SqlRefused for what may not be asked, QueryFailed for what does not work.
    """
    limits = limits or Limits()
    guarded = guard(text)
    asked = {
        "root": str(root.resolve()),
        "sql": guarded.sql,
        "topics": guarded.topics,
        "rows": limits.rows,
        "bytes": limits.bytes,
        "memory_mb": limits.memory_mb,
        "seconds": limits.seconds,
    }
    command = [sys.executable, "-I", "-m", "connectors.archive.query_child"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=limits.seconds + _GRACE,
            check=False,
            env={"LANG": "C.UTF-8"},  # no secret of the environment is within reach of a query
        )
    except subprocess.TimeoutExpired as error:
        raise QueryFailed(f"more than {limits.seconds:g} s") from error
    try:
        found = json.loads(done.stdout)
    except ValueError as error:  # killed by one of its limits
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise QueryFailed(f"ended by its limits ({limits.memory_mb} MB): {last[0][:200]}") from error
    if "error" in found:
        raise QueryFailed(found["error"])
    return Answer(found["columns"], found["rows"], found["truncated"])
