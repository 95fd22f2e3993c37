"""Test-then-learn on any table: every row is scored from what was known at its time, before its own label.

A row's label becomes known `delay_days` after the row's time. Rows of one time are scored together, then none of them has
taught the other. Features: the table's own columns; the entity's history (visits are known at once, labels only after the
delay); shares of bad labels by value of each categorical column; the time of year.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import polars.selectors as cs

from models.contract import Floats, Model, make
from models.keys import Codes, KeyTable
from models.rates import Rates

HALF_LIFE: Final = 730.0  # days, of shares of bad labels
PRIOR: Final = 4.0  # outcomes that the overall share counts for
HEAD: Final = 500  # first rows, from which the nature of a column is read
FEW, SOME = (
    3,
    40,
)  # distinct values in the head: from FEW on a whole number may be a code; up to SOME a text gets its own columns
YEAR: Final = 365.25
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Table:
    """n rows in order of time: day f8[n], entity codes, label f8[n] (NaN unknown for good), feature columns."""

    day: Floats
    entity: Codes
    label: Floats
    features: pl.DataFrame


def table(frame: pl.DataFrame, at_ms: pl.Series, entity: pl.Series, label: pl.Series, drop: set[str]) -> Table:
    """Columns of a frame as a Table (same row order). `drop`: columns that are no features."""
    features = frame.drop([name for name in frame.columns if name in drop])
    dates = [name for name, dtype in features.schema.items() if dtype in (pl.Date, pl.Datetime)]
    since = [((pl.col(name).cast(pl.Datetime("ms")).dt.epoch("ms") - at_ms) / DAY_MS).alias(name) for name in dates]
    codes = KeyTable().codes([entity.cast(pl.String)])
    return Table(
        at_ms.cast(pl.Float64).to_numpy() / DAY_MS,
        codes,
        label.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy(),
        features.with_columns(since),
    )


def prequential(data: Table, delay_days: float, model: Model | None = None) -> Floats:
    """Scores f8[n] in [0, 1], in the table's row order (which need not be that of time)."""
    model = model or make("visit")
    history = History(data)
    scores = np.zeros(len(data.day))
    waiting: deque[tuple[float, Codes, pl.DataFrame]] = deque()
    for rows in _together(data.day):
        now = float(data.day[rows[0]])
        while waiting and waiting[0][0] <= now:
            _, old, x = waiting.popleft()
            model.learn_many(x, data.label[old])
            history.known(old)
        x = history.features(rows, now)
        scores[rows] = model.score_many(x)
        history.visited(rows, now)
        waiting.append((now + delay_days, rows, x))
    return scores


def _together(day: Floats) -> Iterator[Codes]:
    """Rows of one time at a time, oldest first, in file order within."""
    order = np.argsort(day, kind="stable")
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(day[order])) + 1)


class History:
    """What is known about entities and values of columns as time goes on."""

    def __init__(self, data: Table) -> None:
        self._data = data
        head = data.features[np.argsort(data.day, kind="stable")[:HEAD]] if len(data.day) else data.features
        coded = [name for name in data.features.columns if _is_code(head[name])]
        self._codes = {name: KeyTable().codes([data.features[name].cast(pl.String)]) for name in coded}
        self._shares = {name: Rates(HALF_LIFE) for name in coded}
        self._own = data.features.select(~cs.string())  # a text speaks through the share of its value
        self._overall, self._entities = Rates(HALF_LIFE), Rates(HALF_LIFE)
        n = int(data.entity.max(initial=-1)) + 1
        self._visits, self._outcomes = np.zeros(n), np.zeros(n)
        self._last_visit, self._last_bad, self._last = (np.full(n, np.nan) for _ in range(3))

    def known(self, rows: Codes) -> None:
        """The labels of these rows have become known."""
        rows = rows[np.isfinite(self._data.label[rows])]
        label, day, entity = self._data.label[rows], self._data.day[rows], self._data.entity[rows]
        self._overall.add(np.zeros(len(rows), np.int64), label, day)
        self._entities.add(entity, label, day)
        for name, shares in self._shares.items():
            shares.add(self._codes[name][rows], label, day)
        np.add.at(self._outcomes, entity, 1)
        self._last[entity] = label
        bad = label > 0
        self._last_bad[entity[bad]] = day[bad]

    def visited(self, rows: Codes, day: float) -> None:
        """These rows happened; their labels may come later."""
        entity = self._data.entity[rows]
        np.add.at(self._visits, entity, 1)
        self._last_visit[entity] = day

    def features(self, rows: Codes, day: float) -> pl.DataFrame:
        """Feature columns of rows that happen now."""
        entity = self._data.entity[rows]
        overall = float(self._overall.share(np.zeros(1, np.int64), day, 0.2, PRIOR)[0])
        season = 2 * np.pi * (day % YEAR) / YEAR
        columns = {
            "_share": _logit(self._entities.share(entity, day, overall, 1.0)) - _logit(np.array([overall])),
            "_outcomes": np.log1p(self._outcomes[entity]),
            "_visits": np.log1p(self._visits[entity]),
            "_first": (self._visits[entity] == 0).astype(np.float64),
            "_last": self._last[entity],
            "_since_visit": np.log1p(day - self._last_visit[entity]),
            "_since_bad": np.log1p(day - self._last_bad[entity]),
            "_overall": np.full(len(rows), float(_logit(np.array([overall]))[0])),
            "_summer": np.full(len(rows), -np.cos(season)),
            "_spring": np.full(len(rows), np.sin(season)),
        }
        for name, shares in self._shares.items():
            own = shares.share(self._codes[name][rows], day, overall, PRIOR)
            columns[f"_share_{name}"] = _logit(own) - _logit(np.array([overall]))
        fixed = [self._own[name].gather(rows) for name in self._own.columns]
        return pl.DataFrame([*fixed, *(pl.Series(name, values) for name, values in columns.items())])


def _is_code(head: pl.Series) -> bool:
    """Texts, and whole numbers of several values (a district, a class): columns whose values have a share of their own."""
    if head.dtype == pl.String:
        return True
    if not head.dtype.is_numeric():
        return False
    values = head.cast(pl.Float64).drop_nulls().drop_nans()
    return values.n_unique() >= FEW and bool((values == values.round()).all())


def _logit(share: Floats) -> Floats:
    clipped = np.clip(share, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float64)


def auc(label: Floats, score: Floats) -> float:
    """Share of (bad, good) pairs that the scores put in order, ties half; NaN labels left out, NaN without both classes.

    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]))
    0.75
    """
    known = np.isfinite(label)
    bad, rank = label[known] > 0, pl.Series(score[known]).rank("average").to_numpy()
    n, m = int(bad.sum()), int((~bad).sum())
    return float((rank[bad].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
