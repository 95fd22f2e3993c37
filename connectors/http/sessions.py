"""Which devices are registered by GA/T 1400, from which address, until when. Nothing outlives the process: a device that is not
known any more is told so, and registers again, as the standard has it."""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

SECONDS: Final = 180.0
_SWEEP_SECONDS: Final = 1.0


class Sessions:
    """Sessions by the device's key; there are never more than registered devices.

    >>> clock = [0.0]
    >>> sessions = Sessions(60, lambda: clock[0])
    >>> sessions.open("gat1400:1", "10.0.0.1")
    >>> sessions.alive("gat1400:1", "10.0.0.1"), sessions.alive("gat1400:1", "10.0.0.2")
    (True, False)
    >>> clock[0] = 61.0
    >>> sessions.alive("gat1400:1", "10.0.0.1")
    False
    """

    def __init__(self, seconds: float = SECONDS, now: Callable[[], float] = time.monotonic, gauge: Gauge | None = None):
        """`seconds` without a keepalive end a session."""
        self._seconds, self._now, self._gauge = seconds, now, gauge
        self._sessions: dict[str, tuple[str, float]] = {}
        self._swept = now()

    def open(self, key: str, peer: str) -> None:
        """A device proved who it is; its session is bound to the address that it came from."""
        now = self._now()
        if now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            self._sessions = {one: session for one, session in self._sessions.items() if session[1] >= now}
        self._sessions[key] = (peer, now + self._seconds)
        self._tell()

    def renew(self, key: str, peer: str) -> bool:
        """A keepalive; False where there is no session to keep alive."""
        if not self.alive(key, peer):
            return False
        self._sessions[key] = (peer, self._now() + self._seconds)
        return True

    def alive(self, key: str, peer: str) -> bool:
        """Whether a device is registered from that address, and its keepalive not overdue."""
        session = self._sessions.get(key)
        if session is None:
            return False
        if session[1] < self._now():
            self.close(key)
            return False
        return session[0] == peer

    def close(self, key: str) -> None:
        """A device unregistered."""
        self._sessions.pop(key, None)
        self._tell()

    def _tell(self) -> None:
        if self._gauge is not None:
            self._gauge.set(len(self._sessions))
