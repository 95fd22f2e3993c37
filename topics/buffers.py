"""Columns as arrays, straight from their Arrow buffers: what a small batch needs many times must not cost a query each time.

A polars expression costs some 30 us to plan and run whatever its length; these cost one to three.

>>> truths(pl.Series([True, None, False])).tolist(), filled(pl.Series([None, 1])).tolist()
([True, False, False], [False, True])
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

SMALL: Final = 2_000  # rows up to which handing expressions to other threads costs more than it saves


def text_bytes(series: pl.Series) -> tuple[Bytes, Ints]:
    """UTF-8 bytes of n texts (read-only) and their n + 1 offsets (writable); null is the empty text.

    >>> data, offsets = text_bytes(pl.Series(["烽", None, "a"]))
    >>> offsets.tolist(), bytes(data[3:4])
    ([0, 3, 3, 4], b'a')
    """
    text = series.fill_null("") if series.null_count() else series
    array = text.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, data = array.buffers()
    offsets = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(series) + 1].copy()
    return np.frombuffer(data if data is not None and data.size else b"\0", np.uint8), offsets


def filled(series: pl.Series) -> Bools:
    """Where n values are not null."""
    if not series.null_count():
        return np.ones(len(series), np.bool_)
    array = series.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return _bits(array.buffers()[0], array.offset, len(series))


def truths(series: pl.Series) -> Bools:
    """n Booleans, null is false; an array of one's own."""
    if not series.null_count():
        return series.to_numpy(writable=True)
    array = series.cast(pl.Boolean).rechunk().to_arrow()  # a bare NULL has a type of its own
    valid, values = array.buffers()
    return _bits(valid, array.offset, len(series)) & _bits(values, array.offset, len(series))


def different(series: pl.Series) -> set[Any]:
    """The values of a series, each once, null among them."""
    return set((series if len(series) <= SMALL else series.unique()).to_list())


def counted(series: pl.Series) -> Iterable[tuple[Any, int]]:
    """The values of a series with how often each is there, in any order."""
    if len(series) <= SMALL:
        return Counter(series.to_list()).items()
    return series.value_counts().iter_rows()


def once(series: pl.Series) -> pl.Series:
    """The same as a series, in any order."""
    small = len(series) <= SMALL
    return pl.Series(series.name, list(set(series.to_list())), series.dtype) if small else series.unique()


def constant(series: pl.Series, n: int) -> pl.Series:
    """The one value of a series n times."""
    return series.new_from_index(0, n)


@cache
def missing(name: str, dtype: type[pl.DataType]) -> pl.Series:
    """A series of one null, to be repeated by `constant`."""
    return pl.Series(name, [None], dtype)


def select(frame: pl.DataFrame, columns: list[pl.Expr]) -> pl.DataFrame:
    """`frame.select`, in this thread where the frame is small."""
    return frame.select_seq(columns) if frame.height <= SMALL else frame.select(columns)


def _bits(buffer: Any, offset: int, n: int) -> Bools:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=offset + n, bitorder="little")
    return bits[offset:].view(np.bool_)
