"""Episodes of cameras: repeated frames of one device and label within a time of the frame that opened them are one event.

A frame folds into an opening that was written before it and lies less than `seconds` away, earlier or later: frames that come out
of order find their episode too, and no two openings of a device and label are closer than that. What decides are the openings
alone, each of which is an event on the topic: the tail of `events.video` restores them exactly, as far as it reaches.
Cost: about 0.4 us a frame.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

KEYS: Final = 100_000  # devices and labels that are remembered; the longest silent ones are forgotten first
OPENINGS: Final = 32  # of each, the newest: frames older than those are written, not folded
Frame = tuple[str, str, int]


class Episodes:
    """Openings by (device, label), times in ms UTC.

    >>> episodes = Episodes()
    >>> [episodes.opens("cam", "rat", at * 1000, 60) for at in (100, 110, 159, 160, 99, 40)]
    [True, False, False, True, False, True]
    """

    def __init__(self, keys: int = KEYS, openings: int = OPENINGS) -> None:
        self._most, self._openings = keys, openings
        self._known: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._marked: list[Frame] = []

    def mark(self) -> None:
        """From here on `undo` takes back."""
        self._marked.clear()

    def undo(self) -> None:
        """What was opened since `mark` was not written: it opens when it comes again.

        >>> episodes = Episodes()
        >>> _ = episodes.opens("cam", "rat", 0, 60)
        >>> episodes.undo()
        >>> episodes.opens("cam", "rat", 0, 60)
        True
        """
        for device, label, at in self._marked:
            times = self._known.get((device, label), [])
            if at in times:
                times.remove(at)
        self._marked.clear()

    def opens(self, device: str, label: str, at: int, seconds: int) -> bool:
        """Whether a frame opens an episode (and is to be written); from now on it does."""
        times = self._of(device, label)
        place = bisect_left(times, at)
        reach = 1000 * seconds
        if place and at - times[place - 1] < reach:
            return False
        if place < len(times) and times[place] - at < reach:
            return False
        self._add(times, at)
        self._marked.append((device, label, at))
        return True

    def remember(self, frames: Iterable[Frame]) -> None:
        """Openings that are written already: (device, label, occurred)."""
        for device, label, at in frames:
            self._add(self._of(device, label), at)

    def _of(self, device: str, label: str) -> list[int]:
        key = (device, label)
        times = self._known.get(key)
        if times is None:
            if len(self._known) >= self._most:
                self._known.popitem(last=False)
            times = self._known[key] = []
        else:
            self._known.move_to_end(key)
        return times

    def _add(self, times: list[int], at: int) -> None:
        insort(times, at)
        if len(times) > self._openings:
            del times[0]
