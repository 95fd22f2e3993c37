"""The report file: CSV that Excel opens, one line for each warning, refused row and skipped row, written as the batch goes.

It grows by whole chunks, and a run that goes on cuts it to where the last acknowledged chunk ended.
"""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = ("行号 line", "处置 consequence", "列 column", "代码 code", "说明", "explanation", "值 value")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the report."""

    line: int
    consequence: str
    column: str
    code: str
    zh: str
    en: str
    value: str


def rendered(entries: Iterable[Entry]) -> bytes:
    r"""Entries as CSV. What a spreadsheet would take for a formula is made a text.

    >>> rendered([Entry(3, "warn", "a", "b", "中", "c", "=1+1")]).decode()
    "3,warn,a,b,中,c,'=1+1\r\n"
    """
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerows((e.line, e.consequence, _safe(e.column), e.code, e.zh, e.en, _safe(e.value)) for e in entries)
    return out.getvalue().encode()


def _safe(text: str) -> str:
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return f"'{short}" if short.startswith(_FORMULA) else short


class Report:
    """The file, open for appending. As a context it is closed at the end."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Begin anew, or with the first `size` bytes of what is there. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if size else "wb")
        self._file.truncate(size)
        self._file.seek(size)
        if not size:
            head = io.StringIO(newline="")
            csv.writer(head).writerow(_HEAD)
            self._file.write(_BOM + head.getvalue().encode())

    def add(self, text: bytes) -> int:
        """Append, onto the disk -> the file's size."""
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
