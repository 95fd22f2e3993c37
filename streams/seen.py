"""Which event ids were seen within a day of log time: exact up to 128-bit keyed hashes, in columns.

Cost: about 0.1 us an event; 24 bytes a slot, at most two thirds of them taken: 36 to 108 bytes an id of the last 24 h.
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
from topics.prefetch import soon

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
DAY_MS: Final = 86_400_000
_SMALLEST: Final = 1 << 12
_AHEAD: Final = 24  # rows between asking for memory and reading it


@compiled
def _add(hashes: U64, times: I64, table: U64, stamps: I64, oldest: int, repeated: npt.NDArray[np.bool_]) -> int:
    """Mark repeats and remember the rest; returns how many slots were taken. stamps 0: free slot."""
    mask = np.uint64(table.shape[0] - 1)
    taken = 0
    for i in range(times.size):
        if i + _AHEAD < times.size:  # millions of ids are in no cache
            far = np.int64(hashes[i + _AHEAD, 0] & mask)
            soon(table, 2 * far)
            soon(stamps, far)
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


@compiled
def _move(hashes: U64, times: I64, oldest: int, table: U64, stamps: I64) -> int:
    """Put different ids that were seen at `oldest` or later into an empty table; returns how many. Slots of a smaller table come
    in their order, and go to two places that move on likewise: a table that doubles waits for no memory."""
    mask = np.uint64(table.shape[0] - 1)
    moved = 0
    for i in range(times.size):
        if times[i] >= oldest:
            j = np.int64(hashes[i, 0] & mask)
            while stamps[j] != 0:
                j = np.int64((np.uint64(j) + np.uint64(1)) & mask)
            table[j, 0] = hashes[i, 0]
            table[j, 1] = hashes[i, 1]
            stamps[j] = times[i]
            moved += 1
    return moved


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
        if 3 * (self._used + n) > 2 * len(self._stamps):
            oldest = max(1, self._oldest)
            live = int(np.count_nonzero(self._stamps >= oldest))
            self._fill(self._table, self._stamps, live + n, oldest)

    def _fill(self, hashes: U64, times: I64, room: int, oldest: int = 1) -> None:
        """Begin anew with what was seen at `oldest` or later, and room for so many ids."""
        size = _SMALLEST
        while 4 * size < 9 * room:  # well below two thirds, so that it lasts a while
            size *= 2
        self._clear(size)
        self._used = _move(hashes, times, oldest, self._table, self._stamps)
