"""The columnar codec equals fastavro, record by record, on every event schema, whatever lies between the good ones."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topics import avro
from topics.columns import decode_chunk, encode_frame
from topics.events import KINDS, Kind
from topics.fields import Field
from topics.wire import Refused, decode, encode

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=30),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    "boolean": st.booleans(),
}


def field_values(field: Field) -> st.SearchStrategy[Any]:
    """Values of a field; null too where it is optional."""
    values = _VALUES[field.type]
    return values if field.required else st.none() | values


def records(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Records of a kind: any text, any 64-bit number, NaN and infinities."""
    return st.fixed_dictionaries({field.name: field_values(field) for field in kind.schema.fields})


def damaged(good: bytes, place: int, byte: int) -> bytes:
    """One byte of the body is another."""
    place = 5 + place % (len(good) - 5)
    return good[:place] + bytes([byte]) + good[place + 1 :]


def wires(kind: Kind) -> st.SearchStrategy[bytes | None]:
    """Wire values: good, damaged, cut, of another kind, of no schema, JSON, empty, null."""
    good = records(kind).map(lambda record: encode(kind.schema, record))
    odd = [encode(KINDS["video" if kind.code != "video" else "iot"].schema, _other(kind)), None]
    odd += [b"", b"\0", b"{}", b"[1]", b'{"kind":', b" ", b"\0\0\0\0\0x"]
    return st.one_of(
        good,
        good,
        st.builds(damaged, good, st.integers(0, 300), st.integers(0, 255)),
        st.builds(lambda value, size: value[: size % len(value)], good, st.integers(0, 300)),
        st.builds(lambda value, schema: b"\0" + schema + value[5:], good, st.binary(min_size=4, max_size=4)),
        st.sampled_from(odd),
    )


def _other(kind: Kind) -> dict[str, Any]:
    fill = {"string": "x", "long": 1, "double": 1.0, "boolean": True}
    schema = KINDS["video" if kind.code != "video" else "iot"].schema
    return {field.name: fill[field.type] for field in schema.fields}


def plain(record: dict[str, Any]) -> list[tuple[str, Any]]:
    """A record with NaN made comparable; the sign of zero counts."""
    return sorted((k, repr(v) if isinstance(v, float) else v) for k, v in record.items())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_columns_equal_single_records(kind: Kind, data: st.DataObject) -> None:
    """Encoding by column gives fastavro's bytes; decoding them gives the records, in order."""
    given_ = data.draw(st.lists(records(kind), min_size=1, max_size=8))
    values: list[bytes | None] = [encode(kind.schema, record) for record in given_]
    decoded = decode_chunk(kind, values)
    assert decoded.bad == []
    assert [plain(row) for row in decoded.frame.to_dicts()] == [plain(record) for record in given_]
    assert encode_frame(kind.schema, decoded.frame) == values
    assert [plain(decode(value or b"")[1]) for value in values] == [plain(record) for record in given_]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_chunk_equals_its_records_one_by_one(kind: Kind, data: st.DataObject) -> None:
    """In any mixture each record is decoded, or refused with its reason, as if it were alone; none is lost or moved."""
    values = data.draw(st.lists(wires(kind), min_size=1, max_size=10))
    decoded = decode_chunk(kind, values)
    rows = dict(zip(decoded.index.to_list(), decoded.frame.to_dicts(), strict=True))
    bad = {found.index: found.reason for found in decoded.bad}
    assert sorted([*rows, *bad]) == list(range(len(values)))
    assert decoded.index.is_sorted()
    assert decoded.frame.schema == pl.Schema(kind.schema.columns)
    for i, value in enumerate(values):
        alone = decode_chunk(kind, [value])
        if i in bad:
            assert [found.reason for found in alone.bad] == [bad[i]]
        else:
            assert [plain(row) for row in alone.frame.to_dicts()] == [plain(rows[i])]
        if value is not None and value[:1] == b"\0":
            _equals_reference(kind, value, rows.get(i), bad.get(i))


def _equals_reference(kind: Kind, value: bytes, row: dict[str, Any] | None, reason: str | None) -> None:
    """What fastavro says of an Avro value is what the chunk says of it."""
    name, record, refused = _reference(value)
    if refused or name != kind.schema.name:
        assert (row, reason) == (None, refused or "wrong-kind")
    else:
        assert row is not None
        assert plain(row) == plain(record)


def _reference(value: bytes) -> tuple[str, dict[str, Any], str]:
    try:
        return (*decode(value), "")
    except Refused as refused:
        return "", {}, refused.reason


@given(st.binary(max_size=20))
def test_utf8_is_judged_as_python_judges_it(data: bytes) -> None:
    """Overlong forms, surrogates and cut sequences are no text."""
    try:
        data.decode()
        wanted = True
    except UnicodeDecodeError:
        wanted = False
    assert bool(avro._utf8(np.frombuffer(data + b"\x80", np.uint8), 0, len(data))) == wanted
