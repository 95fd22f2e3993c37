"""Avro bodies -> columns in one pass, in numba: what a record is made of goes straight to where polars reads it.

Texts become views (length, first bytes, place in the chunk's own buffer), so that they are not copied. A row that is not plainly
right (a broken varint, a length beyond the end, bytes that are not UTF-8) is left to the reference codec, which names the reason.
Cost: about 0.25 us a record of 17 fields.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from topics.buffers import Bools, Bytes, Ints, constant, missing
from topics.compiled import compiled
from topics.fields import Field
from topics.spans import Spans

_TEXT, _LONG, _DOUBLE, _BOOLEAN = range(4)
_CODES: Final = {"string": _TEXT, "long": _LONG, "double": _DOUBLE, "boolean": _BOOLEAN}
_INLINE: Final = 12  # bytes of a text that its view holds itself
_ARROW: Final = {"long": pa.int64(), "double": pa.float64()}

_FIRST: Final = np.array([0, *((1 << 8 * n) - 1 for n in range(1, 9))], np.uint64)  # masks of the first 0 to 8 bytes


class Columns(NamedTuple):
    """Rows that decode: a series for each field, and their places among the spans."""

    series: list[pl.Series]
    rows: Ints


class _Plan(NamedTuple):
    """What the kernel is told of the fields: code, whether null is allowed, which row of its array takes it."""

    codes: npt.NDArray[np.int8]
    nullable: Bools
    slots: Ints
    texts: int
    numbers: int


@cache
def _plan(fields: tuple[Field, ...]) -> _Plan:
    codes = np.array([_CODES[field.type] for field in fields], np.int8)
    text = codes == _TEXT
    slots = np.where(text, np.cumsum(text) - 1, np.cumsum(~text) - 1)
    return _Plan(codes, np.array([not f.required for f in fields]), slots, int(text.sum()), int((~text).sum()))


@compiled
def _utf8(data: Bytes, p: int, end: int) -> bool:
    """Whether data[p:end] is UTF-8 as Python's strict decoder takes it."""
    while p < end:
        c = data[p]
        if c < 0x80:
            p += 1
            continue
        if c < 0xC2 or c > 0xF4:
            return False
        more = 1 if c < 0xE0 else (2 if c < 0xF0 else 3)
        if p + more >= end:
            return False
        second = data[p + 1]
        if second & 0xC0 != 0x80:
            return False
        if (c == 0xE0 and second < 0xA0) or (c == 0xED and second > 0x9F):
            return False
        if (c == 0xF0 and second < 0x90) or (c == 0xF4 and second > 0x8F):
            return False
        for i in range(2, more + 1):
            if data[p + i] & 0xC0 != 0x80:
                return False
        p += more + 1
    return True


@compiled
def _long(data: Bytes, p: int, end: int) -> tuple[Any, Any]:
    """A zigzag varint and where it ends; -1 for what had better be looked at by the reference codec."""
    value, shift, at, stop = np.uint64(0), np.uint64(0), np.uint64(p), np.uint64(end)
    while at < stop and shift <= np.uint64(56):
        byte = np.uint64(data[at])
        at += np.uint64(1)
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), np.int64(at)
        shift += np.uint64(7)
    return np.int64(0), np.int64(-1)


@intrinsic
def _load(_: Any, data: Any, at: Any) -> Any:
    """The eight bytes of an array of bytes from `at` on, wherever that is, as one number: a tenth of the cost of a loop."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.gep(array.data, [args[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.uint64), generate


_eight: Any = _load


@compiled
def _text(data: Bytes, p: int, end: int, view: int, views: Ints) -> int:
    """A text into its view (the number of it); where it ends, or -1. Reads up to 16 bytes beyond the text: `data` has them."""
    size, p = _long(data, p, end)
    if p < 0 or size < 0 or size > end - p:
        return -1
    at, left, high = np.uint64(p), size, np.uint64(0)
    while left >= 8:
        high |= _eight(data, at)
        at += np.uint64(8)
        left -= 8
    if left > 0:
        high |= _eight(data, at) & _FIRST[left]
    if high & np.uint64(0x8080808080808080) != 0 and not _utf8(data, p, p + size):
        return -1
    first = _eight(data, np.uint64(p)) & _FIRST[min(size, 8)]
    cell = np.uint64(view) * np.uint64(2)
    views[cell] = np.int64(np.uint64(size) | first << np.uint64(32))
    if size > _INLINE:
        views[cell + np.uint64(1)] = np.int64(p) << 32
    else:
        more = _eight(data, np.uint64(p + 8)) & _FIRST[max(0, size - 8)]
        views[cell + np.uint64(1)] = np.int64(first >> np.uint64(32) | more << np.uint64(32))
    return int(p + size)


@compiled
def _decode(
    data: Bytes, starts: Ints, ends: Ints, codes: npt.NDArray[np.int8], nullable: Bools, slots: Ints,
    views: Ints, numbers: Ints, valid: Bools, rows: Ints,
) -> int:  # fmt: skip
    """Decode what is plainly right; returns how many rows that were. `rows` says which. The arrays of answers are flat."""
    k, n = 0, starts.size
    for row in range(n):
        p, end = starts[row], ends[row]
        if p < 0:
            continue
        for f in range(codes.size):
            code, cell = codes[f], slots[f] * n + k
            filled = True
            if nullable[f]:
                if p >= end or (data[p] != 0 and data[p] != 2):
                    p = -1
                    break
                filled = data[p] == 2
                p += 1
            valid[f * n + k] = filled
            if not filled:
                if code == _TEXT:
                    views[cell * 2] = views[cell * 2 + 1] = 0
                else:
                    numbers[cell] = 0
            elif code == _TEXT:
                p = _text(data, p, end, cell, views)
            elif code == _LONG:
                numbers[cell], p = _long(data, p, end)
            elif code == _DOUBLE:
                if p + 8 > end:
                    p = -1
                    break
                numbers[cell] = np.int64(_eight(data, np.uint64(p)))
                p += 8
            elif p < end and data[p] <= 1:
                numbers[cell] = data[p]
                p += 1
            else:
                p = -1
            if p < 0:
                break
        if p >= 0:
            rows[k] = row
            k += 1
    return k


def decode(fields: Sequence[Field], bodies: Spans) -> Columns:
    """Columns of n Avro bodies of these fields (texts, longs, doubles, Booleans). What it leaves out is not plainly right."""
    n, plan = len(bodies), _plan(tuple(fields))
    views = np.empty((plan.texts, n, 2), np.int64)
    numbers = np.empty((plan.numbers, n), np.int64)
    valid, rows = np.empty((len(fields), n), np.bool_), np.empty(n, np.int64)
    data = bodies.padded()
    k = _decode(
        data, bodies.starts, bodies.ends, plan.codes, plan.nullable, plan.slots,
        views.ravel(), numbers.ravel(), valid.ravel(), rows,
    )  # fmt: skip
    made = [
        _series(field, data, views, numbers, int(slot), valid[f, :k])
        for f, (field, slot) in enumerate(zip(fields, plan.slots, strict=True))
    ]
    return Columns(made, rows[:k])


def _series(field: Field, data: Bytes, views: Ints, numbers: Ints, slot: int, valid: Bools) -> pl.Series:
    n = valid.size
    full = field.required or bool(valid.all())
    if not full and not valid.any():
        return constant(missing(field.name, field.dtype), n)
    if field.type == "boolean":
        series = pl.Series(field.name, numbers[slot, :n] != 0)
        return series if full else series.zip_with(pl.Series(valid), missing(field.name, field.dtype))
    bits = None if full else pa.py_buffer(np.packbits(valid, bitorder="little"))
    if field.type == "string":
        buffers = [bits, pa.py_buffer(views[slot, :n]), pa.py_buffer(data)]
        return _imported(field, pa.Array.from_buffers(pa.string_view(), n, buffers))
    return _imported(field, pa.Array.from_buffers(_ARROW[field.type], n, [bits, pa.py_buffer(numbers[slot, :n])]))


def _imported(field: Field, array: Any) -> pl.Series:
    series = pl.Series(field.name, array)
    assert series.dtype == field.dtype  # noqa: S101 - a polars that reads views otherwise must not go unnoticed
    return series
