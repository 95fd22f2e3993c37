"""Pieces of a flat array: a power of two of slots each; freed ones wait in a list for their size. A free piece's first slot holds
the place of the next free one."""

from typing import Final

from rules.arrays import Ints
from rules.runs import LONG_RUN
from topics.compiled import compiled

SMALLEST: Final = 4  # slots of a piece of order 0
ORDERS: Final = 40
TOP: Final = 0  # of the counters: where the part begins that nobody had yet


@compiled
def take(order: int, slots: Ints, free: Ints, counters: Ints) -> int:
    """Where a piece of that size begins, or -1 when the array is full. It begins at a multiple of its size (of a long run, if it
    is larger); what is left before it are smaller pieces, and a larger free one is halved."""
    for wider in range(order, max(order, LONG_RUN - 2) + 1):
        base = free[wider]
        if base >= 0:
            free[wider] = slots[base]
            for half in range(wider - 1, order - 1, -1):
                give(base + (SMALLEST << half), half, slots, free)
            return int(base)
    size = SMALLEST << order
    aligned = min(size, 1 << LONG_RUN)
    top = -(-counters[TOP] // aligned) * aligned
    if top + size > slots.size:
        return -1
    while counters[TOP] < top:
        step = 0
        while counters[TOP] % (SMALLEST << (step + 1)) == 0 and counters[TOP] + (SMALLEST << (step + 1)) <= top:
            step += 1
        give(counters[TOP], step, slots, free)
        counters[TOP] += SMALLEST << step
    counters[TOP] += size
    return int(counters[TOP] - size)


@compiled
def give(base: int, order: int, slots: Ints, free: Ints) -> None:
    """The piece is free."""
    slots[base] = free[order]
    free[order] = base
