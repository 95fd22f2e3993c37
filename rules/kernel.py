"""The numba part of the window store: per-key slabs of (time, value) rows, sorted by time, in one flat arena.

A slab is a power of two of rows; freed slabs wait in a list for their size. `heads[code]` is a key's slab and clock. Growing is
Python's: a function that lacks room stops before the row it cannot take and says so, and is called again from there.
"""

from typing import Final

import numba
import numpy as np

from rules.arrays import Bools, Floats, Ints

BASE, ORDER, LOW, HIGH, NEWEST, SEEN = range(6)  # columns of `heads`; live rows are [LOW, HIGH)
COUNT, SUM, MIN, MAX, DISTINCT, LAST, RATE = range(7)  # columns of an answer
STATS: Final = 7
TOP, STAMP, LIVE, AGAIN = range(4)  # slots of `counters`
SMALLEST: Final = 4
ORDERS: Final = 40
NEVER: Final = -(2**62)
ALWAYS: Final = 2**62
_HOUR: Final = 3_600_000.0


@numba.njit(cache=True)
def _take(order: int, times: Ints, free: Ints, counters: Ints) -> int:
    """A slab of that size, or -1 when the arena is full."""
    base = free[order]
    if base >= 0:
        free[order] = times[base]
        return int(base)
    size = SMALLEST << order
    if counters[TOP] + size > times.size:
        return -1
    counters[TOP] += size
    return int(counters[TOP] - size)


@numba.njit(cache=True)
def _give(base: int, order: int, times: Ints, free: Ints) -> None:
    times[base] = free[order]
    free[order] = base


@numba.njit(cache=True)
def forget(code: int, heads: Ints, times: Ints, values: Floats, refs: Ints, free: Ints, counters: Ints) -> None:
    """The key holds nothing any more."""
    if heads[code, ORDER] >= 0:
        for p in range(heads[code, LOW], heads[code, HIGH]):
            if refs.size:
                refs[int(values[p])] -= 1
        counters[LIVE] -= heads[code, HIGH] - heads[code, LOW]
        _give(heads[code, BASE], heads[code, ORDER], times, free)
    heads[code, ORDER] = -1
    heads[code, LOW] = heads[code, HIGH] = 0
    heads[code, NEWEST] = NEVER


@numba.njit(cache=True)
def _room(code: int, heads: Ints, times: Ints, values: Floats, free: Ints, counters: Ints) -> bool:
    """Make room for one row at the end of the key's slab: by moving its rows down, or into a slab of twice the size."""
    order = heads[code, ORDER]
    if order < 0:
        base = _take(0, times, free, counters)
        if base < 0:
            return False
        heads[code, BASE] = heads[code, LOW] = heads[code, HIGH] = base
        heads[code, ORDER] = 0
        return True
    base, low, high = heads[code, BASE], heads[code, LOW], heads[code, HIGH]
    size = SMALLEST << order
    if high < base + size:
        return True
    to = base
    if (low - base) * 4 < size:
        to = _take(order + 1, times, free, counters)
        if to < 0:
            return False
    for p in range(high - low):
        times[to + p] = times[low + p]
        values[to + p] = values[low + p]
    if to != base:
        _give(base, order, times, free)
        heads[code, ORDER] = order + 1
    heads[code, BASE] = heads[code, LOW] = to
    heads[code, HIGH] = to + high - low
    return True


@numba.njit(cache=True)
def _insert(
    code: int, ts: int, value: float, horizon: int, heads: Ints, times: Ints, values: Floats, refs: Ints
) -> int:
    """Put a row behind all rows of its time or earlier (room is there); drop what is beyond the horizon. Returns the growth."""
    p = heads[code, HIGH]
    low = heads[code, LOW]
    while p > low and times[p - 1] > ts:
        times[p] = times[p - 1]
        values[p] = values[p - 1]
        p -= 1
    times[p] = ts
    values[p] = value
    heads[code, HIGH] += 1
    if refs.size:
        refs[int(value)] += 1
    heads[code, NEWEST] = max(heads[code, NEWEST], ts)
    oldest = heads[code, NEWEST] - horizon
    start = low
    while times[low] <= oldest:
        if refs.size:
            refs[int(values[low])] -= 1
        low += 1
    heads[code, LOW] = low
    return int(1 - (low - start))


@numba.njit(cache=True)
def _new(bits: int, stamp: int, seen: Ints) -> bool:
    """Whether the value has not been met since `stamp` was drawn; remembers it."""
    mask = np.uint64(seen.shape[0] - 1)
    slot = ((np.uint64(bits) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while seen[slot, 0] == stamp:
        if seen[slot, 1] == bits:
            return False
        slot = (slot + np.uint64(1)) & mask
    seen[slot, 0] = stamp
    seen[slot, 1] = bits
    return True


@numba.njit(cache=True)
def _walk(
    low: int, high: int, at: int, withins: Ints, distinct: bool, stamp: int, seen: Ints,
    times: Ints, values: Floats, bits: Ints, out: Floats,
) -> None:  # fmt: skip
    """Statistics of (at - within, at] for each window, shortest first: one walk back, nothing subtracted (sums by Neumaier)."""
    p = high - 1
    while p >= low and times[p] > at:
        p -= 1
    last = p
    total, lost, least, most, different = 0.0, 0.0, np.inf, -np.inf, 0
    for w in range(withins.size):
        oldest = at - withins[w]
        while p >= low and times[p] > oldest:
            v = values[p]
            t = total + v
            lost += (total - t) + v if abs(total) >= abs(v) else (v - t) + total
            total = t
            least = min(least, v)
            most = max(most, v)
            if distinct and _new(bits[p], stamp, seen):
                different += 1
            p -= 1
        out[w, COUNT] = last - p
        out[w, DISTINCT] = different
        out[w, SUM:DISTINCT] = np.nan
        out[w, LAST:] = np.nan
        if last > p:
            out[w, SUM] = total + lost if np.isfinite(lost) else total
            out[w, MIN] = least
            out[w, MAX] = most
            out[w, LAST] = values[last]
            if times[last] > times[p + 1]:
                out[w, RATE] = (values[last] - values[p + 1]) / ((times[last] - times[p + 1]) / _HOUR)


@numba.njit(cache=True)
def update(
    first: int, codes: Ints, ts: Ints, clock: Ints, prompt: Bools, value: Floats, insert: Bools, ask: Bools,
    withins: Ints, horizon: int, idle: int, distinct: bool,
    heads: Ints, times: Ints, values: Floats, bits: Ints, refs: Ints, free: Ints, counters: Ints, seen: Ints,
    own: Floats, again: Floats, again_row: Ints, again_at: Ints, refused: Bools,
) -> int:  # fmt: skip
    """Take rows from `first` on in arrival order; returns n, or the row for which an array must grow first."""
    for i in range(first, codes.size):
        code = codes[i]
        if code < 0:
            if ask[i]:
                _walk(0, 0, ts[i], withins, False, 0, seen, times, values, bits, own[i])
            continue
        if heads[code, SEEN] < clock[i] - idle:
            forget(code, heads, times, values, refs, free, counters)
        newest = heads[code, NEWEST]
        late = ts[i] < newest
        if late and (not prompt[i] or ts[i] <= newest - horizon):
            refused[i] = True
            continue
        if distinct and (heads[code, HIGH] - heads[code, LOW] + 1) * 2 > seen.shape[0]:
            return i
        if insert[i]:
            if not _room(code, heads, times, values, free, counters):
                return i
            counters[LIVE] += _insert(code, ts[i], value[i], horizon, heads, times, values, refs)
            heads[code, SEEN] = clock[i]
        if ask[i]:
            low, high = heads[code, LOW], heads[code, HIGH]
            counters[STAMP] += 1
            _walk(low, high, ts[i], withins, distinct, counters[STAMP], seen, times, values, bits, own[i])
            if late and insert[i]:
                k = counters[AGAIN]
                again_row[k] = i
                again_at[k] = newest
                counters[STAMP] += 1
                _walk(low, high, newest, withins, distinct, counters[STAMP], seen, times, values, bits, again[k])
                counters[AGAIN] += 1
    return codes.size


@numba.njit(cache=True)
def forget_all(codes: Ints, heads: Ints, times: Ints, values: Floats, refs: Ints, free: Ints, counters: Ints) -> None:
    """Empty the keys of these codes."""
    for code in codes:
        forget(code, heads, times, values, refs, free, counters)


@numba.njit(cache=True)
def copy_rows(
    codes: Ints, heads: Ints, times: Ints, values: Floats, flat_times: Ints, flat_values: Floats, pack: bool
) -> None:
    """Rows of the keys of these codes, one key after another: out of the arena (`pack`), or back into it."""
    at = 0
    for code in codes:
        for p in range(heads[code, LOW], heads[code, HIGH]):
            if pack:
                flat_times[at] = times[p]
                flat_values[at] = values[p]
            else:
                times[p] = flat_times[at]
                values[p] = flat_values[at]
            at += 1
