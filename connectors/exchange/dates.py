"""Dates as departments write them -> one form, and that form -> milliseconds UTC. Clocks are those of China (UTC+8, no summer
time since 1991).

>>> texts, changed = canonical(pl.Series(["2024/3/1 9:05", "20240301", "2024年3月1日", "45352.5", "2024-03-01", "soon"]))
>>> texts.to_list()
['2024-03-01 09:05:00', '2024-03-01', '2024-03-01', '2024-03-01 12:00:00', '2024-03-01', 'soon']
>>> changed.sum(), milliseconds(pl.Series(["2024-03-01", "2024-13-01"])).to_list()
(4, [1709222400000, None])
"""

from typing import Final

import polars as pl

_HOURS_8: Final = 8 * 3_600_000
_CANONICAL: Final = r"^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$"
_WRITTEN: Final = (
    r"^(?<y>\d{4})\s*[-/.年]\s*(?<m>\d{1,2})\s*[-/.月]\s*(?<d>\d{1,2})\s*[日号]?"
    r"(?:[T\s]*(?<h>\d{1,2})\s*[:时点]\s*(?:(?<i>\d{1,2})\s*(?:[:分]\s*(?:(?<s>\d{1,2})(?:\.\d+)?\s*秒?)?)?)?)?$"
)
_DIGITS: Final = r"^(?<y>\d{4})(?<m>\d{2})(?<d>\d{2})(?:[T\s]?(?<h>\d{2}):?(?<i>\d{2}):?(?<s>\d{2})?)?$"
_SERIAL: Final = r"^[2-7]\d{4}(\.\d{1,15})?$"  # days since 1899-12-30: 1954 to 2119
_ZONED: Final = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.\d+)?(Z|[+-]\d{2}:?\d{2})$"
_SERIAL_DAY_0: Final = -25_569
_DAY_S: Final = 86_400
_FULL: Final = "%Y-%m-%d %H:%M:%S"
_DATE_CHARS: Final = 10
_MIDNIGHT: Final = " 00:00:00"
_DAY_END_MS: Final = _DAY_S * 1000 - 1


def canonical(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """n texts -> those that read as dates as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, the others as they are; bool[n]: changed."""
    odd = ~texts.str.contains(_CANONICAL).fill_null(True)
    if not odd.any():
        return texts, odd
    given = texts.filter(odd).unique()
    read = pl.DataFrame({"t": given}).with_columns(
        pl.coalesce(_written(_WRITTEN), _written(_DIGITS), _serial(), _zoned()).alias("new")
    )
    known = read.filter(pl.col("new").is_not_null())
    changed = odd & texts.is_in(known["t"].implode()).fill_null(False)
    return texts.replace(known["t"], known["new"]), changed


def milliseconds(texts: pl.Series, *, late: bool = False) -> pl.Series:
    """Canonical texts -> ms UTC, null where there is no such day; a date alone is its midnight, or with `late` its last ms.
    What is at midnight sharp is a date alone: a spreadsheet knows no other."""
    day = texts.str.len_bytes() == _DATE_CHARS
    full = pl.select(pl.when(day).then(texts + _MIDNIGHT).otherwise(texts)).to_series()
    ms = full.str.to_datetime(_FULL, strict=False, time_unit="ms").dt.epoch("ms") - _HOURS_8
    return ms + full.str.ends_with(_MIDNIGHT).cast(pl.Int64) * _DAY_END_MS if late else ms


def _written(pattern: str) -> pl.Expr:
    parts = pl.col("t").str.extract_groups(pattern)
    day = [parts.struct.field(name).str.zfill(width) for name, width in (("y", 4), ("m", 2), ("d", 2))]
    time = [parts.struct.field(name).fill_null("0").str.zfill(2) for name in ("h", "i", "s")]
    date, clock = pl.concat_str(day, separator="-"), pl.concat_str(time, separator=":")
    timed = parts.struct.field("h").is_not_null()
    text = pl.when(timed).then(pl.concat_str(date, pl.lit(" "), clock)).otherwise(date)
    real = pl.concat_str(date, pl.lit(" "), clock).str.to_datetime(_FULL, strict=False).is_not_null()
    return pl.when(real).then(text)


def _serial() -> pl.Expr:
    days = pl.when(pl.col("t").str.contains(_SERIAL)).then(pl.col("t")).cast(pl.Float64, strict=False) + _SERIAL_DAY_0
    moment = pl.from_epoch((days * _DAY_S).round().cast(pl.Int64), time_unit="s")
    return pl.when(days == days.floor()).then(moment.dt.strftime("%Y-%m-%d")).otherwise(moment.dt.strftime(_FULL))


def _zoned() -> pl.Expr:
    plain = pl.col("t").str.replace(_ZONED, "${1}T${2}${3}").str.replace("Z$", "+00:00")
    zoned = pl.when(pl.col("t").str.contains(_ZONED)).then(plain)
    moment = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%z", strict=False, time_zone="UTC")
    return moment.dt.offset_by("8h").dt.strftime(_FULL)
