"""The city's clock: everything happens in the days before `now`, in Asia/Shanghai local time (UTC+8 all year)."""

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ZONE: Final = 8 * HOUR
DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Calendar:
    """`now`: ms UTC, after every event; the simulated period begins `DAYS` days earlier."""

    now: int

    @property
    def begin(self) -> int:
        """First moment of the period, ms UTC."""
        return self.now - DAYS * DAY

    def at(self, days_ago: int, hour: float) -> int:
        """The moment (ms UTC) of a local hour (may pass 24) of the day so many days before today's local date.

        >>> Calendar(1767225600000).at(1, 22.5)  # now is 2026-01-01 08:00 in Shanghai
        1767191400000
        """
        midnight = (self.now + ZONE) // DAY * DAY - ZONE
        return midnight - days_ago * DAY + round(hour * HOUR)
