"""Messages of sensor and camera gateways -> events: what comes by MQTT, and by HTTP to `/v1/readings`.

A message is a JSON object, an array of such, or one event in the Avro wire format. An object is a reading (`metric`, `value`),
several (`values`), a finding of a camera (`label`), a CloudEvent (`specversion`) or a whole event of ours (`kind`).

What is sent again has the same event id: the sender's `id`, else device, metric or label, and the sender's `time`. Without either
it is the message's hash and the minute of its arrival: the same value twice in a minute is one event then.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

from connectors import cloudevents
from connectors.devices.device import Device
from connectors.devices.message import GATEWAY, MOST_ELEMENTS, Message
from connectors.devices.owning import NOT_YOURS, not_its_own
from connectors.devices.rows import NO_CHANNEL, Rows
from topics.events import KINDS, Kind
from topics.jsonform import from_mapping, milliseconds
from topics.wire import HEADER, Refused, decode_body, writer_of

_MINUTE_MS: Final = 60_000
_NAME_CHARS: Final = 256
_INT64: Final = 2**63
_KIND_OF_SCHEMA: Final = {kind.schema.number: kind for kind in KINDS.values()}


def sent_at(message: Message) -> int | None:
    """When the device sent it by its own clock, ms UTC; old messages say nothing about that clock."""
    if message.retained or message.payload[:1] == b"\0":
        return None
    try:
        for _, members in message.elements():
            if isinstance(members, dict) and "specversion" not in members:
                return _time(members, "sent")
    except Refused:
        pass
    return None


def events(
    device: Device, message: Message, arrived: int, rows: Rows, source: str = GATEWAY, *, numbered: bool = False
) -> None:
    """Add a message's events; what cannot be one is refused in its place, and spoils nothing beside it.

    `numbered`: an element's number in the message becomes the owner of its rows.
    """
    if message.payload[:1] == b"\0":
        try:
            _avro(device, message.payload, rows, source)
        except Refused as refused:
            rows.refuse(refused.reason, refused.detail)
        return
    try:
        elements = message.elements()
    except Refused as refused:
        rows.refuse(refused.reason, refused.detail)
        return
    for number, (raw, members) in enumerate(elements):
        if numbered:
            rows.owner = number
        try:
            _Element(device, message, arrived, rows, source, number).take(raw, members)
        except Refused as refused:
            rows.refuse(refused.reason, f"[{number}] {refused.detail}")


@dataclass(frozen=True, slots=True)
class _Element:
    """One object of a message, on its way to rows."""

    device: Device
    message: Message
    arrived: int
    rows: Rows
    source: str
    number: int

    def take(self, raw: bytes, members: Any) -> None:
        if isinstance(members, Refused):
            raise members
        if not isinstance(members, dict):
            raise Refused("unknown-payload", f"{type(members).__name__}, not an object")
        if "specversion" in members:
            _whole(self.device, *cloudevents.to_mapping(cloudevents.structured(raw)), self.rows, self.source)
        elif "kind" in members:
            _whole(self.device, _kind(members["kind"]), members, self.rows, self.source)
        elif isinstance(members.get("values"), dict):
            if len(members["values"]) > MOST_ELEMENTS:
                raise Refused("too-large", f"{len(members['values'])} values, more than {MOST_ELEMENTS}")
            for metric, value in members["values"].items():
                self._one_of_several(members, metric, value)
        elif "metric" in members:
            self._reading(members, members["metric"], members.get("value"))
        elif "label" in members:
            self._finding(members)
        else:
            raise Refused("unknown-payload", f"members: {', '.join(members)}"[:200])

    def _one_of_several(self, members: dict[str, Any], metric: str, value: Any) -> None:
        try:
            self._reading(members, metric, value)
        except Refused as refused:
            self.rows.refuse(refused.reason, f"[{self.number}] {refused.detail}")

    def _reading(self, members: dict[str, Any], metric: Any, value: Any) -> None:
        name = _text(members | {"metric": metric}, "metric")
        if name is None:
            raise Refused("missing-field", "metric")
        times, identity = self._times(members), self._identity(members, name)
        measured = (name, _number(name, value), _text(members, "unit"), _text(members, "flag"))
        channel = self.device.channels.get(name, NO_CHANNEL)
        self.rows.reading(self.device, channel, identity, times, self.source, measured)

    def _finding(self, members: dict[str, Any]) -> None:
        label = _text(members, "label")
        if label is None:
            raise Refused("missing-field", "label")
        confidence = members.get("confidence")
        seen = (
            self.device.labels.get(label, label),
            None if confidence is None else _number("confidence", confidence),
            _text(members, "picture", 8 * _NAME_CHARS),
            _text(members, "sha256"),
        )
        self.rows.sighting(
            self.device, self._identity(members, f"label:{label}"), self._times(members), self.source, seen
        )

    def _times(self, members: dict[str, Any]) -> tuple[int, int]:
        """Occurred, observed. An old message that does not say when it was could be from any day."""
        own = self.device.clock == "device"
        time, sent = _time(members, "time"), _time(members, "sent")
        if self.message.retained and (time is None or not own):
            raise Refused("no-time", self.message.topic[:200])
        if not own:
            return self.arrived, self.arrived
        return self.arrived if time is None else time, self.arrived if sent is None else sent

    def _identity(self, members: dict[str, Any], name: str) -> str:
        whose, given = f"{self.device.key}/{name}", members.get("id")
        if given is not None:
            if isinstance(given, bool) or not isinstance(given, str | int) or len(str(given)) > _NAME_CHARS:
                raise Refused("bad-type", f"id: {type(given).__name__}, or too long")
            return f"{whose}/id:{given}"
        time = _time(members, "time")
        if time is not None and self.device.clock == "device":
            return f"{whose}/{time}"
        digest = hashlib.sha256(self.message.payload).hexdigest()[:16]
        return f"{whose}/{digest}.{self.number}-{self.arrived // _MINUTE_MS}"


def _avro(device: Device, payload: bytes, rows: Rows, source: str) -> None:
    schema, version = writer_of(payload)
    kind = _KIND_OF_SCHEMA.get(schema.number)
    if kind is None:
        raise Refused("unknown-kind", schema.name)
    _whole(device, kind, decode_body(schema, version, payload[HEADER.size :]), rows, source)


def _kind(code: Any) -> Kind:
    kind = KINDS.get(code) if isinstance(code, str) else None
    if kind is None:
        raise Refused("unknown-kind", str(code)[:80])
    return kind


def _whole(device: Device, kind: Kind, given: dict[str, Any], rows: Rows, source: str) -> None:
    """A whole event; what the register knows of its device stands in for fields that it leaves out."""
    known: dict[str, Any] = {
        "subject": device.subject, "sector": device.sector, "region": device.region, "chain": device.chain,
        "device_id": device.device_id, "source": source,
    }  # fmt: skip
    if given.get("subject") in (None, device.subject):
        known["subject_name"] = device.subject_name
    record = from_mapping(kind, known | {name: value for name, value in given.items() if value is not None})
    stranger = not_its_own(device, record)
    if stranger:
        raise Refused(NOT_YOURS, stranger)
    rows.event(kind, record)


def _text(members: dict[str, Any], name: str, most: int = _NAME_CHARS) -> str | None:
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most:
        raise Refused("bad-type", f"{name}: {type(value).__name__}, or more than {most} characters")
    return value


def _number(name: str, value: Any) -> float:
    """A number; true and false, as contacts are told, are 1 and 0."""
    if not isinstance(value, int | float):
        raise Refused("bad-value", f"{name}: {'null' if value is None else type(value).__name__}")
    try:
        return float(value)
    except OverflowError as error:
        raise Refused("bad-value", f"{name}: more than a double holds") from error


def _time(members: dict[str, Any], name: str) -> int | None:
    """Milliseconds UTC or RFC 3339 with a zone."""
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return milliseconds(value, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused("bad-time", f"{name}: {type(value).__name__}")
    if not -_INT64 <= value < _INT64:
        raise Refused("bad-time", f"{name}: more than 64 bits")
    return round(value)
