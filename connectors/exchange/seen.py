"""Which ids a batch has had, in 8 bytes each: a row that repeats the keys of another is told, however far they stand apart.

>>> seen = Seen()
>>> seen.take(pl.Series(["a", "b", "a"])).to_list(), seen.take(pl.Series(["b", "c"])).to_list()
([True, True, False], [False, True])
"""

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]


class Seen:
    """Hashes of 64 bits, in sorted runs that are merged as they grow. Among 10 million ids, two different ones are taken for one
    with a chance of 3 in a million; the row is then refused by name, not lost."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def take(self, ids: pl.Series) -> pl.Series:
        """bool[n]: new; those are remembered."""
        hashes = ids.hash(0).to_numpy()
        new = ids.is_first_distinct().to_numpy().copy()
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, hashes), run.size - 1)
            new &= run[at] != hashes
        self._add(np.sort(hashes[new]))
        return pl.Series(new)

    def _add(self, run: Hashes) -> None:
        while self._runs and self._runs[-1].size <= run.size:
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")
        if run.size:
            self._runs.append(run)
