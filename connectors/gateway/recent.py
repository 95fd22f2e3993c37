"""Which event ids this gateway has written lately: what devices send again after a reconnect is not written again.

The engine drops repeats of 24 hours anyway; this keeps them off the topics. Memory: two generations of ids, about 130 bytes each.
"""

from collections.abc import Iterable
from typing import Final

from connectors.devices.rows import Row

GENERATION: Final = 100_000


class Recent:
    """At least the last `generation` event ids.

    >>> recent = Recent(2)
    >>> recent.new([("a",), ("b",), ("a",)], [0, 1, 2])
    ([('a',), ('b',)], [0, 1])
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        self._new: set[object] = set()
        self._old: set[object] = set()
        self._marked: list[object] = []

    def mark(self) -> None:
        """From here on `undo` takes back."""
        self._marked.clear()

    def undo(self) -> None:
        """What was added since `mark` was not written: it is new when it comes again.

        >>> recent = Recent()
        >>> _ = recent.new([("a",)], [0])
        >>> recent.undo()
        >>> recent.new([("a",)], [0])
        ([('a',)], [0])
        """
        self._new.difference_update(self._marked)
        self._old.difference_update(self._marked)
        self._marked.clear()

    def remember(self, ids: Iterable[str]) -> None:
        """Ids that are written already."""
        for one in ids:
            self._add(one)
        self._marked.clear()

    def new(self, rows: list[Row], owners: list[int], whole: bool = False) -> tuple[list[Row], list[int]]:
        """The rows (event id first) that were not here before, and their owners; from now on they were.

        `whole`: the ids are the senders' own, unique for a subject (the fourth column) only.
        """
        kept, whose = [], []
        for row, owner in zip(rows, owners, strict=True):
            one: object = (row[0], row[3]) if whole else row[0]
            if one not in self._new and one not in self._old:
                self._add(one)
                kept.append(row)
                whose.append(owner)
        return kept, whose

    def _add(self, one: object) -> None:
        if len(self._new) >= self._generation:
            self._old, self._new = self._new, set()
        self._new.add(one)
        self._marked.append(one)
