"""Key texts -> small codes, remembered: a hash table of 128-bit digests in numba, whose state is three arrays.

The texts themselves are not kept; two keys share a code with a chance of about 2**-128 times the square of their number.
Cost: 0.1-0.2 us a row for three columns, whether 1 k or 1 M keys are known.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.contract import Array, Arrays, BadSnapshot, taken
from topics.compiled import compiled_locked

Codes = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint64]

MOST_KEYS: Final = 4_000_000
_FIRST_SLOTS: Final = 1024
_P1, _P2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_S1, _S2, _S3 = np.uint64(29), np.uint64(32), np.uint64(31)


@compiled_locked
def _digest(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], out: Digests) -> None:
    """Mix each row's bytes into its digest; the text's length closes it, so that ("ab", "c") is not ("a", "bc")."""
    for i in range(out.shape[0]):
        a, b = out[i, 0], out[i, 1]
        for p in range(ends[i], ends[i + 1]):
            byte = np.uint64(data[p]) + np.uint64(1)
            a = (a ^ byte) * _P1
            a ^= a >> _S2
            b = (b + byte) * _P2
            b ^= b >> _S1
        length = np.uint64(ends[i + 1] - ends[i])
        a = (a ^ length) * _P2
        b = (b + length) * _P1
        out[i, 0], out[i, 1] = a ^ (a >> _S1), b ^ (b >> _S3)


@compiled_locked
def _place(slots: npt.NDArray[np.int64], digests: Digests, a: np.uint64, b: np.uint64) -> np.int64:
    """The slot that holds the digest, or the free one where it belongs."""
    mask = slots.size - 1
    at = np.int64(a & np.uint64(mask))
    while slots[at] >= 0 and (digests[slots[at], 0] != a or digests[slots[at], 1] != b):
        at = (at + 1) & mask
    return at


@compiled_locked
def _codes(slots: npt.NDArray[np.int64], digests: Digests, count: int, most: int, new: Digests, out: Codes) -> int:
    for i in range(out.size):
        at = _place(slots, digests, new[i, 0], new[i, 1])
        if slots[at] < 0 and count < most:
            digests[count, 0], digests[count, 1] = new[i, 0], new[i, 1]
            slots[at] = count
            count += 1
        out[i] = slots[at]
    return count


@compiled_locked
def _fill(slots: npt.NDArray[np.int64], digests: Digests, count: int) -> None:
    for code in range(count):
        slots[_place(slots, digests, digests[code, 0], digests[code, 1])] = code


def digests_of(columns: Sequence[pl.Series]) -> Digests:
    """128-bit digests of n rows of text columns -> uint64[n, 2]; null counts as the empty text."""
    out = np.zeros((len(columns[0]), 2), np.uint64)
    out[:, 0], out[:, 1] = _P1, _P2
    for column in columns:
        text = column if column.dtype == pl.String else column.cast(pl.String)
        text = text.fill_null("") if text.null_count() else text
        array = text.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        _, ends, data = array.buffers()
        offsets = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
        _digest(np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), offsets, out)
    return out


class KeyTable:
    """Codes 0, 1, 2 … in order of first sight; -1 for a new key once `most` are known.

    >>> table = KeyTable()
    >>> table.codes([pl.Series(["a", "b", "a"])]).tolist(), len(table)
    ([0, 1, 0], 2)
    """

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._count = 0
        self._digests: Digests = np.zeros((_FIRST_SLOTS // 2, 2), np.uint64)
        self._slots: Codes = np.full(_FIRST_SLOTS, -1, np.int64)

    def __len__(self) -> int:
        return self._count

    def codes(self, columns: Sequence[pl.Series]) -> Codes:
        """n rows -> int64[n] codes, new keys in row order."""
        return self.codes_of(digests_of(columns))

    def codes_of(self, digests: Digests) -> Codes:
        """The same for digests of `digests_of`."""
        self._grow(min(self._count + len(digests), self._most))
        out = np.empty(len(digests), np.int64)
        self._count = _codes(self._slots, self._digests, self._count, self._most, digests, out)
        return out

    def digests(self) -> Digests:
        """A copy of the digests by code: uint64[count, 2]."""
        return self._digests[: self._count].copy()

    def snapshot(self) -> Arrays:
        """The state: digests in order of their codes."""
        return {"digests": self.digests()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot."""
        digests = taken(arrays, "digests", np.uint64, (-1, 2))
        if len(digests) > self._most:
            raise BadSnapshot(f"{len(digests)} keys, more than {self._most}")
        if len(np.unique(digests, axis=0)) != len(digests):
            raise BadSnapshot("a key appears twice")
        self._count, self._digests, self._slots = 0, digests, np.full(_FIRST_SLOTS, -1, np.int64)
        self._grow(len(digests))
        self._count = len(digests)
        _fill(self._slots, self._digests, self._count)

    def _grow(self, need: int) -> None:
        if need > len(self._digests):
            more = np.zeros((max(need, 2 * len(self._digests)), 2), np.uint64)
            more[: self._count] = self._digests[: self._count]
            self._digests = more
        if 2 * need > self._slots.size:
            self._slots = np.full(1 << (4 * need - 1).bit_length(), -1, np.int64)
            _fill(self._slots, self._digests, self._count)
