"""Laws of the window store: equal to a plain reference on any stream, however batches are split, across any restart."""

import math
import time
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import kernel
from rules.windows import Batch, WindowStore
from tests.properties.window_reference import DAY, Reference, completed

MINUTE = 60_000
WITHINS = [5 * MINUTE, 60 * MINUTE]
LATENESS = 20 * MINUTE
STATS = {
    "count": kernel.COUNT,
    "sum": kernel.SUM,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "distinct": kernel.DISTINCT,
    "last": kernel.LAST,
    "rate": kernel.RATE,
}
STEPS = 3
TAKEN = ("key", "ts", "clock", "prompt", "value", "ask")
Row = dict[str, Any]


@st.composite
def streams(draw: st.DrawFn, text: bool = False, sets: bool = False) -> list[Row]:
    """Rows of a few keys with steps forward, jumps, repeats of a time, late and much too late ones, and idle days."""
    numbers = st.sampled_from([0.0, -0.0, 1.0, 2.5, -7.25, 1e17, -1e17, 1e-9])
    words = st.sampled_from(["", "a", "鼠", "no_mask", "b" * 40])
    values = st.integers(0, 2**STEPS - 1).map(float) if sets else words if text else numbers
    step = st.one_of(
        st.integers(0, 3 * MINUTE),
        st.integers(-30 * MINUTE, 0),
        st.integers(-3 * 60 * MINUTE, 3 * 60 * MINUTE),
        st.sampled_from([0, -5 * MINUTE, -60 * MINUTE, -80 * MINUTE, 5 * MINUTE]),  # exactly the edges
    )
    rows: list[Row] = []
    now, clock = 1_700_000_000_000, 1_700_000_000_000
    for _ in range(draw(st.integers(0, 60))):
        clock += draw(st.sampled_from([0, 1000, MINUTE, 60 * MINUTE, DAY, 3 * DAY])) if draw(st.booleans()) else 0
        shift = draw(step)
        now = max(now, now + shift)
        rows.append(
            {
                "key": draw(st.sampled_from(["a", "b", "", None, "烽燧" * 5])),
                "ts": now + min(shift, 0),
                "clock": clock,
                "prompt": draw(st.integers(0, 5)) > 0,
                "value": draw(st.one_of(st.none(), values)),
                "insert": draw(st.integers(0, 4)) > 0,
                "ask": draw(st.integers(0, 4)) > 0,
            }
        )
    return rows


def batch(rows: list[Row], text: bool) -> Batch:
    """The rows as the store takes them."""

    def bools(name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([row[name] for row in rows], np.bool_)

    return Batch(
        pl.Series([row["key"] for row in rows], dtype=pl.String),
        np.array([row["ts"] for row in rows], np.int64),
        np.array([row["clock"] for row in rows], np.int64),
        bools("prompt"),
        pl.Series([row["value"] for row in rows], dtype=pl.String if text else pl.Float64),
        bools("insert"),
        bools("ask"),
    )


def answers(store: WindowStore, rows: list[Row], text: bool = False) -> list[Any]:
    """What the store says, row by row, in the reference's words."""
    given_ = store.update(batch(rows, text))
    again = {int(row): i for i, row in enumerate(given_.again_row)}
    said: list[Any] = []
    for i, row in enumerate(rows):
        if not row["ask"] or row["key"] is None:
            said.append("nothing")
        elif given_.refused[i]:
            said.append(None)
        else:
            second = words(store, given_.again[again[i]], text) if i in again else None
            said.append((words(store, given_.own[i], text), second))
    return said


def words(store: WindowStore, table: np.ndarray[Any, np.dtype[np.float64]], text: bool) -> dict[int, Any]:
    """One answer as a dict a window."""
    found = {}
    for w, within in enumerate(store.withins):
        stats = {name: None if math.isnan(table[w, s]) else float(table[w, s]) for name, s in STATS.items()}
        if text:
            last = store.texts(table[w : w + 1, kernel.LAST]).item()
            stats = {name: stats[name] for name in ("count", "distinct")} | {"last": last}
        found[within] = stats
    return found


def expected(reference: Reference, rows: list[Row], text: bool = False) -> list[Any]:
    """What the reference says."""
    said: list[Any] = []
    for row in rows:
        if row["key"] is None:
            said.append("nothing")
            continue
        insert = row["insert"] and row["value"] is not None
        found = reference.take(**{name: row[name] for name in TAKEN}, insert=insert)
        if not row["ask"]:
            said.append("nothing")
        elif found is None:
            said.append(None)
        else:
            said.append(tuple(trimmed(answer, text) if answer else answer for answer in found))
    return said


def trimmed(answer: dict[int, Any], text: bool) -> dict[int, Any]:
    """Only what the store can say of texts."""
    if not text:
        return {w: {name: stats[name] for name in STATS} for w, stats in answer.items()}
    return {w: {name: stats[name] for name in ("count", "distinct", "last")} for w, stats in answer.items()}


def alike(one: Any, other: Any) -> bool:
    """Equal, sums and rates up to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-6)
    return bool(one == other)


def new_store(text: bool = False) -> WindowStore:
    return WindowStore(WITHINS, LATENESS, distinct=True, text=text)


@pytest.mark.parametrize("text", [False, True])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_equals_the_reference(text: bool, data: st.DataObject) -> None:
    """On any stream the store answers as brute force does: own time, second judgement, refusals, NULLs, idle keys."""
    rows = data.draw(streams(text))
    said = answers(new_store(text), rows, text)
    wanted = expected(Reference(WITHINS, LATENESS), rows, text)
    for i, (got, want) in enumerate(zip(said, wanted, strict=True)):
        assert alike(got, want), (i, got, want)


@pytest.mark.parametrize("text", [False, True])
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_splits_and_restarts_change_nothing(text: bool, data: st.DataObject) -> None:
    """Cutting the stream into batches anywhere, with a snapshot and restore at any cut, leaves every answer as it was."""
    rows = data.draw(streams(text))
    whole = answers(new_store(text), rows, text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    store, parts = new_store(text), []
    for first, last in pairwise([0, *cuts, len(rows)]):
        if data.draw(st.booleans()):
            state = store.snapshot()
            assert all(array.dtype != object for array in state.values())
            store = new_store(text)
            store.restore(state)
        parts += answers(store, rows[first:last], text)
    assert parts == whole


def sequences(store: WindowStore, rows: list[Row]) -> list[Any]:
    """What a store of sequences says, row by row: of each window, whether one is complete."""
    found = store.update(batch(rows, False))
    again = {int(row): i for i, row in enumerate(found.again_row)}
    said: list[Any] = []
    for i, row in enumerate(rows):
        if not row["ask"] or row["key"] is None:
            said.append("nothing")
        elif found.refused[i]:
            said.append(None)
        else:
            second = found.again[again[i], :, kernel.COUNT].tolist() if i in again else None
            said.append((found.own[i, :, kernel.COUNT].tolist(), second))
    return said


def expected_sequences(reference: Reference, rows: list[Row]) -> list[Any]:
    """The same by trying rows one after the other."""
    said: list[Any] = []
    for row in rows:
        found = None
        if row["key"] is not None:
            insert = row["insert"] and row["value"] is not None
            found = reference.take(**{name: row[name] for name in TAKEN}, insert=insert)
        if not row["ask"] or row["key"] is None:
            said.append("nothing")
        else:
            told = found and tuple(a and [float(completed(a[w]["rows"], STEPS)) for w in WITHINS] for a in found)
            said.append(told)
    return said


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_sequences_equal_the_reference(data: st.DataObject) -> None:
    """In any batches, with restarts between, a sequence is complete just where brute force finds it so."""
    rows = data.draw(streams(sets=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    store, said = WindowStore(WITHINS, LATENESS, steps=STEPS), []
    for first, last in pairwise([0, *cuts, len(rows)]):
        if data.draw(st.booleans()):
            state = store.snapshot()
            store = WindowStore(WITHINS, LATENESS, steps=STEPS)
            store.restore(state)
        said += sequences(store, rows[first:last])
    assert said == expected_sequences(Reference(WITHINS, LATENESS), rows)


def test_a_sequence_of_a_hot_key_equals_the_reference() -> None:
    """Thousands of rows in the window, steps rare: runs that lack one are passed over, and nothing is overlooked."""
    rng = np.random.default_rng(11)
    sets = rng.choice([0.0, 1.0, 2.0, 4.0], 12_000, p=[0.9, 0.0994, 0.0003, 0.0003])
    late = rng.integers(0, 3, sets.size) * rng.integers(0, 5_000, sets.size)
    times = np.arange(sets.size) * 500 + 1_700_000_000_000
    rows: list[Row] = [
        {"key": "k", "ts": int(t - b), "clock": int(t), "prompt": True, "value": v, "insert": True, "ask": i % 97 == 0}
        for i, (t, b, v) in enumerate(zip(times, late, sets.tolist(), strict=True))
    ]
    said = sequences(WindowStore(WITHINS, LATENESS, steps=STEPS), rows)
    wanted = expected_sequences(Reference(WITHINS, LATENESS), rows)
    assert said == wanted
    told = [one[0][1] for one in said if one != "nothing"]
    assert 0 < sum(told) < len(told)


def test_a_hot_key_equals_the_reference() -> None:
    """One key with 3,000 rows, a fifth of them late, among 300 quiet keys: growth, shifts and expiry keep every answer."""
    rng = np.random.default_rng(5)
    rows: list[Row] = []
    for i in range(4_000):
        hot = rng.random() < 0.75
        ts = 1_700_000_000_000 + i * 4_000 - (int(rng.integers(0, 15 * MINUTE)) if rng.random() < 0.2 else 0)
        key = "hot" if hot else f"k{rng.integers(300)}"
        value = float(rng.integers(50))
        rows.append(
            {"key": key, "ts": ts, "clock": ts, "prompt": True, "value": value, "insert": True, "ask": i % 7 == 0}
        )
    clock = np.maximum.accumulate([row["clock"] for row in rows]).tolist()
    rows = [row | {"clock": now} for row, now in zip(rows, clock, strict=True)]
    said = answers(new_store(), rows)
    wanted = expected(Reference(WITHINS, LATENESS), rows)
    assert all(alike(got, want) for got, want in zip(said, wanted, strict=True))


def test_idle_keys_are_freed() -> None:
    """Keys that get nothing any more leave memory; a key that lives on keeps its rows."""
    store = new_store()
    for day in range(6):
        keys = [f"{day}-{i}" for i in range(5_000)] + ["steady"]
        now = 1_700_000_000_000 + day * DAY
        rows = [
            {"key": k, "ts": now, "clock": now, "prompt": True, "value": 1.0, "insert": True, "ask": False}
            for k in keys
        ]
        for first in range(0, len(rows), 500):
            answers(store, rows[first : first + 500])
    assert store.keys <= 3 * 5_001
    assert store.rows == store.keys


def test_texts_nobody_holds_are_freed() -> None:
    """A store of texts forgets the texts of expired rows."""
    store = WindowStore([MINUTE], 0, text=True)
    for i in range(40):
        now = 1_700_000_000_000 + i * 10 * MINUTE
        rows: list[Row] = [
            {"key": "k", "ts": now, "clock": now, "prompt": True, "value": f"{i}-{n}", "insert": True, "ask": False}
            for n in range(1_000)
        ]
        answers(store, rows, text=True)
    assert store.texts_held < 12_000


def _dense(seed: int, rows: int) -> tuple[Any, Any]:
    """Times and values of one key: ten readings a second, one in twenty up to a minute late, values of very different size."""
    rng = np.random.default_rng(seed)
    late = np.where(rng.random(rows) < 0.05, rng.integers(0, MINUTE, rows), 0)
    values = rng.normal(0.0, 1.0, rows) * 10.0 ** rng.integers(-9, 17, rows)
    return 1_700_000_000_000 + np.arange(rows) * 100 - late, values


def _told(store: WindowStore, ts: Any, values: Any, others: int) -> Any:
    """Answers about the dense key's rows; `others` other keys get one row each before them, to move things in memory."""
    n, clock = ts.size + others, np.full(ts.size + others, int(ts.max()))
    keys = pl.Series([f"o{i}" for i in range(others)] + ["dense"] * ts.size)
    yes = np.ones(n, np.bool_)
    at = np.concatenate([np.full(others, ts[0]), ts])
    found = store.update(Batch(keys, at, clock, yes, pl.Series(np.concatenate([np.zeros(others), values])), yes, yes))
    return found.own[others:]


def test_a_dense_key_is_told_alike_after_any_restart() -> None:
    """To the last bit, though its ring lies elsewhere and the aggregates of its runs are made again; and it is right."""
    ts, values = _dense(3, 24_000)
    rng = np.random.default_rng(4)
    steady, restarted = (WindowStore(WITHINS, LATENESS) for _ in range(2))
    own = []
    for first in range(0, ts.size, 1_000):
        rows = slice(first, first + 1_000)
        own.append(_told(steady, ts[rows], values[rows], 3))
        if rng.random() < 0.5:
            state = restarted.snapshot()
            restarted = WindowStore(WITHINS, LATENESS)
            restarted.restore(state)
        again = _told(restarted, ts[rows], values[rows], int(rng.integers(0, 90)))
        assert np.array_equal(own[-1], again, equal_nan=True)
    told = np.concatenate(own)
    for i in range(0, ts.size, 331):
        for w, within in enumerate(WITHINS):
            held = (ts[: i + 1] > ts[i] - within) & (ts[: i + 1] <= ts[i])
            mine = values[: i + 1][held]
            assert told[i, w, kernel.COUNT] == mine.size
            assert told[i, w, kernel.MIN] == mine.min()
            assert told[i, w, kernel.MAX] == mine.max()
            assert math.isclose(told[i, w, kernel.SUM], math.fsum(mine), rel_tol=1e-12, abs_tol=1e-6)


def test_a_dense_key_costs_little_more_than_a_sparse_one() -> None:
    """A hundred times the rows in the window: not a hundred times the time. Both in one run, the best of three."""

    def seconds(rows: int) -> float:
        ts, values = _dense(5, rows + 6_000)
        store = WindowStore([10 * 60 * MINUTE], 0)
        _told(store, ts[:rows], values[:rows], 0)
        best = math.inf
        for first in range(rows, rows + 6_000, 2_000):
            began = time.perf_counter()
            _told(store, ts[first : first + 2_000], values[first : first + 2_000], 0)
            best = min(best, time.perf_counter() - began)
        return best

    seconds(100)
    assert seconds(200_000) < 8 * seconds(2_000)


def _unlike(store: WindowStore, ts: Any, values: Any, ask: Any) -> Any:
    """How many different values each window holds as of each row of one key."""
    yes, clock = np.ones(ts.size, np.bool_), np.full(ts.size, int(ts.max()))
    keys = pl.Series(["dense"] * ts.size)
    return store.update(Batch(keys, ts, clock, yes, pl.Series(values), yes, ask)).own[:, :, kernel.DISTINCT]


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_different_values_of_a_dense_key_are_counted(data: st.DataObject) -> None:
    """Thousands of rows, late ones, gaps that empty a window, long stretches nobody asks about, restarts, windows changed: the
    count is that of the rows in the window."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    few, many = sorted(data.draw(st.lists(st.sampled_from([3, 200, 10_000]), min_size=2, max_size=2)))
    asked = data.draw(st.sampled_from([0.02, 0.5, 1.0]))
    n = 6_000
    step = np.where(rng.random(n) < 0.0005, 50 * MINUTE, rng.integers(0, 2_000, n))
    late = np.where(rng.random(n) < 0.05, rng.integers(0, LATENESS, n), 0)
    ts = 1_700_000_000_000 + np.cumsum(step) - late
    values = rng.integers(0, np.where(np.arange(n) % 2_000 < 1_000, few, many)).astype(float)
    store, wide = new_store(), data.draw(st.booleans())
    ask = rng.random(n) < asked
    for first in range(0, n, 500):
        rows = slice(first, first + 500)
        told = _unlike(store, ts[rows], values[rows], ask[rows])
        newest = int(ts[: first + 500].max())
        for i in np.flatnonzero(ask[rows])[::17]:
            known = slice(0, first + i + 1)
            at, before = ts[first + i], ts[known].max()
            for w, within in enumerate(store.withins):
                held = (ts[known] > max(at - within, before - WITHINS[-1] - LATENESS)) & (ts[known] <= at)
                assert told[i, w] == np.unique(values[known][held]).size, (first, i, w)
        assert store.rows <= (ts[: first + 500] > newest - WITHINS[-1] - LATENESS).sum()
        if rng.random() < 0.2:
            state, store = store.snapshot(), new_store()
            store.restore(state)
        if wide and first == 3_000:
            store.configure([MINUTE, *WITHINS], LATENESS, distinct=True)


def test_different_values_of_a_dense_key_cost_little_more_than_of_a_sparse_one() -> None:
    """A hundred times the rows in the window: not a hundred times the time. Both in one run, the best of three."""

    def seconds(rows: int) -> float:
        rng = np.random.default_rng(6)
        ts = 1_700_000_000_000 + np.arange(rows + 6_000) * (60 * MINUTE // rows)
        values = rng.integers(0, rows, ts.size).astype(float)
        store, yes = new_store(), np.ones(ts.size, np.bool_)
        _unlike(store, ts[:rows], values[:rows], yes[:rows])
        best = math.inf
        for first in range(rows, rows + 6_000, 2_000):
            began = time.perf_counter()
            _unlike(store, ts[first : first + 2_000], values[first : first + 2_000], yes[:2_000])
            best = min(best, time.perf_counter() - began)
        return best

    seconds(100)
    assert seconds(200_000) < 8 * seconds(2_000)


def test_tallies_of_keys_that_are_gone_are_used_again() -> None:
    """Keys that were dense and fell idle leave their tables to others."""
    store, sizes = new_store(), []
    for day in range(0, 12, 2):
        ts = 1_700_000_000_000 + day * DAY + np.arange(3_000)
        keys = pl.Series([f"{day}-{i % 5}" for i in range(ts.size)])
        yes = np.ones(ts.size, np.bool_)
        for _ in range(3):  # sweeps
            store.update(Batch(keys, ts, ts, yes, pl.Series(np.arange(3_000.0)), yes, yes))
        sizes.append(store._tallies.marks.size)
    assert sizes[-1] == sizes[2]


def test_memory_is_bounded_by_what_windows_hold() -> None:
    """Ten times the readings through the same windows: the arena does not grow any more once windows are full."""
    store = WindowStore([MINUTE], 0)
    sizes = []
    for minute in range(30):
        ts, values = _dense(minute, 6_000)
        ts = ts - ts[0] + 1_700_000_000_000 + minute * 10 * MINUTE
        _told(store, np.sort(ts), values, 200)
        sizes.append(store._times.size)
    assert sizes[-1] == sizes[5]
