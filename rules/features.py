"""Window features of one batch as columns: ask the stores, lay the answers beside the events.

Two frames come back: each event at its own time, and late events a second time, at the newest time of their keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rules import kernel
from rules.arrays import Bools, Floats, Ints
from rules.plan import Spec, feature_dtype
from rules.windows import Answers, Batch, WindowStore

_STAT = {
    "count": kernel.COUNT,
    "sum": kernel.SUM,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "distinct": kernel.DISTINCT,
    "last": kernel.LAST,
    "rate": kernel.RATE,
}


@dataclass(frozen=True, slots=True)
class Events:
    """A batch: its columns, and per row event time, running arrival clock, and whether it was observed in time."""

    frame: pl.DataFrame
    ts: Ints
    clock: Ints
    prompt: Bools


@dataclass(frozen=True, slots=True)
class Part:
    """What one store says about a batch: `rows` it was given, `asked` of them, and its answers."""

    rows: Ints
    asked: Bools
    answers: Answers


@dataclass(frozen=True, slots=True)
class View:
    """Events with their features. `rows`: index in the batch. Per store: which events it refused, and (in `turn` 1) which are
    late for it and judged again, at which time."""

    frame: pl.DataFrame
    rows: Ints
    turn: int
    refused: Mapping[str, Bools]
    late: Mapping[str, Bools]
    at: Mapping[str, Ints]


def ask(spec: Spec, store: WindowStore, events: Events, insert: Bools, asked: Bools) -> Part | None:
    """Feed a store the rows it takes or must answer; None when there are none."""
    rows = np.flatnonzero(insert | asked)
    if rows.size == 0:
        return None
    frame = events.frame if rows.size == events.ts.size else events.frame[rows]
    batch = Batch(
        frame.select(spec.key.alias("key"))["key"],
        events.ts[rows],
        events.clock[rows],
        events.prompt[rows],
        frame[spec.of] if spec.of else None,
        insert[rows],
        asked[rows],
    )
    return Part(rows, asked[rows], store.update(batch))


def own_view(
    events: Events, parts: Mapping[str, Part], specs: Sequence[Spec], stores: Mapping[str, WindowStore]
) -> View:
    """The asked events, each judged at its own time."""
    wanted = np.zeros(events.ts.size, np.bool_)
    for asked in parts.values():
        wanted[asked.rows[asked.asked]] = True
    rows = np.flatnonzero(wanted)
    place = np.cumsum(wanted) - 1
    columns, refused = [], {}
    for spec in specs:
        part = parts.get(spec.name)
        flags, table = np.zeros(rows.size, np.bool_), _nothing(rows.size, stores[spec.name])
        if part is not None:
            hit = np.flatnonzero(part.asked & part.answers.known & ~part.answers.refused)
            table[place[part.rows[hit]]] = part.answers.own[hit]
            flags[place[part.rows[part.asked]]] = part.answers.refused[part.asked]
        columns += _columns(spec, stores[spec.name], table)
        refused[spec.name] = flags
    frame = events.frame[rows].with_columns(columns)
    return View(frame, rows, 0, refused, {}, {})


def again_view(
    own: View, parts: Mapping[str, Part], specs: Sequence[Spec], stores: Mapping[str, WindowStore]
) -> View | None:
    """The late events, judged at the newest time of their keys; a store in which they are not late answers as before."""
    late = [p.rows[p.answers.again_row] for p in parts.values() if p.answers.again_row.size]
    if not late:
        return None
    rows = np.unique(np.concatenate(late))
    origin = np.searchsorted(own.rows, rows)
    frame = own.frame[origin]
    columns, flagged, at = [], {}, {}
    for spec in specs:
        part = parts.get(spec.name)
        flags, times = np.zeros(rows.size, np.bool_), np.full(rows.size, kernel.NEVER, np.int64)
        if part is not None and part.answers.again_row.size:
            place = np.searchsorted(rows, part.rows[part.answers.again_row])
            flags[place], times[place] = True, part.answers.again_at
            table = _nothing(rows.size, stores[spec.name])
            table[place] = part.answers.again
            fresh = _columns(spec, stores[spec.name], table)
            mask = pl.Series(flags)
            columns += [pl.Series(c.name, c.zip_with(mask, frame[c.name])) for c in fresh]
        flagged[spec.name], at[spec.name] = flags, times
    refused = {name: flags[origin] for name, flags in own.refused.items()}
    return View(frame.with_columns(columns), rows, 1, refused, flagged, at)


def _nothing(n: int, store: WindowStore) -> Floats:
    return np.full((n, len(store.withins), kernel.STATS), np.nan)


def _columns(spec: Spec, store: WindowStore, table: Floats) -> list[pl.Series]:
    """One series for each (window, aggregate) that some rule reads, under its physical name."""
    return [
        _column(f"@{spec.name}:{within}:{agg}", agg, spec, store, table[:, store.withins.index(within)])
        for within, agg in spec.aggs
    ]


def _column(name: str, agg: str, spec: Spec, store: WindowStore, stats: Floats) -> pl.Series:
    if agg == "last" and spec.text:
        return store.texts(stats[:, kernel.LAST]).alias(name)
    values = stats[:, kernel.SUM] / stats[:, kernel.COUNT] if agg == "avg" else stats[:, _STAT[agg]].copy()
    series = pl.Series(name, values).fill_nan(None)
    return series.cast(feature_dtype(agg, spec.of))
