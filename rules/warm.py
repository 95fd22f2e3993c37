"""Compile (or load from numba's cache) every kernel of this room before events come. Five seconds cold, half a second warm.

>>> warm_up()
"""

import numpy as np
import polars as pl

from rules.windows import DAY, Batch, WindowStore


def warm_up() -> None:
    """Take a few rows through a store of numbers and one of texts, with a late row, an idle key, a snapshot and a restore."""
    for values in (pl.Series([1.0, 2.0, 3.0]), pl.Series(["a", "b", "a"])):
        ones, keys = np.ones(3, np.bool_), pl.Series(["k", "k", "l"])
        store = WindowStore([1_000, 2_000], 1_000, distinct=True, text=values.dtype == pl.String)
        times = np.array([500, 0, 900], np.int64)
        store.update(Batch(keys, times, np.arange(3, dtype=np.int64), ones, values, ones, ones))
        later = np.full(3, 10 * DAY, np.int64)
        store.update(Batch(keys, later, later, ones, values, ones, ones))
        store.restore(store.snapshot())
