"""Absence: what should have come and did not. State of one rule: for each key, until when it may be silent, since which event.

An event for which the rule's `when` holds starts the clock of its key; an event for which `of` holds stops it (without `of`, the
next event of the first kind starts it anew, or just stops it where it reaches no severity). It is due at occurred_at + within +
grace; for an event that comes so late that this has passed already, at arrival + within + grace. It fires with the first thing in
the log that arrived after it was due: an event of the same key, or a tick. Ticks therefore decide when a clue comes, never which.
Of several events that wait for an answer the earliest counts; an answer that comes late answers all before it, and of those after
it the latest counts.

Cost: 0.4 us an event that starts or stops a clock with a thousand keys, 1.5 with a hundred thousand (what a clue would show is
kept in columns, a row a running clock); a tick looks at one number a key.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from rules.arrays import Arrays, Bools, Ints
from rules.keytable import KeyTable, TextColumn
from rules.runs import NEVER
from rules.windows import DAY
from topics.compiled import compiled

DUE, AT, ROW, LAST_DUE, LAST_AT, LAST_ROW, ANSWERED, SEEN = range(8)  # columns of `heads`
NOT_DUE: Final = 2**62
KEY, RANK = "@key", "@rank"  # columns beside what clues show; no feature has such a name
SWEEP: Final = 4096  # codes looked at for forgotten keys in each batch
SPARE: Final = 20_000  # rows that nobody waits for any more, before they are left out
_FRESH: Final = (NOT_DUE, NEVER, -1, NOT_DUE, NEVER, -1, NEVER, NEVER)


class Silence(NamedTuple):
    """A key was silent for too long: which row of a batch (or tick) told, since when it was due, arrival clock, episode key, rank
    and what the clue shows of the event that started the clock."""

    row: int
    at: int
    clock: int
    key: str
    rank: int
    shown: Mapping[str, Any]


class Moves(NamedTuple):
    """m rows of a batch that start or stop clocks, in arrival order: row in the batch, key, event time, arrival, how far the time
    of the log has come, what they do; `fresh` is what clues show of those that start one, with their rank and key."""

    rows: Ints
    keys: TextColumn
    ts: Ints
    clock: Ints
    now: Ints
    starts: Bools
    stops: Bools
    fresh: pl.DataFrame


@compiled
def _move(
    codes: Ints, ts: Ints, clock: Ints, now: Ints, starts: Bools, stops: Bools, places: Ints,
    span: int, keep: int, again: bool, heads: Ints, fired: Ints,
) -> int:  # fmt: skip
    """Take rows in arrival order; `again`: a start is a stop as well. Returns how many rows of `fired` (place, due, row)."""
    n = 0
    for i in range(codes.size):
        head = heads[codes[i]]
        while head[DUE] < now[i]:
            fired[n, 0], fired[n, 1], fired[n, 2] = head[ROW], head[DUE], i
            _next(head)
            n += 1
        if head[DUE] == NOT_DUE and head[SEEN] < clock[i] - keep:
            head[ANSWERED] = NEVER
        head[SEEN] = clock[i]
        due = ts[i] + span
        if due <= clock[i]:
            due = clock[i] + span
        if again and not starts[i]:
            if ts[i] >= head[AT]:
                head[DUE] = NOT_DUE
        elif again and (head[DUE] == NOT_DUE or ts[i] >= head[AT] or due >= head[DUE]):
            head[DUE], head[AT], head[ROW], head[LAST_ROW] = due, ts[i], places[i], places[i]
        if not again and stops[i]:
            _stop(head, ts[i])
        if not again and starts[i] and ts[i] >= head[ANSWERED]:
            _start(head, ts[i], due, places[i])
    return n


@compiled
def _stop(head: Ints, at: int) -> None:
    """An answer: to all that waits and is not later."""
    head[ANSWERED] = max(head[ANSWERED], at)
    if head[DUE] != NOT_DUE and head[AT] <= at:
        if head[LAST_AT] > at:
            _next(head)
        else:
            head[DUE] = NOT_DUE


@compiled
def _start(head: Ints, at: int, due: int, place: int) -> None:
    """One more event waits: remember the earliest and the latest."""
    alone = head[DUE] == NOT_DUE
    if alone or at >= head[LAST_AT]:
        head[LAST_DUE], head[LAST_AT], head[LAST_ROW] = due, at, place
    if alone or at < head[AT]:  # it may be due later, when it was reported very late: the wait does not become longer
        head[DUE], head[AT], head[ROW] = due if alone else min(due, head[DUE]), at, place


@compiled
def _next(head: Ints) -> None:
    """The earliest event that waited does not any more: on to the latest, if that is another."""
    if head[LAST_ROW] == head[ROW]:
        head[DUE] = NOT_DUE
    else:
        head[DUE], head[AT], head[ROW] = head[LAST_DUE], head[LAST_AT], head[LAST_ROW]


class Absences:
    """The clocks of one rule. `within`, `grace`, `slack` (longest lateness) in ms; `schema`: what clues show, by name.

    >>> silent = Absences(schema={"event_id": pl.String, KEY: pl.String, RANK: pl.Int64})
    >>> silent.configure(within=60_000, grace=0, slack=0, again=True)
    >>> fresh = pl.DataFrame({"event_id": ["e1"], KEY: ["d1"], RANK: [3]})
    >>> zero, yes = np.zeros(1, np.int64), np.ones(1, np.bool_)
    >>> silent.take(Moves(zero, TextColumn.of(fresh[KEY]), zero, zero, zero, yes, ~yes, fresh))
    []
    >>> silent.tick(60_000), silent.tick(60_001)[0].at
    ([], 60000)
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._hand = self._soonest = 0
        self._keys = KeyTable()
        self._heads = _fresh_heads(self._keys.capacity)
        self._segments = [pl.DataFrame(schema=self._schema)]

    def configure(self, within: int, grace: int, slack: int, again: bool) -> None:
        """Change the times; clocks that run keep theirs."""
        self._grace, self._span, self._again = grace, within + grace, again
        self._keep = self._span + slack + DAY

    def adopt(self, schema: Mapping[str, Any]) -> None:
        """Show other columns: what the kept events did not have is NULL."""
        if dict(schema) != self._schema:
            self._schema = dict(schema)
            self._segments = [self._fitted(segment) for segment in self._segments]

    def __len__(self) -> int:
        return int((self._heads[:, DUE] != NOT_DUE).sum())

    def take(self, moves: Moves) -> list[Silence]:
        """Let m rows start and stop clocks; returns what turned out to have been due when they arrived, in arrival order."""
        self._sweep(int(moves.clock[0]))
        codes = self._codes(moves.keys)
        base = sum(segment.height for segment in self._segments)
        places = base + np.cumsum(moves.starts) - 1
        fired = np.empty((2 * codes.size, 3), np.int64)
        n = _move(
            codes, moves.ts, moves.clock, moves.now, moves.starts, moves.stops, places,
            self._span, self._keep, self._again, self._heads, fired,
        )  # fmt: skip
        told = fired[:n]
        self._keep_rows(moves.fresh, base, np.unique(codes), told)
        self._soonest = min(self._soonest, int(self._heads[codes, DUE].min()))
        clock, rows = moves.now[told[:, 2]], moves.rows[told[:, 2]]
        return self._silences(told[:, 0], told[:, 1], clock.tolist(), rows.tolist())

    def tick(self, at: int) -> list[Silence]:
        """What is due before the log's time `at`, in order of that, then of keys."""
        found: list[Silence] = []
        if at <= self._soonest:
            return found
        while (codes := np.flatnonzero(self._heads[:, DUE] < at)).size:
            heads = self._heads[codes]
            found += self._silences(heads[:, ROW], heads[:, DUE], [at] * codes.size, [0] * codes.size)
            for code in codes:
                _next(self._heads[code])
        self._soonest = int(self._heads[:, DUE].min())
        return sorted(found, key=lambda silence: (silence.at, silence.key))

    def _silences(self, places: Ints, dues: Ints, clocks: Sequence[int], rows: Sequence[int]) -> list[Silence]:
        if places.size == 0:
            return []
        shown = pl.concat(self._segments, rechunk=False)[places].to_dicts()
        told = zip(rows, (dues - self._grace).tolist(), clocks, shown, strict=True)
        return [Silence(row, at, clock, one[KEY], one[RANK], one) for row, at, clock, one in told]

    def _codes(self, keys: TextColumn) -> Ints:
        codes = self._keys.codes(keys, keys.valid)
        if self._keys.capacity > self._heads.shape[0]:
            self._heads = np.concatenate([self._heads, _fresh_heads(self._keys.capacity - self._heads.shape[0])])
        return codes

    def _keep_rows(self, fresh: pl.DataFrame, base: int, codes: Ints, fired: Ints) -> None:
        """Keep those of the fresh rows that a clock or a silence points to, and put segments of like size together."""
        heads = self._heads[codes]
        wanted = np.unique(np.concatenate([heads[:, ROW], heads[:, LAST_ROW], fired[:, 0]]))
        wanted = wanted[wanted >= base]
        if wanted.size:
            for column in (ROW, LAST_ROW):
                mine = heads[:, column] >= base
                heads[mine, column] = base + np.searchsorted(wanted, heads[mine, column])
            self._heads[codes] = heads
            mine = fired[:, 0] >= base
            fired[mine, 0] = base + np.searchsorted(wanted, fired[mine, 0])
            self._segments.append(self._fitted(fresh[wanted - base]))
            while len(self._segments) > 1 and self._segments[-2].height <= 2 * self._segments[-1].height:
                self._segments[-2:] = [pl.concat(self._segments[-2:], rechunk=True)]

    def _sweep(self, clock: int) -> None:
        """Forget some keys that have been idle for long, and rows that nothing points to. Outcomes do not depend on when."""
        hand, self._hand = self._hand, self._hand + SWEEP
        part = self._heads[hand : self._hand]
        idle = np.flatnonzero((part[:, DUE] == NOT_DUE) & (part[:, SEEN] < clock - self._keep)) + hand
        idle = idle[np.isin(idle, self._keys.in_use(), assume_unique=True)] if idle.size else idle
        if self._hand >= self._heads.shape[0]:
            self._hand = 0
            kept = sum(segment.height for segment in self._segments)
            if kept > 2 * len(self) + SPARE:
                self._compact()
        if idle.size:
            self._keys.free(idle)
            self._heads[idle] = _FRESH

    def _compact(self) -> None:
        running = np.flatnonzero(self._heads[:, DUE] != NOT_DUE)
        heads = self._heads[running]
        wanted = np.unique(heads[:, [ROW, LAST_ROW]])
        for column in (ROW, LAST_ROW):
            heads[:, column] = np.searchsorted(wanted, heads[:, column])
        self._heads[:, [ROW, LAST_ROW]] = -1
        self._heads[running] = heads
        self._segments = [pl.concat(self._segments)[wanted]]

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        have = frame.schema
        return frame.select(
            pl.col(name) if have.get(name) == dtype else pl.lit(None, dtype).alias(name)
            for name, dtype in self._schema.items()
        )

    def snapshot(self) -> Arrays:
        """Keys that are remembered, their clocks, and the events that started them (as Arrow IPC)."""
        self._compact()
        codes = self._keys.in_use()
        data, offsets = self._keys.texts(codes)
        buffer = io.BytesIO()
        self._segments[0].write_ipc(buffer)
        rows = np.frombuffer(buffer.getvalue(), np.uint8)
        return {"key_bytes": data, "key_offsets": offsets, "heads": self._heads[codes], "rows": rows}

    def restore(self, arrays: Arrays) -> None:
        """Become what a snapshot holds."""
        self._hand, self._soonest, self._keys = 0, 0, KeyTable()
        self._heads = _fresh_heads(self._keys.capacity)
        keys = TextColumn.packed(np.asarray(arrays["key_bytes"], np.uint8), np.asarray(arrays["key_offsets"], np.int64))
        codes = self._codes(keys)
        self._heads[codes] = np.asarray(arrays["heads"], np.int64)
        self._segments = [self._fitted(pl.read_ipc(io.BytesIO(arrays["rows"].tobytes())))]


def _fresh_heads(count: int) -> Ints:
    return np.tile(np.array(_FRESH, np.int64), (count, 1))
