"""One clue an episode, and at most so many an hour: what keeps a firing rule from flooding a department.

An episode of a rule and key lives as long as firings come less than `quiet` apart, by event time. A firing inside it is
silent, unless it is graver than all before. Both states forget what no firing can reach any more, judged by arrival
(`clock`, never falling), so that the outcome depends on the order of firings only.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

from rules.arrays import Arrays, packed, texts

HOUR: Final = 3_600_000
KEEP_HOURS: Final = 48 * HOUR


@dataclass(slots=True)
class _Episode:
    first: int
    last: int
    rank: int
    event_id: str
    seen: int


class Raise(NamedTuple):
    """A clue is due: the event that opened the episode, and whether it is a rise in severity within it."""

    event_id: str
    rise: bool


@dataclass(slots=True)
class Episodes:
    """Open episodes. `slack`: how much longer than `quiet` one is remembered, ms of arrival.

    >>> e = Episodes(slack=0)
    >>> e.fire("r", "k", "a", at=0, rank=2, clock=0, quiet=10), e.fire("r", "k", "b", at=9, rank=2, clock=9, quiet=10)
    (Raise(event_id='a', rise=False), None)
    >>> e.fire("r", "k", "c", at=18, rank=4, clock=18, quiet=10), e.fire("r", "k", "d", at=28, rank=2, clock=28, quiet=10)
    (Raise(event_id='a', rise=True), Raise(event_id='d', rise=False))
    """

    slack: int
    _open: dict[str, dict[str, list[_Episode]]] = field(default_factory=dict)
    _quiet: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(found) for keys in self._open.values() for found in keys.values())

    def fire(self, rule: str, key: str, event_id: str, at: int, rank: int, clock: int, quiet: int) -> Raise | None:
        """What a firing at event time `at` calls for."""
        self._quiet[rule] = quiet
        keys = self._open.setdefault(rule, {})
        found = keys.get(key, [])
        remembered = clock - quiet - self.slack
        for episode in reversed(found):
            near = episode.first - quiet < at < episode.last + quiet or episode.event_id == event_id
            if near and episode.seen >= remembered:
                episode.first, episode.last, episode.seen = min(episode.first, at), max(episode.last, at), clock
                if rank <= episode.rank:
                    return None
                episode.rank = rank
                return Raise(episode.event_id, True)
        keys[key] = [e for e in found if e.seen >= remembered] + [_Episode(at, at, rank, event_id, clock)]
        return Raise(event_id, False)

    def keep(self, rules: set[str]) -> None:
        """Forget the episodes of all other rules."""
        self._open = {rule: keys for rule, keys in self._open.items() if rule in rules}

    def forget(self, clock: int) -> None:
        """Drop what no firing can reach any more. Outcomes do not depend on when this is called."""
        for rule, keys in self._open.items():
            remembered = clock - self._quiet[rule] - self.slack
            for key in [key for key, found in keys.items() if all(e.seen < remembered for e in found)]:
                del keys[key]

    def snapshot(self) -> Arrays:
        """All episodes as arrays."""
        rows = [(r, k, e) for r, keys in self._open.items() for k, found in keys.items() for e in found]
        numbers = [(e.first, e.last, e.rank, e.seen, self._quiet[r]) for r, _, e in rows]
        arrays: Arrays = {"numbers": np.array(numbers, np.int64).reshape(-1, 5)}
        for name, items in (("rule", [r for r, _, _ in rows]), ("key", [k for _, k, _ in rows])):
            arrays[f"{name}_bytes"], arrays[f"{name}_offsets"] = packed(items)
        arrays["event_bytes"], arrays["event_offsets"] = packed(e.event_id for _, _, e in rows)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Become what a snapshot holds."""
        self._open, self._quiet = {}, {}
        columns = [texts(arrays[f"{name}_bytes"], arrays[f"{name}_offsets"]) for name in ("rule", "key", "event")]
        for rule, key, event, numbers in zip(*columns, arrays["numbers"].tolist(), strict=True):
            first, last, rank, seen, self._quiet[rule] = numbers
            self._open.setdefault(rule, {}).setdefault(key, []).append(_Episode(first, last, rank, event, seen))


@dataclass(slots=True)
class StormCap:
    """At most `limit` clues a rule and hour of event time; the first beyond it is worth one clue that says so."""

    limit: int
    _counts: dict[tuple[str, int], list[int]] = field(default_factory=dict)  # -> [clues, clock of the last one]

    def take(self, rule: str, hour: int, clock: int) -> Literal["clue", "storm", "capped"]:
        """What becomes of one more clue."""
        count = self._counts.get((rule, hour))
        if count is None or count[1] < clock - KEEP_HOURS:
            count = self._counts[rule, hour] = [0, clock]
        count[0], count[1] = count[0] + 1, clock
        return "clue" if count[0] <= self.limit else "storm" if count[0] == self.limit + 1 else "capped"

    def forget(self, clock: int) -> None:
        """Drop hours that will count from nothing anyway."""
        self._counts = {k: v for k, v in self._counts.items() if v[1] >= clock - KEEP_HOURS}

    def snapshot(self) -> Arrays:
        """All counts as arrays."""
        data, offsets = packed(rule for rule, _ in self._counts)
        numbers = [(hour, *count) for (_, hour), count in self._counts.items()]
        return {"rule_bytes": data, "rule_offsets": offsets, "numbers": np.array(numbers, np.int64).reshape(-1, 3)}

    def restore(self, arrays: Arrays) -> None:
        """Become what a snapshot holds."""
        rules = texts(arrays["rule_bytes"], arrays["rule_offsets"])
        rows = zip(rules, arrays["numbers"].tolist(), strict=True)
        self._counts = {(rule, hour): [count, seen] for rule, (hour, count, seen) in rows}
