"""Durations as analysts write them.

>>> milliseconds("1h30m"), spoken(5_400_000)
(5400000, '1h30m')
"""

import re
from typing import Final

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_SHAPE: Final = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?")


def milliseconds(text: str) -> int:
    """`10m`, `2h`, `1h30m`, `7d`, `45s`, `0` -> ms. Raises ValueError."""
    if text == "0":
        return 0
    found = _SHAPE.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"'{text[:40]}' is not a duration; write for example 10m, 2h, 1h30m, 7d or 45s")
    return sum(int(part) * unit for part, unit in zip(found.groups(), _UNITS.values(), strict=True) if part)


def spoken(ms: int) -> str:
    """The shortest text that `milliseconds` reads back; parts of a second are dropped."""
    parts = []
    for name, unit in _UNITS.items():
        count, ms = divmod(ms, unit)
        parts.append(f"{count}{name}" if count else "")
    return "".join(parts) or "0"
