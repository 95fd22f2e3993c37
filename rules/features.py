"""Window features of one batch as columns: ask the stores, lay the answers beside the events.

Two views come back: each event at its own time, and late events a second time, at the newest time of their keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from rules import kernel
from rules.arrays import Bools, Floats, Ints
from rules.keytable import TextColumn
from rules.plan import Read, Spec, feature_dtype
from rules.runs import NEVER
from rules.steps import First, Parts
from rules.windows import Answers, Batch, Numbers, WindowStore

_STAT = {
    "count": kernel.COUNT,
    "sum": kernel.SUM,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "distinct": kernel.DISTINCT,
    "last": kernel.LAST,
    "rate": kernel.RATE,
    "sequence": kernel.COUNT,
    "completed": kernel.COMPLETED,
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
    """Events with their features. `rows`: index in the batch. Per store that has any: which events it refused, and (in `turn` 1)
    which are late for it and judged again, at which time."""

    frame: pl.DataFrame
    rows: Ints
    turn: int
    refused: Mapping[str, Bools] = field(default_factory=dict)
    late: Mapping[str, Bools] = field(default_factory=dict)
    at: Mapping[str, Ints] = field(default_factory=dict)
    answers: Mapping[Read, Floats] = field(default_factory=dict)


class Columns:
    """Key and value columns of a batch in the form that stores take; each is made once, however many stores read it."""

    def __init__(self, events: Events, first: First, sequences: Mapping[str, tuple[Parts, ...]]) -> None:
        self._frame, self._first, self._sequences = events.frame, first, sequences
        self._texts: dict[str, TextColumn] = {}
        self._numbers: dict[str, Numbers] = {}

    def key(self, spec: Spec) -> TextColumn:
        """The store's keys; compound ones come from the first pass."""
        return self._text(spec.key_name, self._first.frame if spec.by else self._frame)

    def values(self, spec: Spec) -> TextColumn | Numbers | None:
        """The store's values, None for a bare count; of a sequence each row's set of steps (bit k for step k)."""
        if spec.steps:
            sets = np.zeros(self._frame.height)
            for step, parts in enumerate(self._sequences.get(spec.name, ())):
                sets += self._first.all(parts) * float(1 << step)
            return Numbers(sets, np.ones(sets.size, np.bool_))
        if spec.of is None:
            return None
        if spec.text:
            return self._text(spec.of, self._frame)
        if spec.of not in self._numbers:
            self._numbers[spec.of] = Numbers.of(self._frame[spec.of])
        return self._numbers[spec.of]

    def _text(self, name: str, frame: pl.DataFrame) -> TextColumn:
        if name not in self._texts:
            self._texts[name] = TextColumn.of(frame[name])
        return self._texts[name]


def ask(spec: Spec, store: WindowStore, events: Events, columns: Columns, insert: Bools, asked: Bools) -> Part | None:
    """Feed a store the rows it takes or must answer; None when there are none."""
    rows = np.flatnonzero(insert | asked)
    if rows.size == 0:
        return None
    keys, values = columns.key(spec), columns.values(spec)
    if rows.size == events.ts.size:
        batch = Batch(keys, events.ts, events.clock, events.prompt, values, insert, asked)
        return Part(rows, asked, store.update(batch))
    batch = Batch(
        keys.take(rows),
        events.ts[rows],
        events.clock[rows],
        events.prompt[rows],
        None if values is None else values.take(rows),
        insert[rows],
        asked[rows],
    )
    return Part(rows, batch.ask, store.update(batch))


def own_view(
    events: Events,
    parts: Mapping[str, Part],
    reads: Sequence[Read],
    specs: Mapping[str, Spec],
    stores: Mapping[str, WindowStore],
) -> View:
    """The asked events, each judged at its own time, with the answers that are read."""
    wanted = np.zeros(events.ts.size, np.bool_)
    for part in parts.values():
        wanted[part.rows[part.asked]] = True
    rows = np.flatnonzero(wanted)
    place = np.cumsum(wanted) - 1
    refused: dict[str, Bools] = {}
    told: dict[str, tuple[Ints, Ints]] = {}  # store -> rows of its part that it answered, and their places in the view
    for name in {read.store for read in reads} & parts.keys():
        part = parts[name]
        hit = np.flatnonzero(part.asked & part.answers.known & ~part.answers.refused)
        told[name] = hit, place[part.rows[hit]]
        if part.answers.refused.any():
            refused[name] = np.zeros(rows.size, np.bool_)
            refused[name][place[part.rows[part.asked]]] = part.answers.refused[part.asked]
    answers: dict[Read, Floats] = {}
    for read in reads:
        answers[read] = np.full(rows.size, np.nan)
        if read.store in told:
            hit, to = told[read.store]
            answers[read][to] = _stat(read, stores[read.store], parts[read.store].answers.own, hit)
    frame = events.frame if rows.size == events.ts.size else events.frame[rows]
    return View(frame.hstack(_columns(answers, specs, stores)), rows, 0, refused, answers=answers)


def again_view(
    events: Events,
    own: View,
    parts: Mapping[str, Part],
    specs: Mapping[str, Spec],
    stores: Mapping[str, WindowStore],
) -> View | None:
    """The late events, judged at the newest time of their keys; a store in which they are not late answers as before."""
    late = [p.rows[p.answers.again_row] for p in parts.values() if p.answers.again_row.size]
    if not late:
        return None
    rows = np.unique(np.concatenate(late))
    origin = np.searchsorted(own.rows, rows)
    answers = {read: values[origin] for read, values in own.answers.items()}
    flagged: dict[str, Bools] = {}
    at: dict[str, Ints] = {}
    for name in {read.store for read in answers} & parts.keys():
        part = parts[name]
        if part.answers.again_row.size:
            flagged[name], at[name] = np.zeros(rows.size, np.bool_), np.full(rows.size, NEVER, np.int64)
            place = np.searchsorted(rows, part.rows[part.answers.again_row])
            flagged[name][place], at[name][place] = True, part.answers.again_at
            for read, values in answers.items():
                if read.store == name:
                    values[place] = _stat(read, stores[name], part.answers.again, slice(None))
    refused = {name: flags[origin] for name, flags in own.refused.items()}
    frame = events.frame[rows].hstack(_columns(answers, specs, stores))
    return View(frame, rows, 1, refused, flagged, at, answers)


def _stat(read: Read, store: WindowStore, table: Floats, rows: Ints | slice) -> Floats:
    """One statistic of some rows of answers[n, windows, stats]; NaN is NULL, a text is a code."""
    window = store.withins.index(read.within)
    if read.agg == "avg":
        return np.asarray(table[rows, window, kernel.SUM] / table[rows, window, kernel.COUNT], np.float64)
    return table[rows, window, _STAT[read.agg]]


def _columns(
    answers: Mapping[Read, Floats], specs: Mapping[str, Spec], stores: Mapping[str, WindowStore]
) -> list[pl.Series]:
    """Answers as series under their physical names."""
    found = []
    for read, values in answers.items():
        spec = specs[read.store]
        if read.agg == "last" and spec.text:
            found.append(stores[read.store].texts(values).alias(read.column))
            continue
        series = pl.Series(read.column, values, nan_to_null=True)
        dtype = feature_dtype(read.agg, spec.of)
        found.append(series if dtype is pl.Float64 else series.cast(dtype))
    return found
