"""Laws of absence: equal to a plain reference on any stream, however batches are cut and whenever ticks come."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.absence import KEY, RANK, Absences, Moves, Silence
from rules.keytable import TextColumn

WITHIN, GRACE, SLACK, DAY = 10, 3, 20, 86_400_000
SCHEMA = {"event_id": pl.String, KEY: pl.String, RANK: pl.Int64}
Told = list[tuple[str, str, int]]  # key, event, when the time was over
Row = tuple[str, int, int, bool, bool]  # key, event time, arrival, starts, stops


@dataclass
class Key:
    """What waits for an answer: (event time, due, event), earliest first; the latest answer, the latest arrival."""

    waiting: list[tuple[int, int, str]] = field(default_factory=list)
    answered: float = -np.inf
    seen: float = -np.inf


def reference(rows: list[Row], again: bool, end: int) -> Told:
    """Event by event, as the docstring of `rules.absence` says; `end`: the last tick."""
    keys: dict[str, Key] = {}
    told: Told = []

    def over(name: str, key: Key, clock: int) -> None:
        while key.waiting and key.waiting[0][1] < clock:
            _, due, event = key.waiting[0]
            told.append((name, event, due - GRACE))
            key.waiting = key.waiting[1:][-1:]

    for i, (name, ts, clock, starts, stops) in enumerate(rows):
        key = keys.setdefault(name, Key())
        over(name, key, clock)
        if not key.waiting and key.seen < clock - (WITHIN + GRACE + SLACK + DAY):
            key.answered = -np.inf
        key.seen = clock
        due = ts + WITHIN + GRACE
        due = clock + WITHIN + GRACE if due <= clock else due
        if again:
            if not starts:
                key.waiting = [one for one in key.waiting if one[0] > ts]
            elif not key.waiting or ts >= key.waiting[0][0] or due >= key.waiting[0][1]:
                key.waiting = [(ts, due, f"e{i}")]
            continue
        if stops:
            key.answered = max(key.answered, ts)
            if key.waiting and key.waiting[0][0] <= ts:
                key.waiting = [one for one in key.waiting if one[0] > ts][-1:]
        if starts and ts >= key.answered:
            later = [one for one in key.waiting if one[0] > ts]
            if len(later) == len(key.waiting) > 0:  # it is the first: the wait does not become longer
                due = min(due, later[0][1])
            key.waiting = [*key.waiting[: len(key.waiting) - len(later)], (ts, due, f"e{i}"), *later]
    for name, key in keys.items():
        over(name, key, end)
    return sorted(told)


@st.composite
def streams(draw: st.DrawFn, again: bool) -> list[Row]:
    """Events of three keys in arrival order: in time, late, old, some days apart."""
    rows: list[Row] = []
    now = 1_000
    for _ in range(draw(st.integers(0, 50))):
        now += draw(st.sampled_from([0, 1, 3, 9, 14, 40, 2 * DAY]))
        behind = draw(st.sampled_from([0, 0, 0, 1, 4, 12, 13, 30]))
        starts = draw(st.booleans()) or draw(st.booleans())
        stops = again or not starts or draw(st.integers(0, 4)) == 0
        rows.append((draw(st.sampled_from("abc")), now - behind, now, starts, stops))
    return rows


def new(again: bool) -> Absences:
    """Empty clocks."""
    found = Absences(SCHEMA)
    found.configure(WITHIN, GRACE, SLACK, again)
    return found


def take(clocks: Absences, rows: list[Row], first: int) -> list[Silence]:
    """One batch."""
    if not rows:
        return []
    names, ts, clock, starts, stops = zip(*rows, strict=True)
    begin = np.array(starts, np.bool_)
    events = [f"e{first + i}" for i in np.flatnonzero(begin)]
    fresh = pl.DataFrame(
        {"event_id": events, KEY: [names[i] for i in np.flatnonzero(begin)], RANK: [2] * len(events)}, schema=SCHEMA
    )
    times: Any = (np.array(ts, np.int64), np.array(clock, np.int64), np.array(clock, np.int64))
    keys = TextColumn.of(pl.Series(names, dtype=pl.String))
    return clocks.take(Moves(np.arange(len(rows)), keys, *times, begin, np.array(stops, np.bool_), fresh))


@given(st.booleans(), st.data())
@settings(max_examples=300, deadline=None)
def test_equals_the_reference(again: bool, data: st.DataObject) -> None:
    """Any cuts, restarts at any of them, ticks at any of them: what is told is what brute force tells."""
    rows = data.draw(streams(again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    clocks, told = new(again), []
    for first, last in pairwise([0, *cuts, len(rows)]):
        if data.draw(st.booleans()):
            state = clocks.snapshot()
            clocks = new(again)
            clocks.restore(state)
        if first and data.draw(st.booleans()):
            told += clocks.tick(rows[first - 1][2])  # the log's time as of then
        found = take(clocks, rows[first:last], first)
        assert [one.row for one in found] == sorted(one.row for one in found)
        told += found
    end = (rows[-1][2] if rows else 0) + 10 * DAY
    told += clocks.tick(end)
    assert sorted((one.key, one.shown["event_id"], one.at) for one in told) == reference(rows, again, end)
    assert len(clocks) == 0
