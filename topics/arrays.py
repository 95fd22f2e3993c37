"""Named numpy arrays <-> bytes, for checkpoints and model snapshots: zstd over an Arrow stream. No pickle, ever.

Layout: magic `FSA1`, crc32 of what follows (4 bytes), length of the Arrow stream (8 bytes), zstd frame. The stream has
one row an array: name, dtype, shape, data (little-endian, C order). What does not match is refused as a whole.

>>> arrays = unpack(pack({"weights": np.array([0.5, 1.5]), "seen": np.array(3)}))
>>> arrays["weights"].tolist(), int(arrays["seen"])
([0.5, 1.5], 3)
>>> unpack(b"FSA1 anything else")
Traceback (most recent call last):
    ...
topics.arrays.BadArrays: bad-arrays: checksum does not match
"""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]

MAGIC: Final = b"FSA1"
HEADER: Final = struct.Struct("<IQ")
LIMIT: Final = 2**30  # bytes of the Arrow stream: a larger state is cut into several by its owner
MOST_ARRAYS: Final = 10_000
MOST_DIMENSIONS: Final = 4
DTYPES: Final = frozenset(
    np.dtype(name).str for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
)
_SCHEMA: Final = pa.schema(
    [("name", pa.string()), ("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", pa.large_binary())]
)


class BadArrays(ValueError):  # noqa: N818 - it names what is wrong with the input
    """Bytes or arrays that are refused: corrupt, too large, or of a type that has no place in a snapshot."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"bad-arrays: {detail}")


def pack(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as bytes. Booleans, integers and floats only; raises BadArrays on any other dtype. A state is large: beside the
    arrays themselves one copy of them is made, and what it shrinks to."""
    plain = {name: _plain(name, array) for name, array in arrays.items()}
    batch = pa.record_batch(
        [
            pa.array(list(plain), pa.string()),
            pa.array([a.dtype.str for a in plain.values()], pa.string()),
            pa.array([list(a.shape) for a in plain.values()], pa.list_(pa.int64())),
            _bodies(list(plain.values())),
        ],
        schema=_SCHEMA,
    )
    counted, sink = pa.MockOutputStream(), pa.BufferOutputStream()
    _write(batch, counted)
    with pa.CompressedOutputStream(sink, "zstd") as frame:
        _write(batch, frame)
    size, packed = struct.pack("<Q", counted.size()), sink.getvalue()
    return b"".join([MAGIC, struct.pack("<I", zlib.crc32(packed, zlib.crc32(size))), size, packed])


def _write(batch: Any, sink: Any) -> None:
    with pa.ipc.new_stream(sink, _SCHEMA) as writer:
        writer.write_batch(batch)


def _bodies(arrays: Sequence[Array]) -> Any:
    """The bytes of n arrays as one column."""
    ends = np.cumsum([0, *(array.nbytes for array in arrays)], dtype=np.int64)
    data = np.empty(int(ends[-1]), np.uint8)
    for array, first in zip(arrays, ends[:-1].tolist(), strict=True):
        data[first : first + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(arrays), buffers)


def unpack(data: bytes, limit: int = LIMIT) -> dict[str, Array]:
    """The arrays of `pack`, writable copies. `limit`: bytes once decompressed. Raises BadArrays only."""
    table = _table(data, limit)
    names, dtypes, shapes = (table.column(i).to_pylist() for i in range(3))
    if len(set(names)) != len(names):
        raise BadArrays("a name appears twice")
    bodies = [body.as_buffer() for body in table.column(3)]
    parts = zip(names, dtypes, shapes, bodies, strict=True)
    return {name: _array(name, dtype, shape, body) for name, dtype, shape, body in parts}


def pack_texts(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """n texts as two arrays that `pack` takes: UTF-8 bytes uint8[b] and the end of each text int64[n].

    >>> texts_of(*pack_texts(["食品", "", "fire"]))
    ['食品', '', 'fire']
    """
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), ends


def texts_of(data: Array, ends: Array) -> list[str]:
    """The texts of `pack_texts`. Raises BadArrays when the two arrays do not fit each other."""
    if data.dtype != np.uint8 or ends.dtype != np.int64 or data.ndim != 1 or ends.ndim != 1:
        raise BadArrays("texts need uint8 bytes and int64 ends")
    bounds = np.concatenate([[0], ends])
    if np.any(np.diff(bounds) < 0) or bounds[-1] != data.size:
        raise BadArrays("text ends do not fit their bytes")
    raw = data.tobytes()
    try:
        return [raw[a:b].decode() for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    except UnicodeDecodeError as error:
        raise BadArrays("a text is not UTF-8") from error


def _plain(name: str, array: Array) -> Array:
    plain = np.asarray(array)
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    if plain.dtype.str not in DTYPES:
        raise BadArrays(f"{name}: dtype {plain.dtype} has no place in a snapshot")
    if plain.ndim > MOST_DIMENSIONS:
        raise BadArrays(f"{name}: {plain.ndim} dimensions")
    return plain


def _table(data: bytes, limit: int) -> pa.Table:
    head = len(MAGIC) + HEADER.size
    if len(data) < head or data[: len(MAGIC)] != MAGIC:
        raise BadArrays("not a pack of arrays")
    crc, size = HEADER.unpack_from(data, len(MAGIC))
    if zlib.crc32(data[len(MAGIC) + 4 :]) != crc:
        raise BadArrays("checksum does not match")
    if size > limit:
        raise BadArrays(f"{size} bytes once decompressed, more than {limit}")
    try:
        stream = pa.Codec("zstd").decompress(data[head:], decompressed_size=size)
        with pa.ipc.open_stream(stream) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadArrays(f"does not decode: {error}"[:200]) from error
    if not table.schema.equals(_SCHEMA):
        raise BadArrays("another schema")
    if table.num_rows > MOST_ARRAYS or any(column.null_count for column in table.columns):
        raise BadArrays("too many arrays, or nulls")
    return table


def _array(name: str, dtype: str, shape: list[int], body: pa.Buffer) -> Array:
    if dtype not in DTYPES:
        raise BadArrays(f"{name}: dtype {dtype!r} has no place in a snapshot"[:200])
    if len(shape) > MOST_DIMENSIONS or any(side is None or side < 0 for side in shape):
        raise BadArrays(f"{name}: bad shape")
    kind = np.dtype(dtype)
    if math.prod(shape) * kind.itemsize != body.size:
        raise BadArrays(f"{name}: {body.size} bytes do not fill its shape")
    flat = np.frombuffer(body, np.uint8) if kind == np.bool_ else np.frombuffer(body, kind)
    return (flat != 0).reshape(shape) if kind == np.bool_ else flat.reshape(shape).copy()
