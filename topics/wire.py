"""Bytes <-> one record: magic byte 0, 4-byte schema id, Avro body. fastavro is the reference codec.

>>> from topics.records import TICK
>>> decode(encode(TICK, {"at": 5}))
('Tick', {'at': 5})
"""

import io
import re
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import fastavro

from topics.catalogue import SCHEMAS
from topics.fields import Schema

HEADER: Final = struct.Struct(">bI")
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


class Refused(Exception):  # noqa: N818 - it names what happens, and carries a reason, not a failure of ours
    """A record that cannot be taken: `reason` is a key of `topics.reasons.REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@cache
def parsed(number: int, version: int) -> Any:
    """The parsed Avro schema of a version. Raises Refused("unknown-schema")."""
    schema = SCHEMAS.get(number)
    if schema is None or not 1 <= version <= schema.version:
        raise Refused("unknown-schema", f"{number * 1000 + version}")
    return fastavro.parse_schema(schema.avro(version))


def header(schema: Schema, version: int | None = None) -> bytes:
    """The five bytes before a body of that schema."""
    return HEADER.pack(0, schema.id(version))


def encode(schema: Schema, record: Mapping[str, Any], version: int | None = None) -> bytes:
    """One record in the wire format. Missing optional fields are null. Raises ValueError or TypeError on a bad record."""
    out = io.BytesIO()
    out.write(header(schema, version))
    fastavro.schemaless_writer(out, parsed(schema.number, version or schema.version), record)
    return out.getvalue()


def writer_of(value: bytes) -> tuple[Schema, int]:
    """Schema and version that a value was written with. Raises Refused."""
    if len(value) < HEADER.size or value[0] != 0:
        raise Refused("unknown-format", value[:8].hex())
    number, version = divmod(HEADER.unpack_from(value)[1], 1000)
    parsed(number, version)
    return SCHEMAS[number], version


def decode(value: bytes) -> tuple[str, dict[str, Any]]:
    """Schema name and record of a value, as the newest version sees it. Raises Refused."""
    schema, version = writer_of(value)
    return schema.name, decode_body(schema, version, value[HEADER.size :])


def decode_body(schema: Schema, version: int, body: bytes) -> dict[str, Any]:
    """The record of an Avro body; fields of later versions are null. Raises Refused("broken-avro" or "bad-utf8")."""
    try:
        record = fastavro.schemaless_reader(io.BytesIO(body), parsed(schema.number, version), None)
    except UnicodeDecodeError as error:
        raise Refused("bad-utf8", str(error)[:200]) from error
    except (EOFError, ValueError, IndexError, TypeError, StopIteration, OverflowError, MemoryError) as error:
        told = _ADDRESS.sub("", f"{type(error).__name__}: {error}")  # the same letter on every replay
        raise Refused("broken-avro", told[:200]) from error
    if not isinstance(record, dict):
        raise Refused("broken-avro", "not a record")
    for field in schema.fields:
        record.setdefault(field.name, None)
    return record
