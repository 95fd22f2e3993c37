"""What a gateway takes at most: of connections, rates, silence and errors. Named where they are refused, counted by metrics."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one gateway.

    `connections`, `connections_per_source`: open at once. `frames_per_second`, `burst`: of one connection (more are read later,
    not dropped; of datagrams they are dropped). `window`: frames of one connection that Kafka does not have yet. `idle_seconds`
    without a byte end a connection; a frame may take `silence_seconds` from its first byte. `errors_per_minute` of one
    connection are kept as dead letters, and ten times as many end it.
    """

    connections: int = 10_000
    connections_per_source: int = 2_000
    frames_per_second: float = 500.0
    burst: int = 2_000
    window: int = 512
    idle_seconds: float = 900.0
    silence_seconds: float = 30.0
    errors_per_minute: int = 20
    parked_per_minute: float = 60.0
    parked_burst: int = 1_000


class Guests:
    """Open connections of one listener, in all and of one address.

    >>> guests = Guests(2, 1)
    >>> guests.enter("a"), guests.enter("a"), guests.enter("b"), guests.enter("c"), guests.count
    ('', 'too-many-of-source', '', 'too-many-connections', 2)
    """

    def __init__(self, most: int, per_source: int) -> None:
        self._most, self._per_source = most, per_source
        self._by_source: Counter[str] = Counter()
        self.count = 0

    def enter(self, source: str) -> str:
        """Take one more: "", or the named reason why it is not taken."""
        if self.count >= self._most:
            return "too-many-connections"
        if self._by_source[source] >= self._per_source:
            return "too-many-of-source"
        self.count += 1
        self._by_source[source] += 1
        return ""

    def leave(self, source: str) -> None:
        """One that was taken has ended."""
        self.count -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


class Bucket:
    """A token bucket: `take(n)` says how many seconds to wait until that was allowed (0: now)."""

    __slots__ = ("_burst", "_level", "_now", "_rate", "_seen")

    def __init__(self, rate: float, burst: float, now: Callable[[], float] = time.monotonic) -> None:
        """`rate` a second, `burst` at once.

        >>> bucket = Bucket(10, 20, lambda: 0.0)
        >>> bucket.take(20), bucket.take(5), bucket.level
        (0.0, 0.5, -5.0)
        """
        self._rate, self._burst, self._now = rate, burst, now
        self._level, self._seen = burst, now()

    @property
    def level(self) -> float:
        """Tokens there are; below 0: owed."""
        return float(self._level)

    def take(self, count: float = 1.0) -> float:
        """Take tokens, also those that are not there yet; returns the seconds until they would have been."""
        now = self._now()
        self._level = min(self._burst, self._level + (now - self._seen) * self._rate) - count
        self._seen = now
        return 0.0 if self._level >= 0 else -self._level / self._rate

    def allow(self, count: float = 1.0) -> bool:
        """Take tokens if they are there."""
        now = self._now()
        self._level = min(self._burst, self._level + (now - self._seen) * self._rate)
        self._seen = now
        if self._level < count:
            return False
        self._level -= count
        return True
