"""The protocols on streams and datagrams, as the servers and the pipe use them."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from connectors.devices import gb26875 as gb26875_events
from connectors.devices import hj212 as hj212_events
from connectors.devices.clock import CHINA
from connectors.devices.device import Device
from connectors.devices.rows import Rows
from connectors.gateway.item import ACCEPTED, NOT_KEPT
from connectors.gateway.splits import Splits
from connectors.protocols import gb26875, hj212
from connectors.protocols.stream import Bad, Splitter

_SEND: Final = gb26875.SEND


class Hj212:
    """HJ 212: replies where Flag asks; packets of one message put together; PW as the device's password.

    `keys`: MN -> SM4 key, "*" for all others.
    """

    name = hj212_events.GATEWAY

    def __init__(self, keys: Mapping[str, bytes] | None = None, splits: Splits | None = None) -> None:
        self._keys = dict(keys or {})
        self.splits = splits or Splits()

    def splitter(self) -> Splitter[hj212.Frame]:
        return hj212.splitter(self._key)

    def _key(self, mn: str) -> bytes | None:
        return self._keys.get(mn, self._keys.get("*"))

    def key(self, frame: hj212.Frame) -> str:
        return hj212_events.key_of(frame)

    def answer(self, frame: hj212.Frame, outcome: str) -> bytes | None:
        return hj212.answer(frame) if outcome == ACCEPTED else None

    def events(self, device: Device, frame: hj212.Frame, arrived: int, rows: Rows) -> None:
        whole = self.splits.joined(frame) if frame.packet is not None else frame
        hj212_events.events(device, whole, arrived, rows)

    def sent_at(self, frame: hj212.Frame) -> int | None:
        return None if frame.resent else hj212_events.sent_at(frame)

    def password(self, frame: hj212.Frame) -> str | None:
        return frame.header.get("PW")

    def again(self, raw: bytes) -> Iterable[tuple[str, hj212.Frame]]:
        found = hj212.decode(raw, self._key)
        return [(self.key(frame), frame) for frame in found if not isinstance(frame, Bad)]


class Gb26875:
    """GB/T 26875.3: a frame of command 2 is confirmed, or denied where it was refused. The protocol has no password."""

    name = gb26875_events.GATEWAY

    def __init__(self, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(CHINA).replace(tzinfo=None)) -> None:
        self._now = now

    def splitter(self) -> Splitter[gb26875.Frame]:
        return gb26875.splitter()

    def key(self, frame: gb26875.Frame) -> str:
        return gb26875_events.key_of(frame)

    def answer(self, frame: gb26875.Frame, outcome: str) -> bytes | None:
        if frame.command != _SEND or outcome in NOT_KEPT:
            return None  # not answered, it comes again; what is denied, a device may drop
        return gb26875.confirm(frame, self._now()) if outcome == ACCEPTED else gb26875.deny(frame, self._now())

    def events(self, device: Device, frame: gb26875.Frame, arrived: int, rows: Rows) -> None:
        gb26875_events.events(device, frame, arrived, rows)

    def sent_at(self, frame: gb26875.Frame) -> int | None:
        return gb26875_events.sent_at(frame)

    def password(self, _frame: gb26875.Frame) -> str | None:
        return None

    def again(self, raw: bytes) -> Iterable[tuple[str, gb26875.Frame]]:
        return [(self.key(frame), frame) for frame in gb26875.decode(raw) if not isinstance(frame, Bad)]


def by_name(*wires: Any) -> dict[str, Any]:
    """Protocols by name, for the parking topic."""
    return {wire.name: wire for wire in wires}
