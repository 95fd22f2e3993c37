"""Which event ids were seen within a day of log time: exact up to 128-bit keyed hashes, in columns.

Cost: about 0.1 us an event; 24 bytes an id at a load of at most a half, so about 60 bytes an id of the last 24 h.
"""

import secrets
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.siphash import hash_texts
from streams.stage import Arrays
from topics.buffers import text_bytes
from topics.compiled import compiled

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
DAY_MS: Final = 86_400_000
_SMALLEST: Final = 1 << 12


@compiled
def _add(hashes: U64, times: I64, table: U64, stamps: I64, oldest: int, repeated: npt.NDArray[np.bool_]) -> int:
    """Mark repeats and remember the rest; returns how many slots were taken. stamps 0: free slot."""
    mask = np.uint64(table.shape[0] - 1)
    taken = 0
    for i in range(times.size):
        j = np.int64(hashes[i, 0] & mask)
        while stamps[j] != 0 and not (table[j, 0] == hashes[i, 0] and table[j, 1] == hashes[i, 1]):
            j = np.int64((np.uint64(j) + np.uint64(1)) & mask)
        if stamps[j] == 0:
            table[j, 0] = hashes[i, 0]
            table[j, 1] = hashes[i, 1]
            stamps[j] = times[i]
            taken += 1
        elif stamps[j] < oldest:
            stamps[j] = times[i]  # the id was free again: a day has passed
        else:
            repeated[i] = True
    return taken


class Seen:
    """Ids of one task. `now` is log time, never the machine's clock, so that a replay decides alike."""

    def __init__(self, keep_ms: int = DAY_MS) -> None:
        self._keep = keep_ms
        self._key: U64 = np.frombuffer(secrets.token_bytes(16), np.uint64).copy()
        self._clear(_SMALLEST)
        self._now = 0

    def __len__(self) -> int:
        return self._used

    def repeats(self, ids: pl.Series, times: I64) -> npt.NDArray[np.bool_]:
        """For n ids with their log times (ms): whether each was seen within the last day, earlier rows included -> bool[n]."""
        n = len(ids)
        repeated = np.zeros(n, np.bool_)
        if n == 0:
            return repeated
        data, offsets = text_bytes(ids)
        hashes = np.empty((n, 2), np.uint64)
        hash_texts(data, offsets, self._key, hashes)
        self._now = max(self._now, int(times.max()))
        self._room_for(n)
        self._used += _add(hashes, np.maximum(times, 1), self._table, self._stamps, self._oldest, repeated)
        return repeated

    def snapshot(self) -> Arrays:
        """Key, hashes and log times of the ids still remembered."""
        live = self._stamps >= max(1, self._oldest)
        return {
            "key": self._key,
            "hashes": self._table[live],
            "times": self._stamps[live],
            "now": np.array(self._now, np.int64),
        }

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""
        self._key = arrays["key"]
        self._now = int(arrays["now"][()])
        self._fill(arrays["hashes"], arrays["times"], len(arrays["times"]))

    @property
    def _oldest(self) -> int:
        return self._now - self._keep

    def _clear(self, size: int) -> None:
        self._table: U64 = np.zeros((size, 2), np.uint64)
        self._stamps: I64 = np.zeros(size, np.int64)
        self._used = 0

    def _room_for(self, n: int) -> None:
        if 2 * (self._used + n) > len(self._stamps):
            live = self._stamps >= max(1, self._oldest)
            self._fill(self._table[live], self._stamps[live], n)

    def _fill(self, hashes: U64, times: I64, more: int) -> None:
        size = _SMALLEST
        while size < 3 * (len(times) + more):
            size *= 2
        self._clear(size)
        ignored = np.zeros(len(times), np.bool_)
        self._used = _add(hashes, times, self._table, self._stamps, 0, ignored)
