"""Mending a dead letter: raw bytes and corrections -> a record that may be sent again, or a named reason against it.

Events pass the same checks as at intake, so that a letter is not refused a second time for the same cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from topics.checks import check
from topics.codes import DEPARTMENTS
from topics.columns import decode_chunk
from topics.events import KINDS, Kind
from topics.fields import Field
from topics.jsonform import from_mapping
from topics.records import COMMAND
from topics.wire import Refused, decode, encode


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: where it lies itself (`id`), why and where it was refused, and the raw record."""

    id: str
    at: int
    reason: str
    detail: str
    stage: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Mended:
    """A record that may be sent: topic without prefix, the key that its topic has, the wire value."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Mending:
    """What to change: another whole `body`, or single `fields` (name -> text), or another `topic`."""

    body: bytes | None = None
    fields: Mapping[str, str] | None = None
    topic: str = ""


def mend(letter: Letter, how: Mending, now: int, most_bytes: int) -> Mended:
    """The record to send again; `now` in ms is its arrival. Raises Refused with the reason that still stands."""
    value = letter.value if how.body is None else how.body
    topic = how.topic or letter.topic or _topic_of(value)
    kind = KINDS.get(topic.removeprefix("events."))
    if kind is not None and topic == kind.topic:
        return _event(kind, value, how.fields or {}, now, most_bytes)
    if topic == "commands":
        return _command(value, how.fields or {})
    raise Refused("unknown-kind", f"only events and commands are sent again, not {topic or 'to no topic'}")


def explain(letter: Letter) -> dict[str, Any] | None:
    """What the raw record says, as far as it can be read at all; None where it cannot."""
    try:
        return _read(letter.value)
    except Refused:
        return None


def _event(kind: Kind, value: bytes | None, fields: Mapping[str, str], now: int, most_bytes: int) -> Mended:
    if fields:
        raw = _read(value) | {name: _typed(kind, name, text) for name, text in fields.items()}
        value = encode(kind.schema, from_mapping(kind, raw))
    decoded = decode_chunk(kind, [value])
    if decoded.bad or value is None:
        raise Refused(decoded.bad[0].reason, decoded.bad[0].detail)
    if len(value) > most_bytes:
        raise Refused("too-large", f"{len(value)} bytes")
    checked = check(kind, decoded.frame, now)
    if checked.reason[0]:
        raise Refused(str(checked.reason[0]))
    return Mended(kind.topic, str(checked.frame["subject"][0]).encode(), value)


def _command(value: bytes | None, fields: Mapping[str, str]) -> Mended:
    name, record = decode(value or b"")
    if name != COMMAND.name:
        raise Refused("bad-command", f"a {name}")
    for field, text in fields.items():
        record[field] = _plain(_field(COMMAND.fields, field), text)
    missing = [f for f in ("command_id", "clue_id", "verb", "actor", "department") if not record[f]]
    if missing or not isinstance(record["issued_at"], int):
        raise Refused("bad-command", f"no {(missing or ['issued_at'])[0]}")
    if record["department"] not in DEPARTMENTS:
        raise Refused("unknown-department", record["department"])
    return Mended("commands", str(record["clue_id"]).encode(), encode(COMMAND, record))


def _read(value: bytes | None) -> dict[str, Any]:
    """The fields of a record in Avro or JSON, unchecked. Raises Refused."""
    if value is None:
        raise Refused("null-value")
    if value[:1] == b"\0":
        return decode(value)[1]
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("bad-json", str(error)[:200]) from error


def _topic_of(value: bytes | None) -> str:
    """The topic of something that never reached one: what its own `kind` says."""
    try:
        kind = KINDS.get(str(_read(value).get("kind")))
    except Refused:
        return ""
    return kind.topic if kind is not None else ""


def _typed(kind: Kind, name: str, text: str) -> Any:
    return _plain(_field(kind.schema.fields, name), text)


def _field(fields: tuple[Field, ...], name: str) -> Field:
    for field in fields:
        if field.name == name:
            return field
    raise Refused("bad-type", f"no field {name[:40]}")


def _plain(field: Field, text: str) -> Any:
    """A field's value from the text of a command line; empty is null. RFC 3339 times are read later."""
    if text == "" and not field.required:
        return None
    try:
        match field.type:
            case "double":
                return float(text)
            case "long":
                return int(text) if text.lstrip("-").isdecimal() else text
            case "boolean":
                return {"true": True, "false": False}[text]
            case _:
                return text
    except (ValueError, KeyError) as error:
        raise Refused("bad-type", f"{field.name}: {text[:40]}") from error
