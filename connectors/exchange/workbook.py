"""XLSX: a sheet as rows of text. It is read whole, so that what it unpacks to is bounded before."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.exchange.forms import Form
from connectors.exchange.source import Piece, SourceError, find_header, headings

UNPACKED_BYTES: Final = 512 * 1024 * 1024
_BLOCK: Final = 1 << 20
_SLICE: Final = 10_000
_ENTRIES: Final = 10_000
_PLAIN_NAME: Final = 31  # characters that a sheet's name may have


class Workbook:
    """An XLSX file's sheet: headings and rows."""

    def __init__(self, path: Path, form: Form, sheet: str | None = None, limit: int = UNPACKED_BYTES) -> None:
        """Reads the sheet (by name or number from 1; without, the first that is seen). Raises SourceError or OSError."""
        self.path = path
        guard(path, limit)
        self.sheet, self._table = _sheet(path, sheet)
        top = self._table.head(10).rows()
        self.header = find_header(form, top)
        self.names = headings(top[self.header])
        self.rows = max(self._table.height - self.header - 1, 0)

    @property
    def first(self) -> int:
        """The number of the first row of data."""
        return self.header + 2

    def pieces(self) -> Iterator[Piece]:
        """Its rows, numbered as the spreadsheet does."""
        for start in range(self.header + 1, self._table.height, _SLICE):
            part = self._table.slice(start, _SLICE)
            part.columns = self.names
            lines = pl.int_range(start + 1, start + 1 + part.height, dtype=pl.Int64, eager=True)
            yield Piece(part, lines, upto=start + part.height)


def guard(path: Path, limit: int) -> None:
    """Refuse a file that is no XLSX, or unpacks to more than `limit` bytes: by what it says of itself, then by unpacking it.
    Raises SourceError (`unpacked-too-large`)."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > _ENTRIES or sum(entry.file_size for entry in entries) > limit:
                raise _too_large(path, limit)
            left = limit
            for entry in entries:
                with archive.open(entry) as file:
                    while block := file.read(_BLOCK):
                        left -= len(block)
                        if left < 0:
                            raise _too_large(path, limit)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise SourceError(f"{path.name}: 不是 XLSX no XLSX file (旧格式 .xls 请另存 save an .xls as .xlsx)") from error


def _too_large(path: Path, limit: int) -> SourceError:
    size = limit // (1024 * 1024)
    return SourceError(
        f"{path.name}: 解压后超过 unpacks to more than {size} MiB; 请拆分或另存为 CSV split it or save it as CSV",
        "unpacked-too-large",
    )


def _sheet(path: Path, wanted: str | None) -> tuple[str, pl.DataFrame]:
    import fastexcel

    try:
        book: Any = fastexcel.read_excel(path)
        names: list[str] = book.sheet_names
        name = _named(path, names, wanted)
        if name is None:
            name = next(
                (n for n in names if book.load_sheet(n, n_rows=1, header_row=None).visible == "visible"), names[0]
            )
        sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        return name, sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{path.name}: {' '.join(str(error).split())[:200]}") from error


def _named(path: Path, names: list[str], wanted: str | None) -> str | None:
    if wanted is None or wanted in names:
        return wanted
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise SourceError(
        f"{path.name}: 没有工作表 no sheet {wanted[:_PLAIN_NAME]} (有 there are {', '.join(names)[:200]})"
    )
