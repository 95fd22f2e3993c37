"""Bytes <-> columns for a chunk of one kind of event: the fast path (`topics.avro`), equal to fastavro.

Cost: about 0.25 us an event for Avro; a bad record some 10 us more, and nothing to the others; JSON about 2 us an event.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyruhvro

from topics import avro
from topics.buffers import Ints, constant, missing
from topics.events import Kind
from topics.fields import Schema
from topics.jsonform import from_json
from topics.spans import Spans
from topics.wire import HEADER, Refused, decode_body, encode, header, writer_of

_ARROW: Final = {
    "string": pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
}
_FEW: Final = 8  # records up to which fastavro, one by one, is quicker than making columns for Arrow
_MOST_TEXT: Final = 2**31 - 1  # bytes that offsets of 32 bits can count


@dataclass(frozen=True, slots=True)
class Bad:
    """A record of a chunk that does not decode: its index in the chunk, a named reason, a detail for people."""

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded chunk: `frame` has the schema's columns for rows that decode, `index` each row's place in the chunk."""

    frame: pl.DataFrame
    index: pl.Series
    bad: list[Bad]


def decode_chunk(kind: Kind, values: Sequence[bytes | None] | Spans) -> Decoded:
    """Decode n wire values of one kind. Never raises on input: what does not decode is in `bad`."""
    spans = Spans.of(values)
    return _assorted(kind.schema, spans, lambda value: _form(kind, value), lambda where: _json(kind, spans, where))


def decode_records(schema: Schema, values: Sequence[bytes | None] | Spans) -> Decoded:
    """Decode n wire values of any schema, Avro only. Never raises on input; another schema's value is `wrong-kind`."""
    return _assorted(schema, Spans.of(values), lambda value: _version(schema, value))


def _assorted(
    schema: Schema,
    spans: Spans,
    version: Callable[[bytes | None], int],
    other: Callable[[list[int]], Decoded] | None = None,
) -> Decoded:
    """Values by the version that wrote them (0: decoded by `other`), which raises Refused. What begins as this version's values
    do, nearly all of them, is found in one look; only the others are looked at one by one."""
    mine = spans.begin(header(schema))
    if mine.all() and len(spans):
        return _avro(schema, schema.version, spans, np.arange(len(spans)))
    groups: dict[int, list[int]] = {schema.version: np.flatnonzero(mine).tolist()}
    bad: list[Bad] = []
    for i in np.flatnonzero(~mine).tolist():
        try:
            groups.setdefault(version(spans[i]), []).append(i)
        except Refused as refused:
            bad.append(Bad(i, refused.reason, refused.detail))
    parts = [
        _avro(schema, written, spans, np.array(where, np.int64)) if written or other is None else other(where)
        for written, where in groups.items()
        if where
    ]
    return _assemble(schema, [*parts, Decoded(_empty(schema), _index([]), bad)])


def encode_frame(schema: Schema, frame: pl.DataFrame) -> list[bytes]:
    """Wire values of a frame with the schema's columns (extra columns are left out, missing optional ones are null). Raises
    ValueError where a required field has no value."""
    if frame.is_empty():
        return []
    have = set(frame.columns)
    for f in schema.fields:
        if f.required and (f.name not in have or frame[f.name].null_count()):
            raise ValueError(f"{schema.name}: {f.name} has no value")
    if frame.height <= _FEW:
        known = pl.DataFrame([frame[f.name].cast(f.dtype) for f in schema.fields if f.name in have])
        return [encode(schema, record) for record in known.to_dicts()]
    columns = [
        _to_arrow(frame[f.name].cast(f.dtype)) if f.name in have else pa.nulls(frame.height, _ARROW[f.type])
        for f in schema.fields
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=_arrow(schema))
    head = header(schema)
    parts = pyruhvro.serialize_record_batch(batch, _json_schema(schema, schema.version), 1)
    return [head + body for part in parts for body in part.to_pylist()]


def _to_arrow(series: pl.Series) -> Any:
    """A series as an Arrow array of the type that pyruhvro takes. Arrow's own cast of texts costs far more in a small batch."""
    array = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    short = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(array.type)
    if short is None:
        return array
    valid, ends, data = array.buffers()
    offsets = np.frombuffer(ends, np.int64)
    if array.offset or (offsets.size and offsets[-1] > _MOST_TEXT):
        return array.cast(short)
    return pa.Array.from_buffers(short, len(array), [valid, pa.py_buffer(offsets.astype(np.int32)), data])


def _form(kind: Kind, value: bytes | None) -> int:
    """The version of the kind's schema that wrote a value; 0 for JSON. Raises Refused."""
    if value and value[0] != 0:
        if value[:1].isspace() or value[:1] in (b"{", b"["):
            return 0
        raise Refused("unknown-format", value[:8].hex())
    return _version(kind.schema, value)


def _version(schema: Schema, value: bytes | None) -> int:
    """The version of `schema` that wrote a value. Raises Refused when there is none, or another schema wrote it."""
    if value is None:
        raise Refused("null-value")
    if not value:
        raise Refused("empty-value")
    writer, version = writer_of(value)
    if writer.number != schema.number:
        raise Refused("wrong-kind", writer.name)
    return version


def _avro(schema: Schema, version: int, values: Spans, where: Ints) -> Decoded:
    """Rows of one writer's version, in one pass; what the pass leaves out goes to fastavro, which knows the reason."""
    fields = schema.at(version)
    if any(field.type == "bytes" for field in fields):
        return _slow(schema, version, values, where)
    some = values if where.size == len(values) else values.take(where)
    made = avro.decode(fields, Spans(some.data, some.starts + HEADER.size, some.ends))
    later = [constant(missing(f.name, f.dtype), made.rows.size) for f in schema.fields if f.since > version]
    frame = pl.DataFrame([*made.series, *later])
    decoded = Decoded(frame.select(list(schema.columns)) if later else frame, _index(where[made.rows]), [])
    if made.rows.size == where.size:
        return decoded
    left = np.delete(where, made.rows)
    return _assemble(schema, [decoded, _slow(schema, version, values, left)])


def _slow(schema: Schema, version: int, values: Spans, where: Ints) -> Decoded:
    """Record by record with fastavro: schemas with `bytes`, and what is not plainly right."""
    records: list[dict[str, Any]] = []
    kept: list[int] = []
    bad: list[Bad] = []
    for i in where.tolist():
        try:
            records.append(decode_body(schema, version, (values[i] or b"")[HEADER.size :]))
            kept.append(i)
        except Refused as refused:
            bad.append(Bad(i, refused.reason, refused.detail))
    return Decoded(_rows(schema, records), _index(kept), bad)


def _json(kind: Kind, values: Spans, where: list[int]) -> Decoded:
    records: list[dict[str, Any]] = []
    kept: list[int] = []
    bad: list[Bad] = []
    for i in where:
        try:
            records.append(from_json(kind, values[i] or b""))
            kept.append(i)
        except Refused as refused:
            bad.append(Bad(i, refused.reason, refused.detail))
    return Decoded(_rows(kind.schema, records), _index(kept), bad)


def _assemble(schema: Schema, parts: list[Decoded]) -> Decoded:
    """One chunk from its parts, rows in arrival order."""
    filled = [part for part in parts if len(part.index)]
    bad = sorted((b for part in parts for b in part.bad), key=lambda b: b.index)
    if not filled:
        return Decoded(_empty(schema), _index([]), bad)
    if len(filled) == 1:
        return Decoded(filled[0].frame, filled[0].index, bad)
    frame = pl.concat([part.frame for part in filled])
    index = pl.concat([part.index for part in filled])
    order = index.arg_sort()
    return Decoded(frame[order], index.gather(order), bad)


def _index(rows: list[int] | Ints) -> pl.Series:
    return pl.Series("index", rows, dtype=pl.Int64)


def _rows(schema: Schema, records: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(records, schema=schema.columns, orient="row")


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema.columns)


@cache
def _json_schema_text(number: int, version: int, schema: Schema) -> str:
    return json.dumps(schema.avro(version))


def _json_schema(schema: Schema, version: int) -> str:
    return _json_schema_text(schema.number, version, schema)


@cache
def _arrow(schema: Schema) -> Any:
    return pa.schema([pa.field(f.name, _ARROW[f.type], nullable=not f.required) for f in schema.fields])
