"""The explanation of a clue: a Chinese template with `{name}` and `{name:.1f}`, and nothing else of format strings.

>>> names = check("近 10 分钟平均 {avg_10m:.1f} ℃", {"avg_10m": "number"})
>>> fill("近 10 分钟平均 {avg_10m:.1f} ℃", {"avg_10m": 9.46})
'近 10 分钟平均 9.5 ℃'
"""

import re
import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Final

from rules.errors import meant
from rules.tree import Type

BEIJING: Final = timezone(timedelta(hours=8), "Asia/Shanghai")  # no summer time since 1991, before the oldest event
NOTHING: Final = "—"
MAX_TEMPLATE: Final = 1_000
MAX_VALUE: Final = 200
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_SPEC: Final = re.compile(r",?(\.\d)?[dfeg%]?")


def check(template: str, types: Mapping[str, Type]) -> frozenset[str]:
    """The names a template uses. Raises ValueError on unknown names, attribute or index access and odd formats."""
    if len(template) > MAX_TEMPLATE:
        raise ValueError(f"explain is longer than {MAX_TEMPLATE} characters")
    names = set()
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"explain: {error}; write {{{{ or }}}} for a brace itself") from error
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not _NAME.fullmatch(name) or conversion:
            raise ValueError(f"explain takes only {{name}} and {{name:.1f}}, not '{{{name[:40]}}}'")
        if name not in types:
            raise ValueError(f"explain: unknown column or feature '{name}'{meant(name, types)}")
        if spec and (types[name] != "number" or not _SPEC.fullmatch(spec)):
            raise ValueError(
                f"explain: format '{spec[:20]}' does not fit {name}; write {{{name}}} or {{{name}:.1f}} of a number"
            )
        names.add(name)
    return frozenset(names)


def fill(template: str, values: Mapping[str, object]) -> str:
    """The text with values filled in; a missing value is a dash, a time is Beijing time, a long text is cut."""
    return "".join(
        literal + ("" if name is None else _show(name, values.get(name), spec))
        for literal, name, spec in _parts(template)
    )


@cache
def _parts(template: str) -> tuple[tuple[str, str | None, str], ...]:
    return tuple((literal, name, spec or "") for literal, name, spec, _ in string.Formatter().parse(template))


def _show(name: str, value: object, spec: str) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, int | float):
        if not spec and name.endswith("_at"):
            return beijing(int(value))
        return format(int(value) if spec.endswith("d") else value, spec or (".6g" if isinstance(value, float) else ""))
    text = str(value)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def from_beijing(text: str, shape: str) -> int:
    """ms UTC of a time that people wrote in a shape of `strptime`. Raises ValueError.

    >>> from_beijing("2026-01-05 10:00", "%Y-%m-%d %H:%M")
    1767578400000
    """
    return int(datetime.strptime(text, shape).replace(tzinfo=BEIJING).timestamp() * 1000)


def beijing(ms: int) -> str:
    """A time for people.

    >>> beijing(1_767_578_400_000)
    '2026-01-05 10:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M")
