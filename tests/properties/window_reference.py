"""The window store in plain Python: every rule of its docstring, row by row, without any cleverness. Tests compare with it."""

import math
from dataclasses import dataclass, field
from typing import Any

DAY = 86_400_000
HOUR = 3_600_000


@dataclass
class Key:
    """Everything a key ever got, in arrival order, since it was last forgotten."""

    rows: list[tuple[int, Any]] = field(default_factory=list)
    newest: int | None = None
    seen: int = 0


@dataclass
class Reference:
    """`take` answers one row: None when too late, else (own, again): dicts of window -> statistics; `again` may be None."""

    withins: list[int]
    lateness: int
    keys: dict[str, Key] = field(default_factory=dict)

    def take(
        self, key: str, ts: int, clock: int, prompt: bool, value: Any, insert: bool, ask: bool = True
    ) -> tuple[dict[int, Any], dict[int, Any] | None] | None:
        horizon = max(self.withins) + self.lateness
        found = self.keys.get(key)
        if found is not None and found.seen < clock - horizon - DAY:
            found = None
            del self.keys[key]
        late = found is not None and found.newest is not None and ts < found.newest
        if found and late and found.newest is not None and (not prompt or ts <= found.newest - horizon):
            return None
        before = found.newest if found else None
        if insert:
            found = self.keys.setdefault(key, Key())
            found.rows.append((ts, value))
            found.newest = ts if found.newest is None else max(found.newest, ts)
            found.rows = [row for row in found.rows if row[0] > found.newest - horizon]
            found.seen = clock
        if not ask:
            return {}, None
        rows = found.rows if found else []
        again = self._answer(rows, before) if late and insert and before is not None else None
        return self._answer(rows, ts), again

    def _answer(self, rows: list[tuple[int, Any]], at: int) -> dict[int, Any]:
        return {within: statistics([r for r in rows if at - within < r[0] <= at]) for within in self.withins}


def statistics(rows: list[tuple[int, Any]]) -> dict[str, Any]:
    """count, sum, min, max, distinct, last, rate of rows in arrival order; None where there is nothing to say."""
    ordered = sorted(rows, key=lambda row: row[0])  # stable: of equal times the later arrival is the later one
    values = [value for _, value in ordered]
    result: dict[str, Any] = {"rows": ordered, "count": len(values), "distinct": len(set(values))}
    if not values:
        return result | dict.fromkeys(("sum", "min", "max", "last", "rate"))
    result["last"] = values[-1]
    if isinstance(values[0], str):
        return result
    spread = ordered[-1][0] - ordered[0][0]
    rate = (values[-1] - values[0]) / (spread / HOUR) if spread else None
    return result | {"sum": math.fsum(values), "min": min(values), "max": max(values), "rate": rate}


def completed(rows: list[tuple[int, Any]], steps: int) -> bool:
    """Whether rows in order of time, whose values are sets of steps, hold all steps one after the other."""
    due = 0
    for _, found in rows:
        due += due < steps and int(found) >> due & 1
    return due == steps
