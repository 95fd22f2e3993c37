"""Working days in China: which day is one, and the limits counted in them.

The State Council's published holidays and make-up days (`chinesecalendar`) hold for the years it covers; later years
are computed (`holidays`), without make-up days, until they are published; a list of one's own goes over both.

>>> days = Workdays()
>>> [str(day) for day in (dt.date(2026, 2, 14), dt.date(2026, 2, 17)) if days.is_workday(day)]  # a make-up Saturday
['2026-02-14']
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import chinese_calendar
import holidays
from chinese_calendar import constants

_PUBLISHED: Final = frozenset(day.year for day in constants.holidays)
_DAY: Final = dt.timedelta(days=1)
_SATURDAY: Final = 5
_WORDS: Final = {"work": True, "off": False}


@cache
def _computed(year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("CN", years=year)


@lru_cache(4096)
def _by_law(day: dt.date) -> bool:
    if day.year in _PUBLISHED:
        return bool(chinese_calendar.is_workday(day))
    known = _computed(day.year)
    return day in known.weekend_workdays or (day.weekday() < _SATURDAY and day not in known)


def parse_overrides(text: str) -> dict[dt.date, bool]:
    """Day -> whether it is a working day, from lines `2027-02-14 work` or `2027-02-12 off`; `#` begins a comment.

    Raises ValueError naming the line.

    >>> parse_overrides("2027-02-14 work  # 补班")
    {datetime.date(2027, 2, 14): True}
    """
    found: dict[dt.date, bool] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            day, kind = words
            found[dt.date.fromisoformat(day)] = _WORDS[kind]
        except (ValueError, KeyError) as error:
            raise ValueError(f"line {number}: expected `YYYY-MM-DD work` or `YYYY-MM-DD off`") from error
    return found


class Workdays:
    """Limits in working days. Times are ms UTC; days begin at midnight of the zone."""

    def __init__(self, overrides: Mapping[dt.date, bool] | None = None, zone: str = "Asia/Shanghai") -> None:
        """`overrides`: days of one's own (see `parse_overrides`), stronger than any published or computed one."""
        self._overrides = dict(overrides or {})
        self._zone = ZoneInfo(zone)
        self._end_of = lru_cache(4096)(self._count)

    def is_workday(self, day: dt.date) -> bool:
        """Whether offices work on that day."""
        own = self._overrides.get(day)
        return _by_law(day) if own is None else own

    def deadline(self, start: int, days: int) -> int:
        """The first ms after a limit of `days` >= 1: the end of the days-th working day after the day of `start`.

        >>> friday = 1790334000000  # 2026-09-25 is 中秋; 2026-09-25 19:00 in Shanghai
        >>> end = Workdays().deadline(friday, 1)
        >>> dt.datetime.fromtimestamp(end / 1000, ZoneInfo("Asia/Shanghai")).isoformat()
        '2026-09-29T00:00:00+08:00'
        """
        return self._end_of(self._day(start), days)

    def elapsed(self, start: int, end: int) -> int:
        """Working days gone from `start` to `end`, as the field counts them (domain, section 3): those from the first
        day to the last, both included, less one unless the first is itself no working day. Over the limit = overdue."""
        first, last = self._day(start), self._day(end)
        days = sum(self.is_workday(first + _DAY * i) for i in range((last - first).days + 1))
        return days - self.is_workday(first)

    def moment(self, start: int, end: int, share: float) -> int:
        """When `share` (0 to 1) of the working time between `start` and `end` is gone; `end` where there is none."""
        spans = list(self._working(start, end))
        need = int(sum(b - a for a, b in spans) * share)
        for a, b in spans:
            if need < b - a:
                return a + need
            need -= b - a
        return end

    def _count(self, day: dt.date, days: int) -> int:
        while days > 0:
            day += _DAY
            days -= self.is_workday(day)
        return self._midnight(day + _DAY)

    def _working(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        day = self._day(start)
        while self._midnight(day) < end:
            if self.is_workday(day):
                yield max(start, self._midnight(day)), min(end, self._midnight(day + _DAY))
            day += _DAY

    def _day(self, at: int) -> dt.date:
        return dt.datetime.fromtimestamp(at / 1000, self._zone).date()

    def _midnight(self, day: dt.date) -> int:
        return round(dt.datetime.combine(day, dt.time(), self._zone).timestamp() * 1000)
