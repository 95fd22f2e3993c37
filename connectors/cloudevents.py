"""CloudEvents 1.0 over HTTP: headers and body -> events, in the three content modes. No clock, no input, no output.

Specification: cloudevents/spec v1.0.2, `http-protocol-binding.md` and `json-format.md`. Every MUST on a receiver is
checked here, because the usual package invents missing ids, rejects null attributes and lets broken UTF-8 through.

>>> headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "fengsui.iot"),
...            ("Content-Type", "application/json")]
>>> decode(headers, b'{"value": 1}').results[0].data
{'value': 1}
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from topics.events import KINDS, Kind
from topics.wire import Refused

Mode = Literal["binary", "structured", "batch"]
REASON: Final = "bad-cloudevent"
STRUCTURED: Final = "application/cloudevents+json"
TYPE_PREFIX: Final = "fengsui."
PLAIN_JSON: Final = "application/json"
BATCH: Final = "application/cloudevents-batch+json"

_REQUIRED: Final = ("id", "source", "specversion", "type")
_STRINGS: Final = frozenset({*_REQUIRED, "subject", "time", "datacontenttype", "dataschema"})
_NAME: Final = re.compile(r"^[a-z0-9]+$")
_MEDIA_TYPE: Final = re.compile(r"^[\w!#$&^.+-]+/[\w!#$&^.+-]+\s*(;.*)?$", re.ASCII)
_URI_STRAY: Final = re.compile(r'[\s<>"{}|\\^`]')
_URI_SCHEME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_RFC3339: Final = re.compile(
    r"^(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$", re.ASCII
)
# Characters the type system keeps out of strings: controls, lone surrogates, and non-characters.
_NOT_TEXT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(p << 16 | 0xFFFE) + chr(p << 16 | 0xFFFF) for p in range(17))
    + "]"
)
_ESCAPES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_JSON: Final = re.compile(r"^[^/;\s]+/(?:[^;\s]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_INT32: Final = 2**31
_STAND_IN: Final = (
    ("id", "event_id"),
    ("source", "source"),
    ("subject", "subject"),
    ("time", "occurred_at"),
    ("time", "observed_at"),
    ("sector", "sector"),
    ("region", "region"),
)
_ELEMENTS: Final = msgspec.json.Decoder(type=list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Event:
    """A valid CloudEvent: `attributes` without unset ones, `data` as JSON value, text or bytes; `raw` bytes as sent."""

    mode: Mode
    attributes: dict[str, Any]
    data: Any
    has_data: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """A CloudEvent that breaks the specification or cannot be read: named reason, detail for people, what was sent."""

    mode: Mode | None
    reason: str
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP message: its mode and its events in order; `unreadable` when the body as a whole says nothing."""

    mode: Mode | None
    results: list[Event | Bad] = field(default_factory=list)
    unreadable: bool = False


def decode(headers: Mapping[str, str] | Iterable[tuple[str, str]], body: bytes) -> Message:
    """The events of one HTTP message. Never raises on input: what is wrong comes back as `Bad` in its place."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lower = [(str(name).lower(), str(value).strip()) for name, value in pairs]
    content_type = next((value for name, value in lower if name == "content-type"), "")
    mode: Mode = "binary"
    try:
        mode = mode_of(content_type)
        if mode == "batch":
            return Message(mode, [_element(raw) for raw in elements(body, Refused(REASON, "a batch is a JSON array"))])
        if mode == "structured":
            return Message(mode, [structured(body)])
        return Message(mode, [_binary(lower, content_type, body)])
    except Refused as refused:
        unreadable = refused.reason in ("bad-json", "bad-utf8")
        return Message(mode, [Bad(mode, refused.reason, refused.detail, body)], unreadable)


def mode_of(content_type: str) -> Mode:
    """The content mode a `Content-Type` asks for. The batch type is tried first: the other is a prefix of it.

    >>> mode_of("application/cloudevents-batch+json; charset=UTF-8"), mode_of("text/plain")
    ('batch', 'binary')
    """
    media, _, parameters = (part.strip().lower() for part in content_type.partition(";"))
    if not media.startswith("application/cloudevents"):
        return "binary"
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', parameters)
    if charset is not None and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(REASON, f"charset {charset[1][:40]}: JSON is UTF-8")
    if media == BATCH:
        return "batch"
    if media == STRUCTURED:
        return "structured"
    raise Refused(REASON, f"event format {media[:80]} is not supported")


def is_cloudevent(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the message claims to be a CloudEvent: by its media type, or by a `ce-specversion` header."""
    return any(
        name.lower() == "ce-specversion"
        or (name.lower() == "content-type" and value.strip().lower().startswith("application/cloudevents"))
        for name, value in headers
    )


def structured(raw: bytes, mode: Mode = "structured") -> Event:
    """The event of a JSON object in the JSON event format. Raises Refused."""
    members = read_json(raw)
    if not isinstance(members, dict):
        raise Refused(REASON, "not a JSON object")
    has_data = "data" in members
    data = members.pop("data", None)
    encoded = members.pop("data_base64", None)
    attributes = {name: value for name, value in members.items() if value is not None}
    _check(attributes)
    if encoded is not None:
        if has_data:
            raise Refused(REASON, "both data and data_base64")
        data, has_data = _unbase64(encoded), True
    elif (
        has_data
        and not isread_json(attributes.get("datacontenttype", "application/json"))
        and not isinstance(data, str)
    ):
        raise Refused(REASON, "data of a type that is not JSON must be a string")
    return Event(mode, attributes, data, has_data, raw)


def isread_json(content_type: str) -> bool:
    """Whether a media type declares JSON: `*/json` or `*/*+json`, parameters aside.

    >>> isread_json("application/vnd.x+json; v=1"), isread_json("text/jsonp")
    (True, False)
    """
    return content_type == PLAIN_JSON or _JSON.match(content_type.strip()) is not None


def header_text(value: str) -> str:
    """An attribute's text from its header: one unquoting, then one percent-decoding. Raises Refused on broken UTF-8.

    >>> header_text("Euro%20%E2%82%AC")
    'Euro €'
    """
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
    try:
        return _ESCAPES.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8"), value)
    except UnicodeDecodeError as error:
        raise Refused(REASON, "percent-encoded bytes are not UTF-8") from error


def to_mapping(event: Event) -> tuple[Kind, dict[str, Any]]:
    """Kind and fields of an event of ours inside a CloudEvent. Raises Refused.

    The kind is `fengsui.<kind>` in `type`, else an extension `kind`, else the data's own. `id`, `source`, `subject`
    and `time` stand in for fields that the data leaves out; so do the extensions `sector` and `region`.
    """
    data = event.data
    if isinstance(data, bytes) or (isinstance(data, str) and event.mode == "binary"):
        data = read_json(data if isinstance(data, bytes) else data.encode())
    if not isinstance(data, dict):
        raise Refused("bad-type", "data is not a JSON object of event fields")
    attributes = event.attributes
    code = str(attributes["type"]).removeprefix(TYPE_PREFIX)
    if code not in KINDS:
        code = str(attributes.get("kind", data.get("kind", code)))
    kind = KINDS.get(code)
    if kind is None:
        raise Refused("unknown-kind", code[:80])
    filled = {target: attributes[name] for name, target in _STAND_IN if name in attributes}
    return kind, filled | {name: value for name, value in data.items() if value is not None}


def describe(message: Message) -> dict[str, Any]:
    """A message as one JSON object, as `fengsui decode cloudevents` prints it: `ok`, `mode`, then what was found."""
    if message.mode != "batch":
        return _describe_one(message.results[0])
    found = [_describe_one(result) for result in message.results]
    bad = next((result for result in message.results if isinstance(result, Bad)), None)
    about: dict[str, Any] = {"ok": bad is None, "mode": "batch", "count": len(found)}
    if bad is not None:
        about |= {"reason": bad.reason, "detail": bad.detail}
    about["ids"] = [result.attributes["id"] for result in message.results if isinstance(result, Event)]
    for i, result in enumerate(message.results):
        if isinstance(result, Event) and isinstance(result.data, bytes):
            about[f"data{i}_hex"] = result.data.hex()
    return about | {"events": found}


def _describe_one(result: Event | Bad) -> dict[str, Any]:
    if isinstance(result, Bad):
        return {"ok": False, "mode": result.mode, "reason": result.reason, "detail": result.detail}
    about: dict[str, Any] = {"ok": True, "mode": result.mode, "attributes": result.attributes}
    if isinstance(result.data, bytes):
        about["data_base64"] = base64.b64encode(result.data).decode()
        about["data_hex"] = result.data.hex()
    elif result.has_data:
        about["data"] = result.data
        if result.mode != "binary" and "datacontenttype" not in result.attributes:
            about["datacontenttype_implied"] = "application/json"
    return about


def elements(body: bytes, otherwise: Refused) -> list[bytes]:
    """The elements of a JSON array, each as it was written. Raises Refused: `otherwise` where the text is JSON and no array."""
    try:
        return [bytes(raw) for raw in _ELEMENTS.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        read_json(body)  # names what is wrong with the text, where the text is wrong
        raise otherwise from None


def _element(raw: bytes) -> Event | Bad:
    try:
        return structured(raw, "batch")
    except Refused as refused:
        return Bad("batch", refused.reason, refused.detail, raw)


def _binary(headers: list[tuple[str, str]], content_type: str, body: bytes) -> Event:
    attributes: dict[str, Any] = {}
    for name, value in headers:
        if not name.startswith("ce-"):
            continue
        if name[3:] in attributes or name == "ce-datacontenttype":
            raise Refused(
                REASON, f"header {name[:40]} must not be there" if name[3:] not in attributes else f"{name[:40]} twice"
            )
        attributes[name[3:]] = header_text(value)
    if not attributes:
        raise Refused(REASON, "no CloudEvents media type and no ce- headers")
    if content_type:
        attributes["datacontenttype"] = content_type
    _check(attributes)
    if not body and not isread_json(content_type):
        return Event("binary", attributes, None, False, body)
    return Event("binary", attributes, _payload(content_type, body), bool(body), body)


def _payload(content_type: str, body: bytes) -> Any:
    """Data of the binary mode: a JSON value where the type says JSON, else text where it is UTF-8, else bytes."""
    if isread_json(content_type):
        return read_json(body) if body else None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def _check(attributes: dict[str, Any]) -> None:
    for name in _REQUIRED:
        value = attributes.get(name)
        if value is None or value == "":
            raise Refused(REASON, f"{'empty' if name in attributes else 'missing'} {name}")
    for name, value in attributes.items():
        # Printable text holds nothing that _NOT_TEXT would find, and is quicker told: a batch reads twice as fast.
        if not (name in _STRINGS and type(value) is str and value.isprintable()):
            _check_attribute(name, value)
    if attributes["specversion"] != "1.0":
        raise Refused(REASON, f"specversion {attributes['specversion'][:20]} is not 1.0")
    if _URI_STRAY.search(attributes["source"]):
        raise Refused(REASON, "source is not a URI reference")
    schema = attributes.get("dataschema")
    if schema is not None and (_URI_STRAY.search(schema) or not _URI_SCHEME.match(schema)):
        raise Refused(REASON, "dataschema is not an absolute URI")
    if attributes.get("subject") == "":
        raise Refused(REASON, "empty subject")
    if "time" in attributes and not _is_time(attributes["time"]):
        raise Refused(REASON, f"time {attributes['time'][:40]} is not RFC 3339")
    media = attributes.get("datacontenttype", PLAIN_JSON)
    if media != PLAIN_JSON and not _MEDIA_TYPE.match(media):
        raise Refused(REASON, "datacontenttype is not a media type")


def _check_attribute(name: str, value: Any) -> None:
    if not _NAME.match(name):
        raise Refused(REASON, f"attribute name {name[:40]!r}: lower-case letters and digits only")
    if isinstance(value, str):
        if _NOT_TEXT.search(value):
            raise Refused(REASON, f"{name[:40]} holds a control character")
        return
    if name in _STRINGS:
        raise Refused(REASON, f"{name} is not a string")
    if isinstance(value, bool) or (isinstance(value, int) and -_INT32 <= value < _INT32):
        return
    raise Refused(REASON, f"{name[:40]} is neither text, boolean nor a 32-bit integer")


def _is_time(text: str) -> bool:
    match = _RFC3339.match(text)
    if match is None:
        return False
    try:
        dt.date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises Refused (bad-json, bad-utf8), however deep, long or broken the text is."""
    try:
        return _ANY.decode(body)
    except UnicodeDecodeError as error:
        raise Refused("bad-utf8", str(error)[:200]) from error
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error)
        raise Refused("bad-utf8" if "utf-8" in text.lower() else "bad-json", text[:200]) from error


def _unbase64(encoded: Any) -> bytes:
    try:
        if isinstance(encoded, str):
            return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise Refused(REASON, "data_base64 is not base64")
