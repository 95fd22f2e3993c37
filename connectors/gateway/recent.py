"""Which events this gateway has written lately: what devices send again after a reconnect is not written again.

An event is known by its id and its subject, as the engine knows it, so that no device can use up another's ids. The engine drops
repeats of 24 hours anyway; this keeps them off the topics. Memory: two generations of ids, about 300 bytes each.
"""

from collections.abc import Iterable
from typing import Final

from connectors.devices.rows import Row

GENERATION: Final = 100_000
_SUBJECT: Final = 3  # its column in a row
Identity = tuple[object, object]


class Recent:
    """At least the last `generation` events.

    >>> recent = Recent()
    >>> rows = [("a", "iot", "fire", "site:1"), ("b", "iot", "fire", "site:1"), ("a", "iot", "fire", "site:1")]
    >>> new, owners = recent.new(rows, [0, 1, 2])
    >>> [row[0] for row in new], owners
    (['a', 'b'], [0, 1])
    >>> recent.written(new[:1])
    >>> [row[0] for row in recent.new(rows, [0, 1, 2])[0]]
    ['b']
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        self._new: set[Identity] = set()
        self._old: set[Identity] = set()
        self._marked: list[Identity] = []

    def mark(self) -> None:
        """From here on `undo` takes back."""
        self._marked.clear()

    def undo(self) -> None:
        """What was added since `mark` was not written: it is new when it comes again."""
        self._forget(self._marked)
        self._marked.clear()

    def forget(self, rows: Iterable[Row]) -> None:
        """These were not written after all."""
        self._forget([(row[0], row[_SUBJECT]) for row in rows])

    def remember(self, identities: Iterable[Identity]) -> None:
        """(event id, subject) of events that are written already."""
        for one in identities:
            self._add(one)
        self._marked.clear()

    def new(self, rows: list[Row], owners: list[int]) -> tuple[list[Row], list[int]]:
        """The rows that were not written before, each once, and their owners."""
        kept, whose = [], []
        here: set[Identity] = set()
        for row, owner in zip(rows, owners, strict=True):
            one = (row[0], row[_SUBJECT])
            if one not in here and one not in self._new and one not in self._old:
                here.add(one)
                kept.append(row)
                whose.append(owner)
        return kept, whose

    def written(self, rows: Iterable[Row]) -> None:
        """These are on their way to Kafka: from now on they are not new."""
        for row in rows:
            self._add((row[0], row[_SUBJECT]))

    def _add(self, one: Identity) -> None:
        if len(self._new) >= self._generation:
            self._old, self._new = self._new, set()
        self._new.add(one)
        self._marked.append(one)

    def _forget(self, identities: list[Identity]) -> None:
        self._new.difference_update(identities)
        self._old.difference_update(identities)
