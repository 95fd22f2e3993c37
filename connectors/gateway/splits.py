"""Packets of one HJ 212 message: what each says goes on at once; a factor cut in two by a packet's end is put together.

A device that waits for the answer to its first packet before it sends the second would wait for ever were packets held back until
all are there. So only what a packet leaves unfinished is kept: fields of a factor that has no value yet. A flag that comes in the
packet after its value is lost. Messages that do not become whole are counted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from connectors.metrics import GatewayMetrics, shared
from connectors.protocols import hj212

SECONDS: Final = 60.0
_MOST: Final = 2_000
_VALUES: Final = ("Rtd", "Avg")


@dataclass(slots=True)
class _Message:
    until: float
    seen: set[int] = field(default_factory=set)
    unfinished: dict[str, dict[str, str]] = field(default_factory=dict)


class Splits:
    """Messages under way, by group. At most so many; each for at most `seconds` after its last packet."""

    def __init__(
        self, seconds: float = SECONDS, now: Callable[[], float] = time.monotonic, metrics: GatewayMetrics | None = None
    ) -> None:
        self._seconds, self._now = seconds, now
        self._metrics = metrics or shared()
        self._messages: dict[tuple[str, ...], _Message] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def joined(self, frame: hj212.Frame) -> hj212.Frame:
        """A packet with what earlier packets of its message left unfinished of its factors."""
        self._expire()
        packet = frame.packet
        if packet is None or not 0 < packet[1] <= packet[0] <= 9999:  # noqa: PLR2004 - four digits
            return frame
        count, number = packet
        group = frame.group
        message = self._messages.pop(group, None) or _Message(0.0)
        message.until = self._now() + self._seconds
        message.seen.add(number)
        factors: dict[str, dict[str, str]] = {}
        for code, fields in frame.factors.items():
            whole = message.unfinished.pop(code, {}) | fields
            if any(name in whole for name in _VALUES):
                factors[code] = whole
            else:
                message.unfinished[code] = whole
        if len(message.seen) < count:
            self._messages[group] = message  # the youngest last
        else:
            self._metrics.split("complete")
        return replace(frame, factors=factors)

    def _expire(self) -> None:
        now = self._now()
        while self._messages:
            group, message = next(iter(self._messages.items()))
            if message.until > now and len(self._messages) < _MOST:
                return
            del self._messages[group]
            self._metrics.split("incomplete")
