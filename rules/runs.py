"""Runs of a ring's rows that have aggregates: aligned by ordinal, 64 rows and 4,096 (`rules.kernel`, `rules.sequences`)."""

from typing import Final

from rules.arrays import Bools
from topics.compiled import compiled

RUN: Final = 6  # binary digits of the ordinals in a run
LONG_RUN: Final = 12
NEVER: Final = -(2**62)  # earlier than any time


@compiled
def long_run(p: int, made: Bools) -> int:
    """The place, behind those of all runs, of the long run of a row's place."""
    runs = made.size * 64 // 65
    return int(runs + (p >> LONG_RUN))
