"""Byte values of many records as one buffer and where each lies in it: a column of bytes without an object for each.

>>> values = Spans.of([b"ab", None, b""])
>>> len(values), values[0], list(values), values.sizes.tolist()
(3, b'ab', [b'ab', None, b''], [2, 0, 0])
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from topics.buffers import Bools, Bytes, Ints

NULL: Final = -1
PAD: Final = 16  # zero bytes at the end of a buffer, so that kernels may read words


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """n values: value i is `data[starts[i]:ends[i]]`; a start of -1 is null."""

    data: Bytes
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, values: "Sequence[bytes | None] | Spans") -> "Spans":
        """The same values; a copy of their bytes, unless they are spans already."""
        if isinstance(values, Spans):
            return values
        sizes = np.fromiter((len(value) if value is not None else 0 for value in values), np.int64, len(values))
        null = np.fromiter((value is None for value in values), np.bool_, len(values))
        ends = np.cumsum(sizes)
        data = np.frombuffer(b"".join([*filter(None, values), bytes(PAD)]), np.uint8)
        return cls(data, np.where(null, NULL, ends - sizes), np.where(null, NULL, ends))

    def __len__(self) -> int:
        return int(self.starts.size)

    def __getitem__(self, row: int) -> bytes | None:
        start = self.starts[row]
        return None if start < 0 else self.data[start : self.ends[row]].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        whole = self.data.tobytes()
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield None if start < 0 else whole[start:end]

    @property
    def sizes(self) -> Ints:
        """Bytes of each value, 0 where it is null."""
        return self.ends - self.starts

    @property
    def null(self) -> Bools:
        """Where there is no value."""
        return self.starts < 0

    def begin(self, head: bytes) -> Bools:
        """Which values begin with these bytes.

        >>> Spans.of([b"ab", None, b"a", b"abc"]).begin(b"ab").tolist()
        [True, False, False, True]
        """
        found = (self.starts >= 0) & (self.sizes >= len(head))
        starts = self.starts if found.all() else self.starts[found]
        if starts.size:
            found[found] = np.logical_and.reduce([self.data[starts + i] == byte for i, byte in enumerate(head)])
        return found

    def padded(self) -> Bytes:
        """The buffer, with room to read words beyond the last value."""
        last = int(self.ends.max()) if self.ends.size else 0
        if last + PAD <= self.data.size:
            return self.data
        return np.concatenate([self.data[: max(last, 0)], np.zeros(PAD, np.uint8)])

    def cut(self, first: int, last: int) -> Self:
        """Rows first..last-1; the bytes are shared."""
        return type(self)(self.data, self.starts[first:last], self.ends[first:last])

    def take(self, rows: Ints) -> Self:
        """Some rows; the bytes are shared."""
        return type(self)(self.data, self.starts[rows], self.ends[rows])

    def without(self, rows: Bools) -> Self:
        """The same with null at these rows."""
        return type(self)(self.data, np.where(rows, NULL, self.starts), np.where(rows, NULL, self.ends))


def joined(parts: Sequence[Spans]) -> Spans:
    """The values of several, in order. What lies in one buffer is not copied."""
    starts, ends = [part.starts for part in parts], [part.ends for part in parts]
    first = parts[0].data
    if any(part.data is not first for part in parts):
        used = [_used(part) for part in parts]
        shifts = np.cumsum([0, *(part.data.size for part in used)])
        first = np.concatenate([*(part.data for part in used), np.zeros(PAD, np.uint8)])
        starts = [np.where(part.null, NULL, part.starts + by) for part, by in zip(used, shifts, strict=False)]
        ends = [np.where(part.null, NULL, part.ends + by) for part, by in zip(used, shifts, strict=False)]
    return Spans(first, np.concatenate(starts), np.concatenate(ends))


def _used(part: Spans) -> Spans:
    """The same values in no more of the buffer than they need."""
    there = ~part.null
    if not there.any():
        return Spans(part.data[:0], part.starts, part.ends)
    low, high = int(part.starts[there].min()), int(part.ends[there].max())
    return Spans(part.data[low:high], np.where(there, part.starts - low, NULL), np.where(there, part.ends - low, NULL))
