"""Array types, and texts <-> arrays for checkpoints: UTF-8 bytes and n + 1 offsets, never objects.

>>> texts(*packed(["烽", "", "燧"]))
['烽', '', '燧']
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
A = TypeVar("A", bound=npt.NDArray[Any])
LINE: Final = 64  # bytes of a line of the cache
Arrays = dict[str, npt.NDArray[Any]]


def lined(array: A, room: int) -> A:
    """The array with `room` rows more, whose contents are not said. It begins where a line of the cache does: a row of 64 bytes
    is then one line and not two."""
    width = array.itemsize * int(np.prod(array.shape[1:]))
    raw = np.empty((array.shape[0] + room) * width + LINE, np.uint8)
    skip = -raw.ctypes.data % LINE
    wider = raw[skip : skip + (array.shape[0] + room) * width].view(array.dtype).reshape(-1, *array.shape[1:])
    wider[: array.shape[0]] = array
    return cast("A", wider)


def packed(items: Iterable[str]) -> tuple[Bytes, Ints]:
    """Bytes and offsets of texts."""
    encoded = [item.encode() for item in items]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), offsets


def texts(data: Bytes, offsets: Ints) -> list[str]:
    """The texts of bytes and offsets."""
    raw = data.tobytes()
    return [raw[a:b].decode() for a, b in pairwise(offsets.tolist())]
