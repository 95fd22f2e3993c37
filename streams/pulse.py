"""Whether a thread gets on: it beats between any two calls that are bound to end, and rests where it waits for work.

A call into librdkafka may not end in its time: its waits follow the wall clock, and where that is set back by an hour they last
an hour longer (librdkafka issue 2145). Nothing inside the process can wake such a thread; so a worker whose tasks are silent for
too long says that it is not healthy, and whoever watches over it starts it again.

>>> pulse = Pulse()
>>> pulse.silent(pulse.last + 70.0), pulse.rest(), pulse.silent(pulse.last + 70.0)
(70.0, None, 0.0)
"""

import time
from typing import Final

STUCK_SECONDS: Final = 60.0  # the longest step that is bound to end takes a third of it


class Pulse:
    """One thread's. Beats come from the thread, questions from others."""

    __slots__ = ("_resting", "last")

    def __init__(self) -> None:
        self._resting = False
        self.last = time.monotonic()

    def beat(self) -> None:
        """On to the next step."""
        self.last, self._resting = time.monotonic(), False

    def rest(self) -> None:
        """Wait for work, as long as it takes."""
        self._resting = True

    def silent(self, now: float | None = None) -> float:
        """Seconds since the last beat; 0 of a thread that rests."""
        return 0.0 if self._resting else (time.monotonic() if now is None else now) - self.last
