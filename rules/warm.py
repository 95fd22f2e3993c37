"""Compile (or load from numba's cache) every kernel of this room before events come. Five seconds cold, half a second warm.

>>> warm_up()
"""

from typing import Final

import numpy as np
import polars as pl

from rules.absence import KEY, RANK, Absences, Moves
from rules.arrays import Ints
from rules.keytable import TextColumn
from rules.windows import DAY, Batch, WindowStore

_MANY: Final = 100  # keys: more than any table begins with


def warm_up() -> None:
    """A few rows through a store of numbers, one of texts and one of sequences, and through clocks of absence: a late row, an
    idle key, many keys, a snapshot and a restore. Times come as arrays that may be written to, and that may not."""
    for values in (pl.Series([1.0, 2.0, 3.0]), pl.Series(["a", "b", "a"])):
        ones, keys = np.ones(3, np.bool_), pl.Series(["k", "k", "l"])
        store = WindowStore([1_000, 2_000], 1_000, distinct=True, text=values.dtype == pl.String)
        times = np.array([500, 0, 900], np.int64)
        for ts in (times, _frozen(times)):
            store.update(Batch(keys, ts, np.arange(3, dtype=np.int64), ones, values, ones, ones))
        later = np.full(3, 10 * DAY, np.int64)
        store.update(Batch(keys, later, later, ones, values, ones, ones))
        store.restore(store.snapshot())
    many, all_ = pl.Series([str(i) for i in range(_MANY)]), np.ones(_MANY, np.bool_)
    times = np.arange(_MANY, dtype=np.int64)
    sequence = WindowStore([1_000], 0, steps=2)
    sequence.update(Batch(many, times, times, all_, pl.Series([1.0] * _MANY), all_, all_))
    for ts in (times, _frozen(times)):
        clocks = Absences({KEY: pl.String, RANK: pl.Int64})
        clocks.configure(1, 0, 0, again=False)
        fresh = pl.DataFrame({KEY: many, RANK: [1] * _MANY})
        clocks.take(Moves(times, TextColumn.of(many), ts, ts, ts, all_, all_, fresh))
        clocks.tick(DAY)


def _frozen(array: Ints) -> Ints:
    array = array.copy()
    array.setflags(write=False)
    return array
