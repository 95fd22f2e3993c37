"""An event as JSON: the event's fields at the top level, times as milliseconds or RFC 3339, unknown fields left out."""

import datetime as dt
import re
from functools import cache
from typing import Any, Final

import msgspec

from topics.events import Kind
from topics.fields import PYTHON
from topics.wire import Refused

_TIMES: Final = re.compile(r"_at$")
_DECODER: Final = msgspec.json.Decoder(type=dict[str, Any])


def from_json(kind: Kind, data: bytes) -> dict[str, Any]:
    """A record of the kind from JSON text. Raises Refused with bad-json, bad-utf8, wrong-kind, missing-field, bad-type, bad-time.

    >>> from topics.events import KINDS
    >>> from_json(KINDS["iot"], b'{"kind": "iot"}')
    Traceback (most recent call last):
    topics.wire.Refused: missing-field: event_id
    """
    try:
        raw = _DECODER.decode(data)
    except UnicodeDecodeError as error:
        raise Refused("bad-utf8", str(error)[:200]) from error
    except (msgspec.DecodeError, RecursionError) as error:
        utf8 = "utf-8" in str(error).lower()
        raise Refused("bad-utf8" if utf8 else "bad-json", str(error)[:200]) from error
    return from_mapping(kind, raw)


def from_mapping(kind: Kind, raw: dict[str, Any]) -> dict[str, Any]:
    """A record of the kind from decoded JSON (or a row of a file). Raises Refused as `from_json`."""
    given = raw.get("kind", kind.code)
    if given != kind.code:
        raise Refused("wrong-kind", str(given)[:80])
    record: dict[str, Any] = {}
    for name, type_, required in _plan(kind.code, kind):
        value = kind.code if name == "kind" else raw.get(name)
        if value is None or (required and value == ""):
            if required:
                raise Refused("missing-field", name)
            record[name] = None
        else:
            record[name] = _value(name, type_, value)
    return record


@cache
def _plan(_code: str, kind: Kind) -> list[tuple[str, type, bool]]:
    return [(f.name, PYTHON[f.type], f.required) for f in kind.schema.fields]


def _value(name: str, type_: type, value: Any) -> Any:
    if type_ is int and isinstance(value, str) and _TIMES.search(name):
        return milliseconds(value, name)
    if type_ is float and isinstance(value, int) and not isinstance(value, bool):
        return _finite(name, value)
    if type_ is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
        raise Refused("bad-type", f"{name}: {type(value).__name__}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Refused("bad-type", f"{name}: more than 64 bits")
    return value


def _finite(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise Refused("bad-type", f"{name}: more than a double holds") from error


def milliseconds(text: str, name: str = "time") -> int:
    """Milliseconds UTC of an RFC 3339 text. A time without a zone is refused: whose clock would it be?

    >>> milliseconds("2026-01-01T08:00:00+08:00")
    1767225600000
    """
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Refused("bad-time", f"{name}: no time zone")
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise Refused("bad-time", f"{name}: {text[:40]}") from error
