"""Days and times as people give them on the command line, in Beijing."""

from fengsui.cli.common import Wrong
from rules.explain import from_beijing


def day(text: str) -> int | None:
    """Midnight of a day like 2026-03-01, ms UTC; None of nothing. Raises Wrong."""
    return _moment(text, "%Y-%m-%d", "a day is written like 2026-03-01")


def minute(text: str) -> int | None:
    """A time like 2026-03-01 10:00, ms UTC; None of nothing. Raises Wrong.

    >>> minute("1970-01-01 08:01")
    60000
    """
    return _moment(text, "%Y-%m-%d %H:%M", "a time is written like 2026-03-01 10:00")


def _moment(text: str, shape: str, otherwise: str) -> int | None:
    if not text:
        return None
    try:
        return from_beijing(text, shape)
    except ValueError as error:
        raise Wrong(otherwise) from error
