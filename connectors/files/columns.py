"""A chunk of source rows -> rows of a kind of event, by columns; rows that do not fit the mapping are named."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from connectors.files.mapping import Column, Condition, Mapping
from topics.fields import Field
from topics.jsonform import milliseconds
from topics.wire import Refused

_TRUE: Final = ("true", "1", "yes", "y", "是")
_FALSE: Final = ("false", "0", "no", "n", "否")
_NOT_NUMBER: Final = r"[\s,，_¥￥$€元]"
_EXACT: Final = 2.0**53
_WHOLE: Final = r"^-?\d{1,19}$"


@dataclass(frozen=True, slots=True)
class Mapped:
    """n rows, the kind's columns; `reason` "" where a row fits, else with `detail`; `row`: its place in the chunk."""

    frame: pl.DataFrame
    reason: pl.Series
    detail: pl.Series
    row: pl.Series
    skipped: int


def map_rows(mapping: Mapping, rows: pl.DataFrame) -> Mapped:
    """Map a chunk of source rows. Rows outside the filter are skipped. Raises KeyError, a column that is not there."""
    absent = sorted(mapping.sources - set(rows.columns))
    if absent:
        raise KeyError(absent[0])
    source = _clean(rows.with_row_index("_row"))
    kept = source.filter([_condition(condition) for condition in mapping.filter]) if mapping.filter else source
    made = [_field(mapping, field, kept) for field in mapping.kind.schema.fields]
    frame = pl.DataFrame([values for values, _ in made], schema=mapping.kind.schema.columns)
    if "observed_at" not in mapping.columns and "observed_at" not in mapping.constants:
        frame = frame.with_columns(pl.col("occurred_at").alias("observed_at"))
    unfit = pl.DataFrame(
        [failed.alias(field.name) for (_, failed), field in zip(made, mapping.kind.schema.fields, strict=True)]
    )
    reason, detail = _reasons(mapping, frame, unfit)
    return Mapped(frame, reason, detail, kept["_row"], rows.height - kept.height)


def _clean(rows: pl.DataFrame) -> pl.DataFrame:
    """Texts without blanks around them; empty ones are null."""
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    stripped = pl.col(texts).str.strip_chars()
    return rows.with_columns(pl.when(stripped != "").then(stripped)) if texts else rows


def _condition(condition: Condition) -> pl.Expr:
    text = pl.col(condition.column).cast(pl.String)
    if condition.among is not None:
        return text.is_in(condition.among).fill_null(False)
    if condition.not_in:
        return ~text.is_in(condition.not_in).fill_null(False)
    return text.is_not_null() if condition.present else text.is_null()


def _field(mapping: Mapping, field: Field, rows: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Values of one field (n rows), and where the source has something that does not become one."""
    column = mapping.columns.get(field.name)
    if column is None:
        constant = mapping.kind.code if field.name == "kind" else mapping.constants.get(field.name)
        values = pl.Series(field.name, [constant], dtype=field.dtype).new_from_index(0, rows.height)
        return values, pl.Series([False]).new_from_index(0, rows.height)
    source = _source(column, rows)
    translated = _translated(column, source)
    values = _typed(field, column, translated).alias(field.name)
    return values, source.is_not_null() & values.is_null() & (translated.is_not_null() | (column.otherwise == "reject"))


def _source(column: Column, rows: pl.DataFrame) -> pl.Series:
    if column.column is not None:
        return rows[column.column]
    parts: list[pl.Expr] = [pl.lit(column.pieces[0])]
    for (name, decimals), piece in zip(column.places, column.pieces[1:], strict=True):
        parts += [_text(name, decimals), pl.lit(piece)]
    return rows.select(pl.concat_str(parts, ignore_nulls=False).alias("template")).to_series()


def _text(name: str, decimals: int | None) -> pl.Expr:
    if decimals is None:
        return pl.col(name).cast(pl.String)
    # Through an integer, so that every row has all its decimals and -0.001 and 0.001 are one place.
    scaled = (pl.col(name).cast(pl.Float64, strict=False) * 10**decimals).round(0)
    whole = pl.when(scaled.is_finite() & (scaled.abs() < _EXACT)).then(scaled).cast(pl.Int64)
    sign = pl.when(whole < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    if decimals == 0:
        return pl.concat_str([sign, whole.abs().cast(pl.String)])
    digits = whole.abs().cast(pl.String).str.zfill(decimals + 1)
    return pl.concat_str([sign, digits.str.head(-decimals), pl.lit("."), digits.str.tail(decimals)])


def _translated(column: Column, source: pl.Series) -> pl.Series:
    if not column.values:
        return source
    text = source.cast(pl.String)
    known = list(column.values)
    new = text.replace(known, list(column.values.values()))
    if column.otherwise == "keep":
        return new
    return pl.select(pl.when(text.is_in(known)).then(new)).to_series()


def _typed(field: Field, column: Column, source: pl.Series) -> pl.Series:
    if field.type == "string":
        return source.cast(pl.String)
    if field.type == "boolean":
        return _boolean(source)
    if column.number or field.type == "double":
        return _number(field, column, source)
    return _time(column, source)


def _boolean(source: pl.Series) -> pl.Series:
    if source.dtype == pl.Boolean:
        return source
    text = source.cast(pl.String).str.to_lowercase()
    truth = pl.when(text.is_in(_TRUE)).then(True).when(text.is_in(_FALSE)).then(False)
    return pl.select(truth.otherwise(None).cast(pl.Boolean)).to_series()


def _number(field: Field, column: Column, source: pl.Series) -> pl.Series:
    """A number out of exchanged text: without blanks, thousands separators and currency; scaled (万元 to 元: 10000)."""
    if source.dtype == pl.String:
        source = source.str.replace_all(_NOT_NUMBER, "")
    if field.type == "double":
        values = source.cast(pl.Float64, strict=False)
        return values * column.scale if column.scale != 1.0 else values
    if source.dtype.is_integer() and column.scale == 1.0:
        return source.cast(pl.Int64, strict=False)
    exact = source.cast(pl.String).cast(pl.Int64, strict=False) if column.scale == 1.0 else None
    values = source.cast(pl.Float64, strict=False) * column.scale
    whole = pl.select(pl.when((values == values.round()) & (values.abs() < _EXACT)).then(values)).to_series()
    counted = whole.cast(pl.Int64, strict=False)
    return counted if exact is None else pl.select(pl.coalesce(exact, counted)).to_series()


def _time(column: Column, source: pl.Series) -> pl.Series:
    """Milliseconds UTC: of dates in a format and zone, of typed dates, of RFC 3339 text, or as they are."""
    zone = column.timezone or "UTC"
    if source.dtype in (pl.Date, pl.Datetime):
        moment = source.cast(pl.Datetime("ms")) if source.dtype == pl.Date else source
        if getattr(moment.dtype, "time_zone", None) is None:
            moment = moment.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        return moment.dt.epoch("ms")
    text = source.cast(pl.String)
    if column.formats:
        local = [text.str.to_datetime(form, strict=False, time_unit="ms") for form in column.formats]
        first = pl.select(pl.coalesce(local)).to_series()
        return first.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.epoch("ms")
    numbers = text.str.contains(_WHOLE)
    if numbers.fill_null(True).all():
        return text.cast(pl.Int64, strict=False)
    given = text.unique().drop_nulls()
    known = pl.DataFrame({"text": given, "at": pl.Series([_moment(one) for one in given.to_list()], dtype=pl.Int64)})
    return pl.DataFrame({"text": text}).join(known, on="text", how="left", maintain_order="left")["at"]


def _moment(text: str) -> int | None:
    try:
        return int(text) if text.removeprefix("-").isdecimal() and text.isascii() else milliseconds(text)
    except Refused:
        return None


def _reasons(mapping: Mapping, frame: pl.DataFrame, unfit: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The first field that does not fit names the row's reason; then required fields that are null."""
    reason: Any = pl.lit("")
    detail: Any = pl.lit("")
    for field in reversed(mapping.kind.schema.fields):
        if field.required:
            absent = pl.lit(frame[field.name].is_null())
            reason = pl.when(absent).then(pl.lit("missing-field")).otherwise(reason)
            detail = pl.when(absent).then(pl.lit(field.name)).otherwise(detail)
    for name in reversed(unfit.columns):
        if unfit[name].any():
            reason = pl.when(pl.lit(unfit[name])).then(pl.lit("bad-mapping")).otherwise(reason)
            detail = pl.when(pl.lit(unfit[name])).then(pl.lit(name)).otherwise(detail)
    both = frame.select(reason.alias("reason"), detail.alias("detail"))
    return both["reason"], both["detail"]
