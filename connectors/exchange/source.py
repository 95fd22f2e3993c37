"""A table somewhere: its headings, how many rows it is thought to have, what tells it from another, and its rows in pieces.

Pieces come as the reader likes; `chunks` cuts them at fixed places, so that a run that goes on cuts where the first one did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from connectors.exchange.forms import Form

_HEADER_WITHIN: Final = 10  # titles and remarks that may stand above the headings
_EXACT: Final = 2.0**53
_ZONE: Final = "Asia/Shanghai"


class SourceError(ValueError):
    """The source cannot be read; one line that says why. `reason`: a named reason, where there is one."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(f"{text} ({reason})" if reason else text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is no row: its number, what it says, named reason, detail."""

    line: int
    raw: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows (text columns by heading) with their line numbers, ascending, and the bad ones among them; `upto`: the last line that
    is told of. Lines count as a spreadsheet's rows do; in JSON and databases as records."""

    rows: pl.DataFrame
    lines: pl.Series
    bad: list[BadRow] = field(default_factory=list)
    upto: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """`names`: headings (empty: every row has its own); `first`: the first line of data; `total`: about how many rows, if known;
    `identity`: what makes it this source and no other, as JSON."""

    name: str
    names: list[str]
    identity: dict[str, Any]
    pieces: Callable[[], Iterator[Piece]]
    total: int | None = None
    first: int = 1


def chunks(source: Source, rows: int) -> Iterator[Piece]:
    """The source's pieces, cut after lines that are multiples of `rows`; lines where nothing stands are left out."""
    held: list[Piece] = []
    end = 0
    for piece in source.pieces():
        rest: Piece | None = _without_blanks(piece)
        while rest is not None:
            if not held:
                end = ((_first(rest) - 1) // rows + 1) * rows
            if rest.upto < end:
                held.append(rest)
                break
            taken, rest = cut(rest, end)
            yield _joined([*held, taken], end)
            held = []
    if any(piece.rows.height or piece.bad for piece in held):
        yield _joined(held, held[-1].upto)


def _first(piece: Piece) -> int:
    """The first line that something stands in."""
    lows = [int(piece.lines[0])] if len(piece.lines) else []
    return min([*lows, *(bad.line for bad in piece.bad)], default=piece.upto)


def cut(piece: Piece, end: int) -> tuple[Piece, Piece | None]:
    """What stands up to line `end`, and the rest (None where there is none)."""
    count = int((piece.lines <= end).sum())
    early = [bad for bad in piece.bad if bad.line <= end]
    taken = Piece(piece.rows.head(count), piece.lines.head(count), early, end)
    late = [bad for bad in piece.bad if bad.line > end]
    if piece.upto <= end:
        return taken, None
    return taken, Piece(piece.rows.slice(count), piece.lines.slice(count), late, piece.upto)


def _joined(pieces: Sequence[Piece], upto: int) -> Piece:
    full = [p for p in pieces if p.rows.height] or list(pieces[:1])
    rows = pl.concat([p.rows for p in full], how="diagonal")
    lines = pl.concat([p.lines for p in full])
    return Piece(rows, lines, [bad for p in pieces for bad in p.bad], upto)


def _without_blanks(piece: Piece) -> Piece:
    if not piece.rows.width or not piece.rows.height:
        return piece
    filled = piece.rows.select(pl.any_horizontal(pl.all().str.strip_chars() != "").fill_null(False).alias("f"))["f"]
    if filled.all():
        return piece
    return Piece(piece.rows.filter(filled), piece.lines.filter(filled), piece.bad, piece.upto)


def find_header(form: Form, rows: Sequence[Sequence[str | None]]) -> int:
    """Which of the first rows has the headings: the one that names most of the form's columns. Raises SourceError."""
    known = [sum(form.column_of(cell) is not None for cell in row if cell) for row in rows[:_HEADER_WITHIN]]
    best = max(known, default=0)
    if best == 0:
        raise SourceError(f"没有“{form.zh}”的列名 none of the headings is one of the form {form.code}")
    return known.index(best)


def headings(cells: Sequence[str | None]) -> list[str]:
    """Headings, each once: empty ones get a name, repeated ones a number."""
    names: list[str] = []
    for i, cell in enumerate(cells):
        name = (cell or "").strip().lstrip("\ufeff") or f"_{i + 1}"
        names.append(name if name not in names else f"{name}_{i + 1}")
    return names


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as text: dates and times of China, whole floats without a fraction."""
    return frame.select(_text(frame[name]) for name in frame.columns)


def _text(series: pl.Series) -> pl.Series:  # noqa: PLR0911 - one line a type
    dtype = series.dtype
    if dtype == pl.String:
        return series
    if dtype == pl.Date:
        return series.dt.strftime("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        local = series.dt.convert_time_zone(_ZONE) if dtype.time_zone else series
        return local.dt.strftime("%Y-%m-%d %H:%M:%S")
    if dtype.is_float():
        whole = pl.select(pl.when((series == series.round()) & (series.abs() < _EXACT)).then(series)).to_series()
        return (
            pl.select(pl.coalesce(whole.cast(pl.Int64, strict=False).cast(pl.String), series.cast(pl.String)))
            .to_series()
            .alias(series.name)
        )
    if isinstance(dtype, pl.List):
        return series.list.eval(pl.element().cast(pl.String)).list.join(",")
    if dtype == pl.Binary:
        return pl.Series(series.name, [None if v is None else v.decode("utf-8", "replace") for v in series], pl.String)
    return series.cast(pl.String, strict=False)
