"""Times as devices write them -> ms UTC, and how far a device's clock is off.

>>> compact("20210305003817"), compact("20210305003817250"), compact("20211305003817")
(1614875897000, 1614875897250, None)
"""

import datetime as dt
from functools import lru_cache
from typing import Final

CHINA: Final = dt.timezone(dt.timedelta(hours=8))
SECOND_DIGITS: Final = 14
_MILLIS: Final = 17


def compact(text: str) -> int | None:
    """14 digits (seconds) or 17 (milliseconds) of China's time; None where they are no time."""
    if len(text) == SECOND_DIGITS:
        return _second(text)
    if len(text) == _MILLIS and text.isascii() and text.isdigit():
        second = _second(text[:SECOND_DIGITS])
        return None if second is None else second + int(text[SECOND_DIGITS:])
    return None


def digits(ms: int) -> str:
    """The inverse: 17 digits of China's time; the first 14 are its seconds.

    >>> digits(1614875897250), compact(digits(1614875897250))
    ('20210305003817250', 1614875897250)
    """
    second, rest = divmod(ms, 1000)
    return f"{_written(second)}{rest:03d}"


@lru_cache(4_096)
def _written(second: int) -> str:
    return dt.datetime.fromtimestamp(second, CHINA).strftime("%Y%m%d%H%M%S")


@lru_cache(65_536)  # thousands of devices speak in the same second
def _second(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    try:
        moment = dt.datetime(
            int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:]),
            tzinfo=CHINA,
        )  # fmt: skip
    except ValueError:
        return None
    return round(moment.timestamp() * 1000)


def iso_ms(text: str | None) -> int | None:
    """ISO time, China's where no zone is said -> ms UTC.

    >>> iso_ms("2021-07-02T09:00:04"), iso_ms(None), iso_ms("soon")
    (1625187604000, None, None)
    """
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
