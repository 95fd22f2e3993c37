"""GA/T 1400.4 (公安视频图像信息应用系统 接口协议): JSON bodies -> objects with their pictures, and the answers to them.

Uploads of faces, persons, motor vehicles and images, notifications with such objects inside, and the bodies of the system
interfaces. Numbers may come as texts, times as 14 digits, dashed, or milliseconds; what an object lacks is None.

>>> message = decode(b'{"FaceListObject": {"FaceObject": [{"FaceID": "1", "FaceAppearTime": "20200203153415"}]}}')
>>> message.kind, message.objects[0].id, message.objects[0].time
('Face', '1', '2020-02-03T15:34:15+08:00')
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import digest
from .gat1400_objects import CHINA, ENVELOPES, Envelope, Object, hint, listed, nested, read_object
from .stream import Fault

__all__ = ["Message", "Object", "decode", "describe", "response_status", "response_status_list"]

INVALID_CONTENT: Final = 8  # ConfirmStatusType of the standard
Item = Object | Fault


@dataclass(frozen=True, slots=True)
class Message:
    """One body: kind, endpoint, and what it holds, in order; what is wrong with one object stands in its place."""

    kind: str
    endpoint: str
    items: list[Item]
    auth: str = ""

    @property
    def objects(self) -> list[Object]:
        """The objects that could be read."""
        return [item for item in self.items if isinstance(item, Object)]


def decode(body: bytes, most: int | None = None) -> Message | Fault:
    """What a body holds, or why it holds nothing: bad-json, bad-utf8, unknown-envelope, bad-type; too-large where it lists
    more than `most` objects. Never raises."""
    value = read_json(body)
    return value if isinstance(value, Fault) else decode_value(value, most)


def decode_value(value: Any, most: int | None = None) -> Message | Fault:
    """The same of a body that has been parsed."""
    if not isinstance(value, dict):
        return Fault("bad-type", "a body is a JSON object")
    name = next((name for name in value if name in ENVELOPES), None)
    if name is None:
        asked = next((str(name) for name in value), "")
        return Fault("unknown-envelope", asked[:80], {"hint": hint(asked)})
    envelope, inner = ENVELOPES[name], value[name]
    if not isinstance(inner, dict | list):
        return Fault("bad-type", f"{name} is not an object")
    inside = _listed(envelope, inner)
    if inside is None:
        return Fault("missing-field", f"{name} has no {envelope.member}")
    if most is not None:  # an object that was read takes many times what it takes as JSON
        count = sum(map(nested, inside), len(inside))
        if count > most:
            return Fault("too-large", f"{count} objects")
    items: list[Item] = [read_object(envelope, one) for one in inside]
    return Message(envelope.kind, envelope.endpoint, items, envelope.auth)


def _listed(envelope: Envelope, inner: dict[str, Any] | list[Any]) -> list[Any] | None:
    """What an envelope lists; a single object is taken for a list of one, an envelope without a list for its object."""
    if isinstance(inner, list):
        return inner
    for member in (envelope.member, *envelope.others):
        if member in inner:
            return listed(inner[member])
    return None if envelope.member else [inner]


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, or in GB 18030 as some vendors send it; a Fault where it is none."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            text = body.decode("gb18030")
        except UnicodeDecodeError:
            return Fault("bad-utf8", str(error)[:200])
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except UnicodeEncodeError as error:
        return Fault("bad-utf8", str(error)[:200])
    except (ValueError, RecursionError) as error:
        return Fault("bad-json", str(error)[:200])
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def describe(one: Message | Fault) -> dict[str, Any]:
    """A message or a refusal as one JSON object, as `fengsui decode gat1400` prints it.

    Of a message with several objects `device`, `event_time`, `plate` and the like are those of the first that has one.
    """
    if isinstance(one, Fault):
        return {"ok": False, "reason": one.reason, "detail": one.detail} | (one.facts or {})
    bad = next((item for item in one.items if isinstance(item, Fault)), None)
    about: dict[str, Any] = {"ok": bad is None, "endpoint": one.endpoint, "kind": one.kind}
    if bad is not None:
        about |= {"reason": bad.reason, "detail": bad.detail}
    if one.auth:
        about["auth"] = one.auth
    about["ids"] = [item.id for item in one.objects if item.id]
    for item in _with_related(one.objects):
        for name, value in item.summary().items():
            about.setdefault(name, value)
    return about | {"objects": [_described(item) for item in one.items]}


def _with_related(objects: Iterable[Object]) -> Iterator[Object]:
    for one in objects:
        yield one
        yield from one.related


def _described(item: Item) -> dict[str, Any]:
    return item.describe() if isinstance(item, Object) else {"reason": item.reason, "detail": item.detail}


def decode_authorization(header: str) -> dict[str, Any]:
    """A Digest `Authorization` header as one JSON object. Whether it proves a password: `digest.matches`."""
    given = digest.parse(header)
    if given is None:
        return {"ok": False, "reason": "bad-type", "detail": "not a Digest header with all its parameters"}
    return {"ok": True, "kind": "Authorization", "auth": "digest"} | given


def response_status(url: str, now: dt.datetime, id_: str = "", code: int = 0, text: str = "正常") -> dict[str, str]:
    """One `ResponseStatusObject`. `now` has a zone; code 0 is success, as a text."""
    local = now.astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    status = {"RequestURL": url, "StatusCode": str(code), "StatusString": text, "Id": id_, "LocalTime": local}
    return {name: value for name, value in status.items() if value or name != "Id"}


def response_status_list(url: str, items: Sequence[Item], now: dt.datetime) -> bytes:
    """The body that answers an upload: 0 for each object that was taken, 8 (JSON 内容有误) for one that could not be read.

    >>> now = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    >>> body = response_status_list("/VIID/Faces", [Fault("missing-field", "no FaceID")], now)
    >>> [(one["StatusCode"], one["LocalTime"]) for one in json.loads(body)["ResponseStatusListObject"]["ResponseStatusObject"]]
    [('8', '20260101080000')]
    """
    statuses = [
        response_status(url, now, code=INVALID_CONTENT, text=f"{item.reason}: {item.detail}")
        if isinstance(item, Fault)
        else response_status(url, now, item.id or "")
        for item in items
    ]
    body = {"ResponseStatusListObject": {"ResponseStatusObject": statuses}}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
