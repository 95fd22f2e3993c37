"""Columns of a frame -> named float columns: numbers and booleans as they are, texts as hashed 0/1 columns.

>>> named = encode(pl.DataFrame({"n": [1, None], "kind": ["café", "bar"]}), buckets=4)
>>> list(named), named["n"].tolist()
(['kind#0', 'kind#1', 'kind#2', 'kind#3', 'n'], [1.0, nan])
"""

from typing import Final

import numpy as np
import polars as pl

from models.contract import Floats
from models.keys import digests_of

BUCKETS: Final = 64
HASHED: Final = "#"
MOST: Final = 1e15  # larger numbers count as this: squares of them must stay finite


def encode(x: pl.DataFrame, buckets: int = BUCKETS) -> dict[str, Floats]:
    """Float columns of n rows in order of name; missing is NaN. A text column gives all its buckets, a null text none set.
    Columns of other types (dates, lists) are left out."""
    out: dict[str, Floats] = {}
    for name in sorted(x.columns):
        column = x[name]
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            out[name] = finite(column.cast(pl.Float64).to_numpy())
        elif column.dtype in (pl.String, pl.Categorical):
            out.update(_hashed(name, column.cast(pl.String), buckets))
    return out


def finite(values: Floats) -> Floats:
    """Numbers as models take them: NaN for what is not finite, none beyond +-MOST."""
    return np.clip(np.where(np.isfinite(values), values, np.nan), -MOST, MOST)


def _hashed(name: str, column: pl.Series, buckets: int) -> dict[str, Floats]:
    at = (digests_of([column])[:, 0] % np.uint64(buckets)).astype(np.int64)
    at[column.is_null().to_numpy()] = -1
    return {f"{name}{HASHED}{k}": (at == k).astype(np.float64) for k in range(buckets)}
