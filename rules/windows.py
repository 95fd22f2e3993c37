"""Exact sliding windows by event time, per key: the state behind every feature of one (by, of, where).

Rows are taken in arrival order. An answer at t covers the rows of the key that arrived before (and this one) with a time in
(t - within, t]. A late row (older than its key's newest) is answered at its own time and, when it is also stored, again at the
key's newest. Too late is a late row that was observed later than its kind allows, or that lies beyond the horizon (longest window
+ allowed lateness) of its key's newest: it is neither stored nor answered. A key that got nothing for the horizon and a day, by
arrival, is forgotten. All of this depends on the order of rows only, so batches may be split anywhere.

Cost: about 0.1 us an answer for a few rows in the window, 0.2 for a hundred, 1 for ten thousand and little more for a million
(aggregates of runs, see `rules.kernel`; for `distinct`, `rules.tallies`). An insertion moves the rows that are newer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
import polars as pl

from rules import arena, kernel, tallies
from rules.arrays import Arrays, Bools, Floats, Ints, lined
from rules.keytable import KeyTable, TextColumn
from rules.runs import LONG_RUN, NEVER, RUN
from topics.buffers import filled

DAY: Final = 86_400_000
ARENA: Final = 4096  # rows by which an arena grows at least: whole long runs
SWEEP: Final = 4096  # codes looked at for forgotten keys in each batch


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers as doubles, and where there is one; -0.0 is 0.0, so that both count as one distinct value."""

    values: Floats
    filled: Bools

    @classmethod
    def of(cls, series: pl.Series) -> Self:
        """The numbers of a series."""
        return cls(series.cast(pl.Float64).to_numpy() + 0.0, filled(series))

    def take(self, rows: Ints) -> Self:
        """Some of its rows."""
        return type(self)(self.values[rows], self.filled[rows])


@dataclass(frozen=True, slots=True)
class Batch:
    """n rows in arrival order. `clock`: greatest arrival time up to and with the row, ms, never falling; `prompt`: observed in
    time; `values`: of the column (None for a bare count; texts for a text store); `insert`: belongs to the window. Who asks
    many stores about the same rows converts columns once, and hands in the results instead of the series."""

    keys: pl.Series | TextColumn
    ts: Ints
    clock: Ints
    prompt: Bools
    values: pl.Series | TextColumn | Numbers | None
    insert: Bools
    ask: Bools


@dataclass(frozen=True, slots=True)
class Answers:
    """`own[n, windows, stats]` of rows asked for and not refused (NaN is NULL); `again` of late rows `again_row`, judged at
    `again_at`; `refused[n]`: too late; `known[n]`: has a key."""

    own: Floats
    again: Floats
    again_row: Ints
    again_at: Ints
    refused: Bools
    known: Bools


class WindowStore:
    """State of one group of features. `lateness`: the longest allowed among its kinds, ms; `text`: values are texts; `steps`:
    values are sets of so many steps of a sequence.

    >>> store = WindowStore([60_000], lateness=0)
    >>> n, ones = 3, np.ones(3, np.bool_)
    >>> batch = Batch(pl.Series(["k"] * n), np.array([0, 30_000, 60_000]), np.arange(n), ones, None, ones, ones)
    >>> store.update(batch).own[:, 0, kernel.COUNT].tolist()
    [1.0, 2.0, 2.0]
    """

    def __init__(
        self, withins: Iterable[int], lateness: int, *, distinct: bool = False, text: bool = False, steps: int = 0
    ) -> None:
        self._steps = steps
        self._heads = self._fresh_heads(0)
        self._text = KeyTable() if text else None
        self._texts_kept = 0
        self.configure(withins, lateness, distinct=distinct)
        self._clear()

    def configure(self, withins: Iterable[int], lateness: int, *, distinct: bool) -> None:
        """Change the windows; rows stay. A window longer than all before begins with what is there."""
        self.withins = tuple(sorted(set(withins)))
        self._withins = np.array(self.withins, np.int64)
        self._horizon = self.withins[-1] + lateness
        self._idle = self._horizon + DAY
        self._distinct = distinct
        self._forget_tallies()

    def _forget_tallies(self) -> None:
        """They are made again when asked for."""
        self._tallies = tallies.fresh(len(self.withins))
        self._heads[:, kernel.TALLY] = -1

    def _clear(self, keys: int = 0, rows: int = 0) -> None:
        self._keys = KeyTable()
        self._heads = self._fresh_heads(max(32, keys))
        self._times = lined(np.empty(0, np.int64), max(1, -(-rows // ARENA)) * ARENA)
        self._values = lined(np.empty(0, np.float64), self._times.size)
        self._forget_runs()
        self._forget_tallies()
        self._refs = np.zeros(32 if self._text else 0, np.int64)
        self._free = np.full(arena.ORDERS, -1, np.int64)
        self._counters = np.zeros(4, np.int64)
        self._seen = np.zeros((64, 2), np.int64)
        self._hand = 0

    def _forget_runs(self) -> None:
        """Aggregates of runs for an arena of this size, none made yet."""
        runs = (self._times.size >> RUN) + (self._times.size >> LONG_RUN)
        self._runs, self._made = np.empty((runs, 4)), np.zeros(runs, np.bool_)

    @staticmethod
    def _fresh_heads(count: int, kept: Ints | None = None) -> Ints:
        """So many heads, the first of them those kept."""
        before = np.empty((0, kernel.HEAD), np.int64) if kept is None else kept
        heads = lined(before, count - before.shape[0])
        heads[before.shape[0] :] = 0
        for column, nothing in (
            (kernel.ORDER, -1),
            (kernel.NEWEST, NEVER),
            (kernel.SEEN, kernel.ALWAYS),
            (kernel.TALLY, -1),
        ):
            heads[before.shape[0] :, column] = nothing
        return heads

    @property
    def rows(self) -> int:
        """Rows held."""
        return int(self._counters[kernel.LIVE])

    @property
    def keys(self) -> int:
        """Keys held."""
        return self._keys.live

    @property
    def texts_held(self) -> int:
        """Different texts held, as values."""
        return self._text.live if self._text is not None else 0

    def update(self, batch: Batch) -> Answers:
        """Take n rows; answer those asked for."""
        n = batch.ts.size
        if n:
            self._sweep(int(batch.clock[0]))
        keys = TextColumn.of(batch.keys) if isinstance(batch.keys, pl.Series) else batch.keys
        numbers = self._numbers(batch)
        insert = batch.insert & numbers.filled & keys.valid
        codes = self._keys.codes(keys, insert)
        if self._keys.capacity > self._heads.shape[0]:
            self._heads = self._fresh_heads(self._keys.capacity, self._heads)
        shape = (n, len(self.withins), kernel.STATS)
        own, again = np.empty(shape), np.empty(shape)  # untouched pages cost nothing
        again_row, again_at, refused = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n, np.bool_)
        self._counters[kernel.AGAIN] = 0
        done = 0
        while True:
            done = kernel.update(
                done, codes, batch.ts, batch.clock, batch.prompt, numbers.values, insert, batch.ask & keys.valid,
                self._withins, self._horizon, self._idle, self._distinct, self._steps,
                self._heads, self._times, self._values, self._values.view(np.int64), self._runs, self._made,
                self._refs, self._free, self._counters, self._seen, self._tallies, own, again, again_row, again_at, refused,
                np.empty(4),
            )  # fmt: skip
            if done == n:
                break
            self._grow(int(codes[done]))
        late = int(self._counters[kernel.AGAIN])
        return Answers(own, again[:late], again_row[:late], again_at[:late], refused, keys.valid)

    def texts(self, codes: Floats) -> pl.Series:
        """The texts that `last` answered with (NaN: NULL). Ask before the next `update`."""
        assert self._text is not None  # noqa: S101 - only text stores answer with texts
        valid = ~np.isnan(codes)
        data, offsets = self._text.texts(codes[valid].astype(np.int64))
        found = [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]
        result = np.full(codes.size, None, object)
        result[valid] = found
        return pl.Series(result.tolist(), dtype=pl.String)

    def _numbers(self, batch: Batch) -> Numbers:
        """Values as doubles, and where there is one. A text becomes the code of an interned text."""
        values = batch.values
        if values is None:
            return Numbers(np.zeros(batch.ts.size), np.ones(batch.ts.size, np.bool_))
        if isinstance(values, pl.Series):
            values = TextColumn.of(values) if self._text is not None else Numbers.of(values)
        if self._text is None or isinstance(values, Numbers):
            assert self._text is None and isinstance(values, Numbers)  # noqa: S101, PT018 - a store keeps one sort of values
            return values
        codes = self._text.codes(values, batch.insert)
        if self._text.capacity > self._refs.size:
            self._refs = np.concatenate([self._refs, np.zeros(self._text.capacity - self._refs.size, np.int64)])
        return Numbers(codes.astype(np.float64), values.valid)

    def _grow(self, code: int) -> None:
        """Twice the room of whatever stopped the kernel."""
        if self._tallies.counters[tallies.WANTING]:
            self._tallies = tallies.grown(self._tallies)
            return
        if self._distinct and code >= 0:
            rows = self._heads[code, kernel.NEXT] - self._heads[code, kernel.FIRST] + 1
            if rows * 2 > self._seen.shape[0]:
                self._seen = np.zeros((self._seen.shape[0] * 2, 2), np.int64)
                return
        self._times = lined(self._times, self._times.size)
        self._values = lined(self._values, self._values.size)
        self._forget_runs()

    def _sweep(self, clock: int) -> None:
        """Forget some of the keys that are idle, and texts that no row holds. Answers do not depend on when this happens."""
        hand, self._hand = self._hand, self._hand + SWEEP
        idle = np.flatnonzero(self._heads[hand : self._hand, kernel.SEEN] < clock - self._idle) + hand
        if self._hand >= self._heads.shape[0]:
            self._hand = 0
        if idle.size:
            kernel.forget_all(
                idle, self._heads, self._times, self._values, self._refs, self._free, self._counters, self._tallies
            )
            self._heads[idle, kernel.SEEN] = kernel.ALWAYS
            self._keys.free(idle)
        if self._text is not None and self._text.live > 2 * self._texts_kept + SWEEP:
            used = self._text.in_use()
            self._text.free(used[self._refs[used] == 0])
            self._texts_kept = self._text.live

    def snapshot(self) -> Arrays:
        """Keys and rows, without gaps. Restoring gives a store that answers alike."""
        codes = self._keys.in_use()
        codes = codes[self._heads[codes, kernel.NEXT] > self._heads[codes, kernel.FIRST]]
        heads = self._heads[codes]
        counts = heads[:, kernel.NEXT] - heads[:, kernel.FIRST]
        times, values = np.empty(int(counts.sum()), np.int64), np.empty(int(counts.sum()))
        kernel.copy_rows(codes, self._heads, self._times, self._values, times, values, True)
        data, offsets = self._keys.texts(codes)
        arrays: Arrays = {"key_bytes": data, "key_offsets": offsets, "counts": counts, "times": times, "values": values}
        arrays |= {"newest": heads[:, kernel.NEWEST].copy(), "seen": heads[:, kernel.SEEN].copy()}
        arrays["firsts"] = heads[:, kernel.FIRST].copy()
        if self._text is not None:
            used, dense = np.unique(values.astype(np.int64), return_inverse=True)
            arrays["text_bytes"], arrays["text_offsets"] = self._text.texts(used)
            arrays["values"] = dense.astype(np.float64)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Become the store of a snapshot (its windows stay as configured here)."""
        ints = {name: np.ascontiguousarray(array, np.int64) for name, array in arrays.items() if "bytes" not in name}
        counts = ints["counts"]
        values = np.ascontiguousarray(arrays["values"], np.float64)
        if self._text is not None:
            self._text = KeyTable()
        self._clear(counts.size, 2 * int(counts.sum()))
        if self._text is not None:
            texts = TextColumn.packed(np.asarray(arrays["text_bytes"], np.uint8), ints["text_offsets"])
            self._text.codes(texts, texts.valid)
            self._texts_kept = self._text.live
            self._refs = np.bincount(ints["values"], minlength=self._text.capacity).astype(np.int64)
        keys = TextColumn.packed(np.asarray(arrays["key_bytes"], np.uint8), ints["key_offsets"])
        codes = self._keys.codes(keys, keys.valid)
        self._heads = self._fresh_heads(self._keys.capacity)
        self._heads[codes, kernel.NEWEST], self._heads[codes, kernel.SEEN] = ints["newest"], ints["seen"]
        done = 0
        while True:
            done = kernel.lay_out(
                done, codes, counts, ints["firsts"], self._heads, self._times, self._free, self._counters
            )
            if done == codes.size:
                break
            self._grow(-1)
        kernel.copy_rows(codes, self._heads, self._times, self._values, ints["times"], values, False)
