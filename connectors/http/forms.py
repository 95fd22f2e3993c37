"""What a body may be: CloudEvents in three modes, JSON lines, a JSON object or array -> one item an event. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors import cloudevents
from topics.events import KINDS, Kind
from topics.jsonform import from_mapping
from topics.wire import Refused

JSON_LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
JSON: Final = "application/json"
_ELEMENTS: Final = msgspec.json.Decoder(type=list[msgspec.Raw])
_UNREADABLE: Final = ("bad-json", "bad-utf8")


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a body: its raw bytes, and either kind and record, or the named reason why not."""

    raw: bytes
    kind: Kind | None = None
    record: dict[str, Any] | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """The items of a body in order; `unreadable` when nothing in it could be read at all."""

    items: list[Item]
    unreadable: bool = False


class UnknownForm(Exception):  # noqa: N818 - what the sender did
    """A media type that is not taken (HTTP 415)."""


def read_form(headers: Sequence[tuple[str, str]], body: bytes, kind: str = "") -> Form:
    """The items of a body; `kind` stands in where an event names none. Raises UnknownForm."""
    given = next((value for name, value in headers if name.lower() == "content-type"), "")
    media = given.partition(";")[0].strip().lower()
    if media.startswith("application/cloudevents") and media not in (cloudevents.STRUCTURED, cloudevents.BATCH):
        raise UnknownForm(media[:80])
    if cloudevents.is_cloudevent(headers):
        message = cloudevents.decode(headers, body)
        return Form([_from_cloudevent(result) for result in message.results], message.unreadable)
    if media in JSON_LINES:
        items = [_item(line, kind) for line in body.split(b"\n") if line.strip()]
        return Form(items or [Item(body, reason="empty-value")], all(item.reason in _UNREADABLE for item in items))
    if media == JSON:
        return _json(body, kind)
    raise UnknownForm(media[:80] or "no Content-Type")


def _json(body: bytes, kind: str) -> Form:
    """One object, or an array of objects."""
    if not body.lstrip().startswith(b"["):
        item = _item(body, kind)
        return Form([item], item.reason in _UNREADABLE)
    try:
        return Form([_item(bytes(raw), kind) for raw in _ELEMENTS.decode(body)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Form([Item(body, reason="bad-json", detail=str(error)[:200])], unreadable=True)


def _item(raw: bytes, kind: str) -> Item:
    try:
        fields = cloudevents.read_json(raw)
        if not isinstance(fields, dict):
            raise Refused("bad-json", "not a JSON object")
        return _checked(raw, _kind(fields.get("kind", kind)), fields)
    except Refused as refused:
        return Item(raw, reason=refused.reason, detail=refused.detail)


def _from_cloudevent(result: cloudevents.Event | cloudevents.Bad) -> Item:
    if isinstance(result, cloudevents.Bad):
        return Item(result.raw, reason=result.reason, detail=result.detail)
    try:
        return _checked(result.raw, *cloudevents.to_mapping(result))
    except Refused as refused:
        return Item(result.raw, reason=refused.reason, detail=refused.detail)


def _kind(code: object) -> Kind:
    kind = KINDS.get(code) if isinstance(code, str) else None
    if kind is None:
        raise Refused("unknown-kind" if code else "missing-field", str(code)[:80] if code else "kind")
    return kind


def _checked(raw: bytes, kind: Kind, fields: dict[str, Any]) -> Item:
    return Item(raw, kind, from_mapping(kind, fields))
