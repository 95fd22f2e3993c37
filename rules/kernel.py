"""The numba part of the window store: per-key rings of (time, value) rows, sorted by time, in one flat arena.

A ring is a power of two of rows (`rules.arena`). `heads[code]` is a key's ring and clock. Rows have
ordinals: the oldest live one is FIRST, NEXT is to come; row `o` lies at `base + o % size`. Growing is Python's: a function that
lacks room stops before the row it cannot take and says so, and is called again from there.

Dense keys: aligned runs of 64 and of 4,096 ordinals have aggregates (sum, what rounding lost, least, greatest), made when first
asked for and forgotten when a row among them changes. An answer costs two searches and at most some hundred steps, whatever the
window holds. Runs are aligned by ordinal, not by place, so that sums are added up alike after any restart.
"""

from typing import Final

import numba
import numpy as np

from rules import tallies as tally
from rules.arena import SMALLEST, give, take
from rules.arrays import Bools, Floats, Ints
from rules.runs import LONG_RUN, NEVER, RUN, long_run
from rules.sequences import began
from rules.tallies import Tallies
from topics.compiled import compiled
from topics.prefetch import soon

BASE, ORDER, FIRST, NEXT, NEWEST, SEEN, TALLY = range(7)  # columns of `heads`; live rows are [FIRST, NEXT)
HEAD: Final = 8  # columns of `heads`, one of them spare: 64 bytes, a line of the cache
COUNT, SUM, MIN, MAX, DISTINCT, LAST, RATE = range(7)  # columns of an answer
COMPLETED: Final = SUM  # of a sequence: whether it is this event that completed it
STATS: Final = 7
TOP, STAMP, LIVE, AGAIN = range(4)  # slots of `counters`
ALWAYS: Final = 2**62
_FAR: Final = 16  # rows between asking for memory and reading it
_LINE: Final = 8  # rows of a line of the cache
_LINES: Final = 8  # of a ring asked for: beyond them the processor has seen where it goes
_HOUR: Final = 3_600_000.0
_NEAR: Final = 128  # rows of a window that are looked at one by one before there is a search


@compiled
def _ahead(i: int, codes: Ints, heads: Ints, times: Ints, values: Floats) -> None:
    """Have memory fetched that rows soon to come will read: with a million keys none of it is in a cache."""
    far, near = i + _FAR, i + _FAR // 2
    if far < codes.size and codes[far] >= 0:
        soon(heads, codes[far] * heads.shape[1])
    if near < codes.size and codes[near] >= 0 and heads[codes[near], ORDER] >= 0:
        code = codes[near]
        base, mask = heads[code, BASE], (SMALLEST << heads[code, ORDER]) - 1
        first, last = heads[code, FIRST], heads[code, NEXT]
        for o in range(last, max(first, last - _LINES * _LINE), -_LINE):
            soon(times, base + (o & mask))
            soon(values, base + (o & mask))
        soon(times, base + (first & mask))
        soon(values, base + (first & mask))


@compiled
def forget(
    code: int, heads: Ints, times: Ints, values: Floats, refs: Ints, free: Ints, counters: Ints, tallies: Tallies
) -> None:
    """The key holds nothing any more."""
    order = heads[code, ORDER]
    if order >= 0:
        base, mask = heads[code, BASE], (SMALLEST << order) - 1
        if refs.size:
            for o in range(heads[code, FIRST], heads[code, NEXT]):
                refs[int(values[base + (o & mask)])] -= 1
        counters[LIVE] -= heads[code, NEXT] - heads[code, FIRST]
        give(base, order, times, free)
    if heads[code, TALLY] >= 0:
        tally.end(heads[code, TALLY], tallies)
        heads[code, TALLY] = -1
    heads[code, ORDER] = -1
    heads[code, FIRST] = heads[code, NEXT] = 0
    heads[code, NEWEST] = NEVER


@compiled
def _room(code: int, heads: Ints, times: Ints, values: Floats, made: Bools, free: Ints, counters: Ints) -> bool:
    """Make room for one row in the key's ring: into a ring of twice the size when it is full."""
    order = heads[code, ORDER]
    if order < 0:
        base = take(0, times, free, counters)
        if base < 0:
            return False
        heads[code, BASE] = base
        heads[code, FIRST] = heads[code, NEXT] = 0
        heads[code, ORDER] = 0
        return True
    first, last, size = heads[code, FIRST], heads[code, NEXT], SMALLEST << order
    if last - first < size:
        return True
    to = take(order + 1, times, free, counters)
    if to < 0:
        return False
    base, mask, wide = heads[code, BASE], size - 1, 2 * size - 1
    for o in range(first, last):
        times[to + (o & wide)] = times[base + (o & mask)]
        values[to + (o & wide)] = values[base + (o & mask)]
    _changed(to, wide, first, last, made)
    give(base, order, times, free)
    heads[code, ORDER] = order + 1
    heads[code, BASE] = to
    return True


@compiled
def _changed(base: int, mask: int, first: int, last: int, made: Bools) -> None:
    """Rows of these ordinals are others now: aggregates of their runs must be made again. A small ring has none."""
    o = first if (mask + 1) >> RUN else last
    while o < last:
        p = base + (o & mask)
        made[p >> RUN] = False
        made[long_run(p, made)] = False
        o = ((o >> RUN) + 1) << RUN


@compiled
def _after(base: int, mask: int, first: int, last: int, ts: int, times: Ints) -> int:
    """The first ordinal whose time is later than `ts`."""
    while first < last:
        middle = (first + last) >> 1
        if times[base + (middle & mask)] > ts:
            last = middle
        else:
            first = middle + 1
    return first


@compiled
def _insert(
    code: int, ts: int, value: float, horizon: int,
    heads: Ints, times: Ints, values: Floats, bits: Ints, made: Bools, refs: Ints, tallies: Tallies,
) -> int:  # fmt: skip
    """Put a row behind all rows of its time or earlier (room is there); drop what is beyond the horizon. Returns the growth."""
    base, mask = heads[code, BASE], (SMALLEST << heads[code, ORDER]) - 1
    first, last = heads[code, FIRST], heads[code, NEXT]
    place = last
    if last > first and times[base + ((last - 1) & mask)] > ts:
        place = _after(base, mask, first, last, ts, times)
        for o in range(last, place, -1):
            times[base + (o & mask)] = times[base + ((o - 1) & mask)]
            values[base + (o & mask)] = values[base + ((o - 1) & mask)]
    times[base + (place & mask)] = ts
    values[base + (place & mask)] = value
    _changed(base, mask, place, last + 1, made)
    heads[code, NEXT] = last + 1
    told = heads[code, TALLY]
    if told >= 0:
        tally.inserted(told, place, bits[base + (place & mask)], tallies)
    if refs.size:
        refs[int(value)] += 1
    heads[code, NEWEST] = max(heads[code, NEWEST], ts)
    oldest = heads[code, NEWEST] - horizon
    start = first
    while times[base + (first & mask)] <= oldest:
        if refs.size:
            refs[int(values[base + (first & mask)])] -= 1
        if told >= 0:
            tally.dropped(told, first, bits[base + (first & mask)], tallies)
        first += 1
    heads[code, FIRST] = first
    return int(1 - (first - start))


@compiled
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


@compiled
def _add(sums: Floats, total: float, lost: float, least: float, most: float) -> None:
    """Rows, or runs of them, into (total, lost, least, most): the sum by Neumaier."""
    t = sums[0] + total
    sums[1] += (sums[0] - t) + total if abs(sums[0]) >= abs(total) else (total - t) + sums[0]
    sums[1] += lost
    sums[0] = t
    sums[2] = min(sums[2], least)
    sums[3] = max(sums[3], most)


@compiled
def _clear(sums: Floats) -> None:
    sums[0] = sums[1] = 0.0
    sums[2] = np.inf
    sums[3] = -np.inf


@compiled
def _run(p: int, values: Floats, runs: Floats, made: Bools) -> int:
    """The aggregate of the run of 64 rows that begins at place `p`; where it is."""
    r = p >> RUN
    if not made[r]:
        _clear(runs[r])
        for q in range(p + (1 << RUN) - 1, p - 1, -1):
            _add(runs[r], values[q], 0.0, values[q], values[q])
        made[r] = True
    return r


@compiled
def _long_run(p: int, values: Floats, runs: Floats, made: Bools) -> int:
    """The same of 4,096 rows."""
    r = long_run(p, made)
    if not made[r]:
        _clear(runs[r])
        for q in range(p + (1 << LONG_RUN) - (1 << RUN), p - 1, -(1 << RUN)):
            one = runs[_run(q, values, runs, made)]
            _add(runs[r], one[0], one[1], one[2], one[3])
        made[r] = True
    return r


@compiled
def _sum(base: int, mask: int, first: int, last: int, values: Floats, runs: Floats, made: Bools, sums: Floats) -> None:
    """Add the rows of these ordinals, the newest first; whole aligned runs by their aggregates."""
    o = last
    while o > first:
        if o & ((1 << LONG_RUN) - 1) == 0 and o - (1 << LONG_RUN) >= first:
            o -= 1 << LONG_RUN
            one = runs[_long_run(base + (o & mask), values, runs, made)]
            _add(sums, one[0], one[1], one[2], one[3])
        elif o & ((1 << RUN) - 1) == 0 and o - (1 << RUN) >= first:
            o -= 1 << RUN
            one = runs[_run(base + (o & mask), values, runs, made)]
            _add(sums, one[0], one[1], one[2], one[3])
        else:
            o -= 1
            v = values[base + (o & mask)]
            _add(sums, v, 0.0, v, v)


@compiled
def _unlike(base: int, mask: int, first: int, last: int, stamp: int, seen: Ints, bits: Ints) -> int:
    """How many values of these rows have not been met since `stamp` was drawn."""
    found = 0
    for o in range(first, last):
        found += _new(bits[base + (o & mask)], stamp, seen)
    return found


@compiled
def _told(code: int, heads: Ints, tallies: Tallies) -> int:
    """The tallies of a key, begun once it has many rows; -1 without."""
    if code < 0:
        return -1
    if heads[code, TALLY] < 0 and heads[code, NEXT] - heads[code, FIRST] >= tally.DENSE:
        heads[code, TALLY] = tally.begin(tallies)
    return int(heads[code, TALLY])


@numba.njit(inline="always")
def _answer(
    code: int, at: int, withins: Ints, distinct: bool, steps: int, stamp: int, seen: Ints, heads: Ints,
    times: Ints, values: Floats, bits: Ints, runs: Floats, made: Bools, sums: Floats, tallies: Tallies, out: Floats,
) -> None:  # fmt: skip
    """Statistics of (at - within, at] for each window, shortest first: each row or run added once, nothing subtracted. A code
    below 0 is a key without rows. Of a sequence there is one: whether rows in the window hold it (1 or 0)."""
    base, mask, first, end = 0, 0, 0, 0
    if code >= 0 and heads[code, ORDER] >= 0:
        base, mask = heads[code, BASE], (SMALLEST << heads[code, ORDER]) - 1
        first, end = heads[code, FIRST], heads[code, NEXT]
        if end > first and times[base + ((end - 1) & mask)] > at:
            end = _after(base, mask, first, end, at, times)
    if steps:
        since = began(base, mask, first, end, at - withins[-1], steps, values, times, runs, made)
        for w in range(withins.size):
            out[w, :] = np.nan
            out[w, COUNT] = out[w, COMPLETED] = since > at - withins[w]
        return
    told = _told(code, heads, tallies) if distinct else -1
    o, looked, different = end, end, 0
    total, lost, least, most = 0.0, 0.0, np.inf, -np.inf
    for w in range(withins.size):
        oldest = at - withins[w]
        near = max(first, o - _NEAR)
        while o > near and times[base + ((o - 1) & mask)] > oldest:  # most keys have few rows: no search, no calls
            o -= 1
            v = values[base + (o & mask)]
            t = total + v
            lost += (total - t) + v if abs(total) >= abs(v) else (v - t) + total
            total = t
            least = min(least, v)
            most = max(most, v)
        if o > first and o == near and times[base + ((o - 1) & mask)] > oldest:
            start = _after(base, mask, first, o, oldest, times)
            sums[0], sums[1], sums[2], sums[3] = total, lost, least, most
            _sum(base, mask, start, o, values, runs, made, sums)
            total, lost, least, most = sums[0], sums[1], sums[2], sums[3]
            o = start
        if told >= 0:
            different = tally.different(told, w, o, end, end < heads[code, NEXT], base, mask, bits, tallies)
            told = told if different >= 0 else -1
        if distinct and told < 0:
            different = max(different, 0) + _unlike(base, mask, o, looked, stamp, seen, bits)
            looked = o
        out[w, COUNT] = end - o
        out[w, DISTINCT] = different
        out[w, SUM:DISTINCT] = np.nan
        out[w, LAST:] = np.nan
        if end > o:
            out[w, SUM] = total + lost if np.isfinite(lost) else total
            out[w, MIN] = least
            out[w, MAX] = most
            q, p = base + ((end - 1) & mask), base + (o & mask)
            out[w, LAST] = values[q]
            if times[q] > times[p]:
                out[w, RATE] = (values[q] - values[p]) / ((times[q] - times[p]) / _HOUR)


@compiled
def _began(
    code: int, at: int, within: int, steps: int,
    heads: Ints, times: Ints, values: Floats, runs: Floats, made: Bools,
) -> int:  # fmt: skip
    """When the latest sequence of a key began that lies in the window as of `at`, its newest time."""
    base, mask = heads[code, BASE], (SMALLEST << heads[code, ORDER]) - 1
    first, end = heads[code, FIRST], heads[code, NEXT]
    return int(began(base, mask, first, end, at - within, steps, values, times, runs, made))


@compiled
def update(
    first: int, codes: Ints, ts: Ints, clock: Ints, prompt: Bools, value: Floats, insert: Bools, ask: Bools,
    withins: Ints, horizon: int, idle: int, distinct: bool, steps: int,
    heads: Ints, times: Ints, values: Floats, bits: Ints, runs: Floats, made: Bools, refs: Ints, free: Ints,
    counters: Ints, seen: Ints, tallies: Tallies, own: Floats, again: Floats, again_row: Ints, again_at: Ints, refused: Bools,
    sums: Floats,
) -> int:  # fmt: skip
    """Take rows from `first` on in arrival order; returns n, or the row for which an array must grow first."""
    for i in range(first, codes.size):
        code = codes[i]
        _ahead(i, codes, heads, times, values)
        if code < 0:
            if ask[i]:
                _answer(
                    -1,
                    ts[i],
                    withins,
                    False,
                    steps,
                    0,
                    seen,
                    heads,
                    times,
                    values,
                    bits,
                    runs,
                    made,
                    sums,
                    tallies,
                    own[i],
                )
            continue
        if heads[code, SEEN] < clock[i] - idle:
            forget(code, heads, times, values, refs, free, counters, tallies)
        newest = heads[code, NEWEST]
        late = ts[i] < newest
        if late and (not prompt[i] or ts[i] <= newest - horizon):
            refused[i] = True
            continue
        narrow = distinct and (heads[code, NEXT] - heads[code, FIRST] + 1) * 2 > seen.shape[0]
        if narrow or tallies.counters[tally.WANTING]:
            return i
        looks = steps > 0 and late and ask[i]
        before = _began(code, newest, withins[-1], steps, heads, times, values, runs, made) if looks else NEVER
        if insert[i]:
            if not _room(code, heads, times, values, made, free, counters):
                return i
            counters[LIVE] += _insert(code, ts[i], value[i], horizon, heads, times, values, bits, made, refs, tallies)
            heads[code, SEEN] = clock[i]
        if ask[i]:
            counters[STAMP] += 1
            stamp = counters[STAMP]
            _answer(
                code, ts[i], withins, distinct, steps, stamp, seen, heads, times, values, bits, runs, made, sums, tallies,
                own[i],
            )  # fmt: skip
            if steps and not (insert[i] and int(value[i]) >> (steps - 1)):
                own[i, :, COMPLETED] = 0.0
            if late and insert[i]:
                k = counters[AGAIN]
                again_row[k] = i
                again_at[k] = newest
                counters[STAMP] += 1
                stamp = counters[STAMP]
                _answer(
                    code, newest, withins, distinct, steps, stamp, seen, heads, times, values, bits, runs, made, sums,
                    tallies, again[k],
                )  # fmt: skip
                if steps and _began(code, newest, withins[-1], steps, heads, times, values, runs, made) <= before:
                    again[k, :, COMPLETED] = 0.0  # there was one as late before it came
                counters[AGAIN] += 1
    return codes.size


@compiled
def forget_all(
    codes: Ints, heads: Ints, times: Ints, values: Floats, refs: Ints, free: Ints, counters: Ints, tallies: Tallies
) -> None:
    """Empty the keys of these codes."""
    for code in codes:
        forget(code, heads, times, values, refs, free, counters, tallies)


@compiled
def lay_out(
    done: int, codes: Ints, counts: Ints, firsts: Ints, heads: Ints, times: Ints, free: Ints, counters: Ints
) -> int:
    """Give empty keys, from the place `done` on, rings for so many rows of ordinals from `firsts` on; returns n, or the place for
    which the arena must grow first."""
    for i in range(done, codes.size):
        code, order = codes[i], 0
        while SMALLEST << order < counts[i]:
            order += 1
        base = take(order, times, free, counters)
        if base < 0:
            return i
        heads[code, BASE] = base
        heads[code, ORDER] = order
        heads[code, FIRST] = firsts[i]
        heads[code, NEXT] = firsts[i] + counts[i]
        counters[LIVE] += counts[i]
    return codes.size


@compiled
def copy_rows(
    codes: Ints, heads: Ints, times: Ints, values: Floats, flat_times: Ints, flat_values: Floats, pack: bool
) -> None:
    """Rows of the keys of these codes, one key after another: out of the arena (`pack`), or back into it."""
    at = 0
    for code in codes:
        base, mask = heads[code, BASE], (SMALLEST << heads[code, ORDER]) - 1
        for o in range(heads[code, FIRST], heads[code, NEXT]):
            p = base + (o & mask)
            if pack:
                flat_times[at] = times[p]
                flat_values[at] = values[p]
            else:
                times[p] = flat_times[at]
                values[p] = flat_values[at]
            at += 1
