"""Whether rows of a ring hold a sequence ("A, then B, then C"): each row's value is a set of steps, bit k for step k.

Rows are looked at backwards, and the latest that fits is taken for each step: if any rows fit in order, these do, and no others
begin later. One search therefore answers for every window. Whole runs of rows that lack the step in question are passed over by
the union of their sets, made when first asked for (`rules.kernel` says when it is forgotten).

>>> import numpy as np
>>> rows = np.array([1.0, 1.0, 2.0, 4.0, 2.0]), np.array([0, 10, 20, 30, 40])  # A A B C B
>>> began(0, 7, 0, 5, -1, 3, *rows, np.empty((2, 4)), np.zeros(2, np.bool_))
10
"""

from typing import Final

from rules.arrays import Bools, Floats, Ints
from rules.runs import LONG_RUN, NEVER, RUN, long_run
from topics.compiled import compiled

MOST_STEPS: Final = 8


@compiled
def began(
    base: int, mask: int, first: int, last: int, oldest: int, steps: int,
    values: Floats, times: Ints, runs: Floats, made: Bools,
) -> int:  # fmt: skip
    """When the latest sequence among the rows of these ordinals that are later than `oldest` began; NEVER without one."""
    o, bit = last, 1 << (steps - 1)
    while o > first:
        if o & ((1 << LONG_RUN) - 1) == 0 and o - (1 << LONG_RUN) >= first:
            p = base + ((o - (1 << LONG_RUN)) & mask)
            if not _in_long_run(p, values, runs, made) & bit:
                o -= 1 << LONG_RUN
                continue
        if o & ((1 << RUN) - 1) == 0 and o - (1 << RUN) >= first:
            p = base + ((o - (1 << RUN)) & mask)
            if not _in_run(p, values, runs, made) & bit:
                o -= 1 << RUN
                continue
        o -= 1
        p = base + (o & mask)
        if times[p] <= oldest:
            return NEVER
        if int(values[p]) & bit:
            bit >>= 1
            if bit == 0:
                return int(times[p])
    return NEVER


@compiled
def _in_run(p: int, values: Floats, runs: Floats, made: Bools) -> int:
    """The union of the 64 sets that begin at place `p`."""
    r = p >> RUN
    if not made[r]:
        found = 0
        for q in range(p, p + (1 << RUN)):
            found |= int(values[q])
        runs[r, 0] = found
        made[r] = True
    return int(runs[r, 0])


@compiled
def _in_long_run(p: int, values: Floats, runs: Floats, made: Bools) -> int:
    """The same of 4,096 sets."""
    r = long_run(p, made)
    if not made[r]:
        found = 0
        for q in range(p, p + (1 << LONG_RUN), 1 << RUN):
            found |= _in_run(q, values, runs, made)
        runs[r, 0] = found
        made[r] = True
    return int(runs[r, 0])
