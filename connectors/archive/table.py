"""Records of one topic -> an Arrow table: the raw record exactly, and beside it what it says, for queries.

Raw columns start with an underscore, as everywhere in the engine. Decoded columns are null where a value does not
decode.

>>> list(columns("ticks"))
['at']
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import structlog

from topics.catalogue import SCHEMAS, TOPICS
from topics.columns import Decoded, decode_chunk, decode_records
from topics.events import ENVELOPE, KINDS
from topics.fields import Field
from topics.wire import HEADER

_log = structlog.get_logger(__name__)

_KIND_OF_TOPIC: Final = {kind.topic: kind for kind in KINDS.values()}
_ARROW: Final = {
    "string": pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
}
_VERSIONS: Final = 1000  # a schema id is number * 1000 + version
_HEADERS: Final = pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())]))
RAW: Final = pa.schema(
    [
        pa.field("_partition", pa.int32()),
        pa.field("_offset", pa.int64()),
        pa.field("_ts", pa.int64()),
        pa.field("_key", pa.binary()),
        pa.field("_value", pa.binary()),
        pa.field("_headers", _HEADERS),
    ]
)


class Record(NamedTuple):
    """One Kafka record as it lies in the log: bytes exact, `timestamp` in ms, headers None when it has none."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None = None


def _fields(topic: str) -> tuple[Field, ...]:
    if topic == "rekeyed":  # events of every kind, whole: their own topics hold the rest, `event_id` joins
        return ENVELOPE
    known = TOPICS.get(topic)
    if known is None:
        return ()
    # Checkpoints and snapshots are large and opaque: once, in _value, is enough.
    return tuple(f for f in known.schema.fields if not (known.schema.name == "Blob" and f.type == "bytes"))


@cache
def columns(topic: str) -> dict[str, type[pl.DataType]]:
    """The decoded columns of a topic -> polars type; none for a topic outside the catalogue."""
    return {field.name: field.dtype for field in _fields(topic)}


@cache
def schema(topic: str) -> Any:
    """The Arrow schema of a topic's files: raw columns, then decoded ones."""
    return pa.schema([*RAW, *(pa.field(field.name, _ARROW[field.type]) for field in _fields(topic))])


def raw_table(partition: int, records: Sequence[Record]) -> Any:
    """The raw columns of n > 0 records of one partition. Cost: about 0.5 us a record."""
    arrays = [
        pa.array([partition] * len(records), pa.int32()),
        pa.array([record[0] for record in records], pa.int64()),
        pa.array([record[1] for record in records], pa.int64()),
        pa.array([record[2] for record in records], pa.binary()),
        pa.array([record[3] for record in records], pa.binary()),
        pa.array([_headers(record[4]) for record in records], _HEADERS),
    ]
    return pa.Table.from_arrays(arrays, schema=RAW)


def table(topic: str, partition: int, records: Sequence[Record]) -> Any:
    """The table of n > 0 records of one partition of a topic, in `schema(topic)`. Never raises on what records hold."""
    raw = raw_table(partition, records)
    names = columns(topic)
    if not names:
        return raw
    decoded = _decoded(topic, [record.value for record in records])
    arrays = [decoded[name].to_arrow().cast(schema(topic).field(name).type) for name in names]
    return pa.Table.from_arrays([*raw.columns, *arrays], schema=schema(topic))


def _decoded(topic: str, values: list[bytes | None]) -> pl.DataFrame:
    """n rows of the topic's decoded columns, null where a value does not decode."""
    empty = pl.DataFrame(schema=columns(topic))
    try:
        parts = _parts(topic, values)
    except Exception:  # a fault of a decoder must cost columns, never the raw record
        _log.exception("archive cannot decode", topic=topic, records=len(values))
        parts = []
    rows = [part.frame.select(_select(topic, part.frame)).with_columns(part.index.alias("_row")) for part in parts]
    filled = pl.concat([empty.with_columns(pl.lit(0, pl.Int64).alias("_row")).clear(), *rows])
    if len(filled) == len(values) and len(rows) == 1:
        return filled
    every = pl.DataFrame({"_row": pl.Series(range(len(values)), dtype=pl.Int64)})
    return every.join(filled, on="_row", how="left", maintain_order="left")


def _select(topic: str, frame: pl.DataFrame) -> list[pl.Expr]:
    have = set(frame.columns)
    wanted = columns(topic)
    return [pl.col(n) if n in have else pl.lit(None, dtype).alias(n) for n, dtype in wanted.items()]


def _parts(topic: str, values: list[bytes | None]) -> list[Decoded]:
    if topic in _KIND_OF_TOPIC:
        return [decode_chunk(_KIND_OF_TOPIC[topic], values)]
    if topic != "rekeyed":
        return [decode_records(TOPICS[topic].schema, values)]
    rows: dict[int, list[int]] = {}
    for i, value in enumerate(values):
        rows.setdefault(int.from_bytes((value or b"")[1 : HEADER.size]) // _VERSIONS, []).append(i)
    parts = (
        (decode_records(SCHEMAS[n], [values[i] for i in where]), where) for n, where in rows.items() if n in SCHEMAS
    )
    return [Decoded(part.frame, pl.Series(where, dtype=pl.Int64).gather(part.index), part.bad) for part, where in parts]


def _headers(headers: list[tuple[str, bytes | None]] | None) -> list[dict[str, Any]] | None:
    return [{"key": key, "value": value} for key, value in headers] if headers else None
