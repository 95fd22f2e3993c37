"""A message of a sensor or camera gateway: whose it is, what elements it has, how it is parked. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from connectors import cloudevents
from connectors.devices.device import is_key
from topics.wire import Refused

GATEWAY: Final = "mqtt"
MOST_ELEMENTS: Final = 5_000
_PARKED: Final = msgspec.msgpack.Decoder(type=tuple[str, bytes, bool])

Element = tuple[bytes, Any]


@dataclass(slots=True)
class Message:
    """One message. `retained`: an old one, told on subscribing."""

    topic: str
    payload: bytes
    retained: bool = False
    _read: list[Element] | Refused | None = field(default=None, repr=False)

    def elements(self) -> list[Element]:
        """(raw, value) of each element of a JSON payload. Raises Refused."""
        if self._read is None:
            try:
                self._read = _elements(self.payload)
            except Refused as refused:
                self._read = refused
        if isinstance(self._read, Refused):
            raise self._read
        return self._read

    def parked(self) -> bytes:
        """The message as bytes for the parking topic, which `unparked` reads."""
        return msgspec.msgpack.encode((self.topic, self.payload, self.retained))


def unparked(raw: bytes) -> Message:
    """A message as it was parked. Raises Refused.

    >>> unparked(Message("fengsui/a/events", b"{}").parked()).payload
    b'{}'
    """
    try:
        return Message(*_PARKED.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("unknown-format", str(error)[:200]) from error


def device_name(filters: Iterable[str], topic: str) -> str:
    """The device's name in a topic: what stands at the first `+` of the filter that it fits; "" where there is none.

    >>> device_name(["fengsui/+/events", "plant/+/#"], "plant/k7/line/2"), device_name(["fengsui/+/events"], "other/k7")
    ('k7', '')
    """
    levels = topic.split("/")
    for one in filters:
        wanted = one.split("/")
        if _fits(wanted, levels) and "+" in wanted:
            return levels[wanted.index("+")]
    return ""


def key_of(name: str, protocol: str = GATEWAY) -> str:
    """The register's key of a device; "" where a name could not be registered."""
    key = f"{protocol}:{name}"
    return key if is_key(key) else ""


def _elements(payload: bytes) -> list[Element]:
    if not payload.strip():
        raise Refused("empty-value", "an empty message")
    if not payload.lstrip().startswith(b"["):
        return [(payload, cloudevents.read_json(payload))]
    raws = cloudevents.elements(payload, Refused("bad-json", "not an array"))
    if len(raws) > MOST_ELEMENTS:
        raise Refused("too-large", f"{len(raws)} elements, at most {MOST_ELEMENTS}")
    return [(raw, _value(raw)) for raw in raws]


def _value(raw: bytes) -> Any:
    """A JSON value; the refusal in its place where it has none, so that the others are read."""
    try:
        return cloudevents.read_json(raw)
    except Refused as refused:
        return refused


def _fits(wanted: list[str], levels: list[str]) -> bool:
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number >= len(levels) or level not in ("+", levels[number]):
            return False
    return len(wanted) == len(levels)
