"""Schemas live long: published ones never change, old readers and new writers understand each other."""

import io
import struct
from typing import Any

import fastavro
import pytest

from topics import lock, wire
from topics.catalogue import SCHEMAS, TOPICS
from topics.columns import decode_chunk, decode_records, encode_frame
from topics.events import Kind
from topics.fields import Field, Schema
from topics.records import TICK
from topics.wire import Refused

OLD = (Field("name", "string", "名", required=True), Field("count", "long", "数"))
NEW = (*OLD, Field("note", "string", "注", since=2), Field("share", "double", "比", since=2))


def schema(number: int, fields: tuple[Field, ...]) -> Schema:
    """A schema of that number."""
    return Schema("Sample", number, "样例", fields)


@pytest.fixture
def evolved(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Schema:
    """A schema in its second version, known to this build. Numbers differ, as parsed schemas are cached."""
    found = schema(9_000 + abs(hash(request.node.name)) % 1_000, NEW)
    monkeypatch.setitem(SCHEMAS, found.number, found)
    return found


def both_ways(schema: Schema, values: list[bytes | None]) -> list[dict[str, Any]]:
    """The rows of values, which the single and the columnar path must agree on."""
    single = [wire.decode(value or b"")[1] for value in values]
    assert decode_records(schema, values).frame.to_dicts() == single
    assert decode_chunk(Kind("sample", "样例", "sample", schema), values).frame.to_dicts() == single
    return single


def test_a_new_reader_fills_what_an_old_writer_did_not_know(evolved: Schema) -> None:
    """Fields of later versions are null, in any mixture of versions."""
    old = wire.encode(evolved, {"name": "a", "count": 1}, version=1)
    new = wire.encode(evolved, {"name": "b", "count": None, "note": "n", "share": 0.5})
    assert both_ways(evolved, [old, new, old]) == [
        {"name": "a", "count": 1, "note": None, "share": None},
        {"name": "b", "count": None, "note": "n", "share": 0.5},
        {"name": "a", "count": 1, "note": None, "share": None},
    ]
    assert both_ways(evolved, [old])[0]["note"] is None


def test_a_record_of_a_later_version_than_this_build_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dead-lettered as unknown-schema, to be sent again after the update, and spoils no other row."""
    known, later = schema(8_999, OLD), schema(8_999, NEW)
    monkeypatch.setitem(SCHEMAS, known.number, known)
    mine = wire.encode(known, {"name": "a", "count": 1})
    theirs = struct.pack(">bI", 0, later.id()) + mine[5:] + b"\0\0"
    decoded = decode_records(known, [mine, theirs, mine])
    assert [(bad.index, bad.reason) for bad in decoded.bad] == [(1, "unknown-schema")]
    assert decoded.index.to_list() == [0, 2]
    with pytest.raises(Refused, match="unknown-schema"):
        wire.decode(theirs)


def test_other_readers_resolve_both_ways() -> None:
    """By Avro's own resolution an old reader skips new fields, and a new one takes their defaults."""
    sample = schema(1, NEW)
    old, new = sample.avro(1), sample.avro(2)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, new, {"name": "a", "count": 1, "note": "n", "share": 0.5})
    assert fastavro.schemaless_reader(io.BytesIO(out.getvalue()), new, old) == {"name": "a", "count": 1}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, old, {"name": "a", "count": 1})
    assert fastavro.schemaless_reader(io.BytesIO(out.getvalue()), old, new) == {
        "name": "a",
        "count": 1,
        "note": None,
        "share": None,
    }


def test_a_new_field_must_be_optional() -> None:
    """Otherwise old writers could not be read."""
    with pytest.raises(ValueError, match="must be optional"):
        Field("x", "string", "x", required=True, since=2)


@pytest.mark.parametrize("name", sorted({topic.schema.name for topic in TOPICS.values()}))
def test_every_schema_goes_through_both_codecs(name: str) -> None:
    """Full and empty records of each schema come back from the single and the columnar path."""
    found = next(topic.schema for topic in TOPICS.values() if topic.schema.name == name)
    fill: dict[str, Any] = {"string": "键é\0", "long": -(2**63), "double": -0.5, "boolean": False, "bytes": b"\0\xff"}
    full = {field.name: fill[field.type] for field in found.fields}
    bare = {field.name: fill[field.type] if field.required else None for field in found.fields}
    values: list[bytes | None] = [wire.encode(found, full), wire.encode(found, bare), b"\0junk"]
    decoded = decode_records(found, values)
    assert decoded.frame.to_dicts() == [full, bare]
    assert [bad.index for bad in decoded.bad] == [2]
    if not any(field.type == "bytes" for field in found.fields):
        assert encode_frame(found, decoded.frame) == values[:2]


def test_published_schemas_are_what_they_were() -> None:
    """Add fields with a new `since`; then `python -m fengsui.docs` adds the new ids to the lock."""
    assert lock.merged(lock.locked(), lock.current()) == lock.locked()


def test_the_lock_refuses_changed_and_vanished_schemas_and_takes_new_ones() -> None:
    """A renamed, retyped, reordered or removed field of a published version is an error; a new version is not."""
    published = lock.current({1: schema(1, OLD)})
    renamed = (OLD[0], Field("number", "long", "数"))
    retyped = (OLD[0], Field("count", "double", "数"))
    required = (OLD[0], Field("count", "long", "数", required=True))
    for fields in (renamed, retyped, required, OLD[::-1], OLD[:1], (*OLD, Field("late", "long", "迟"))):
        with pytest.raises(lock.SchemaChangedError):
            lock.merged(published, lock.current({1: schema(1, fields)}))
    with pytest.raises(lock.SchemaChangedError):
        lock.merged(published, lock.current({2: TICK}))
    assert sorted(lock.merged(published, lock.current({1: schema(1, NEW)}))) == ["1001", "1002"]


def test_a_doc_may_change() -> None:
    """Words for people are no part of the contract."""
    other = (Field("name", "string", "名称", "a better word", required=True), OLD[1])
    assert lock.current({1: schema(1, OLD)}) == lock.current({1: schema(1, other)})
