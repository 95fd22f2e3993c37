"""How many different values a window holds, kept from one answer to the next, for keys with many rows.

A tally is a table of (value, how many rows hold it) over the ordinals [LO, HI) of a key's ring. An answer moves the two ends to
where its window is now, or begins anew where that is less work: a row is taken in once and taken out once, however long the
window. Tallies are never saved: an answer is a count, so it is the same whenever they were made. Where there is no room for one,
the answer is to be found by looking at the rows, and the caller makes room before the next.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from rules import arena
from rules.arrays import Ints
from topics.compiled import compiled

DENSE: Final = 256  # rows a ring holds at least before it is worth it
BASE, ORDER, LO, HI, DIFFERENT = range(5)
WANTING, FREE, GIVEN = range(
    1, 4
)  # of the counters, beside arena.TOP: whether room lacked, the first free row of tallies, rows given
_NEW: Final = 4  # order of a new table: 64 slots
_STEP: Final = 8  # rows looked at in the time in which a tally moves there and back by one
_MIX: Final = 0x9E3779B97F4A7C15


class Tallies(NamedTuple):
    """`spans[t, w]`: of key t's window w, its table (BASE, ORDER), rows (LO, HI) and number of values; slots of tables in `marks`
    (the bits of a value) and `held` (rows that hold it; 0: nothing there)."""

    spans: Ints
    marks: Ints
    held: Ints
    free: Ints
    counters: Ints


def fresh(windows: int) -> Tallies:
    """No tallies."""
    counters = np.array([0, 0, -1, 0])
    nothing = np.full(arena.ORDERS, -1, np.int64)
    return Tallies(np.zeros((0, windows, 5), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), nothing, counters)


def grown(tallies: Tallies) -> Tallies:
    """The same with twice the room."""
    keys, windows, _ = tallies.spans.shape
    spans = np.concatenate([tallies.spans, np.zeros((max(8, keys), windows, 5), np.int64)])
    more = np.zeros(max(4096, tallies.marks.size), np.int64)
    tallies.counters[WANTING] = 0
    return tallies._replace(
        spans=spans, marks=np.concatenate([tallies.marks, more]), held=np.concatenate([tallies.held, more])
    )


@numba.njit(inline="always")
def _home(bits: int, mask: int) -> int:
    return int((np.uint64(bits) * np.uint64(_MIX)) >> np.uint64(32)) & mask


@compiled
def _slot(bits: int, base: int, mask: int, tallies: Tallies) -> int:
    """Where a value is, or belongs."""
    slot = _home(bits, mask)
    while tallies.held[base + slot] and tallies.marks[base + slot] != bits:
        slot = (slot + 1) & mask
    return base + slot


@compiled
def _table(order: int, tallies: Tallies) -> int:
    base = arena.take(order, tallies.marks, tallies.free, tallies.counters)
    if base < 0:
        tallies.counters[WANTING] = 1
    else:
        tallies.held[base : base + (arena.SMALLEST << order)] = 0
    return base


@compiled
def _widen(span: Ints, tallies: Tallies) -> bool:
    """A table of twice the size."""
    base, order = span[BASE], span[ORDER]
    to = _table(order + 1, tallies)
    if to < 0:
        return False
    size = arena.SMALLEST << order
    for slot in range(base, base + size):
        if tallies.held[slot]:
            into = _slot(tallies.marks[slot], to, 2 * size - 1, tallies)
            tallies.marks[into] = tallies.marks[slot]
            tallies.held[into] = tallies.held[slot]
    arena.give(base, order, tallies.marks, tallies.free)
    span[BASE], span[ORDER] = to, order + 1
    return True


@compiled
def _add(bits: int, span: Ints, tallies: Tallies) -> bool:
    """One more row with that value; false for want of room."""
    if 2 * (span[DIFFERENT] + 1) > arena.SMALLEST << span[ORDER] and not _widen(span, tallies):
        return False
    slot = _slot(bits, span[BASE], (arena.SMALLEST << span[ORDER]) - 1, tallies)
    if tallies.held[slot] == 0:
        tallies.marks[slot] = bits
        span[DIFFERENT] += 1
    tallies.held[slot] += 1
    return True


@compiled
def _remove(bits: int, span: Ints, tallies: Tallies) -> None:
    """One row with that value less. What was pushed on by a value that is gone moves back, so that a search may end at a hole."""
    base, mask = span[BASE], (arena.SMALLEST << span[ORDER]) - 1
    hole = _slot(bits, base, mask, tallies) - base
    tallies.held[base + hole] -= 1
    if tallies.held[base + hole]:
        return
    span[DIFFERENT] -= 1
    slot = (hole + 1) & mask
    while tallies.held[base + slot]:
        if (slot - _home(tallies.marks[base + slot], mask)) & mask >= (slot - hole) & mask:
            tallies.marks[base + hole] = tallies.marks[base + slot]
            tallies.held[base + hole] = tallies.held[base + slot]
            tallies.held[base + slot] = 0
            hole = slot
        slot = (slot + 1) & mask


@compiled
def _empty(at: int, span: Ints, tallies: Tallies) -> None:
    tallies.held[span[BASE] : span[BASE] + (arena.SMALLEST << span[ORDER])] = 0
    span[LO] = span[HI] = at
    span[DIFFERENT] = 0


@compiled
def begin(tallies: Tallies) -> int:
    """A row of empty tallies, one a window; -1 for want of room."""
    t = tallies.counters[FREE]
    if t < 0 and tallies.counters[GIVEN] == tallies.spans.shape[0]:
        tallies.counters[WANTING] = 1
        return -1
    if t >= 0:
        tallies.counters[FREE] = tallies.spans[t, 0, BASE]
    else:
        t = tallies.counters[GIVEN]
        tallies.counters[GIVEN] += 1
    for w in range(tallies.spans.shape[1]):
        tallies.spans[t, w, :] = 0
        tallies.spans[t, w, ORDER] = _NEW
        tallies.spans[t, w, BASE] = _table(_NEW, tallies)
        if tallies.spans[t, w, BASE] < 0:
            _give_back(t, w, tallies)
            return -1
    return int(t)


@compiled
def _give_back(t: int, windows: int, tallies: Tallies) -> None:
    for w in range(windows):
        arena.give(tallies.spans[t, w, BASE], tallies.spans[t, w, ORDER], tallies.marks, tallies.free)
    tallies.spans[t, 0, BASE] = tallies.counters[FREE]
    tallies.counters[FREE] = t


@compiled
def end(t: int, tallies: Tallies) -> None:
    """The key has no tallies any more."""
    _give_back(t, tallies.spans.shape[1], tallies)


@compiled
def different(
    t: int, w: int, first: int, last: int, past: bool, base: int, mask: int, bits: Ints, tallies: Tallies
) -> int:
    """How many different values the rows of these ordinals of the ring have; -1 where the rows are to be looked at instead: for
    want of room, or because this is about the past and it is less work than to go there and come back."""
    span = tallies.spans[t, w]
    steps = abs(span[LO] - first) + abs(span[HI] - last)
    if past and steps * _STEP > last - first:
        return -1
    if steps > last - first:
        _empty(first, span, tallies)
    while span[HI] < last:
        if not _add(bits[base + (span[HI] & mask)], span, tallies):
            return -1
        span[HI] += 1
    while span[LO] > first:
        if not _add(bits[base + ((span[LO] - 1) & mask)], span, tallies):
            return -1
        span[LO] -= 1
    while span[HI] > last:
        span[HI] -= 1
        _remove(bits[base + (span[HI] & mask)], span, tallies)
    while span[LO] < first:
        _remove(bits[base + (span[LO] & mask)], span, tallies)
        span[LO] += 1
    return int(span[DIFFERENT])


@compiled
def inserted(t: int, place: int, bits: int, tallies: Tallies) -> None:
    """A row came to that ordinal; those from there on are one further now."""
    for w in range(tallies.spans.shape[1]):
        span = tallies.spans[t, w]
        if place <= span[LO]:
            span[LO] += 1
            span[HI] += 1
        elif place < span[HI]:
            span[HI] += 1
            if not _add(bits, span, tallies):
                _empty(0, span, tallies)


@compiled
def dropped(t: int, ordinal: int, bits: int, tallies: Tallies) -> None:
    """The oldest row, of that ordinal, leaves the ring."""
    for w in range(tallies.spans.shape[1]):
        span = tallies.spans[t, w]
        if span[LO] <= ordinal < span[HI]:
            _remove(bits, span, tallies)
            span[LO] += 1
