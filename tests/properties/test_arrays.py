"""Arrays survive the way to bytes and back exactly, and hostile bytes are refused by name."""

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from topics import arrays as packs
from topics.arrays import BadArrays, pack, pack_texts, texts_of, unpack

_DTYPES = st.sampled_from(sorted(packs.DTYPES)).map(np.dtype)
_ARRAYS = st.dictionaries(
    st.text(max_size=8),
    _DTYPES.flatmap(lambda d: npst.arrays(d, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(_ARRAYS)
def test_round_trip(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Unpacking gives the same names, dtypes, shapes and bits (NaN payloads too), in writable arrays."""
    back = unpack(pack(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
        assert back[name].flags.writeable


@settings(max_examples=60, deadline=None)
@given(_ARRAYS, st.data())
def test_damage_is_refused(arrays: dict[str, npt.NDArray[Any]], data: st.DataObject) -> None:
    """A flipped byte or a cut anywhere is BadArrays, never another error and never other arrays."""
    whole = bytearray(pack(arrays))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = bytes(whole[:at])
    whole[at] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(whole), cut):
        with pytest.raises(BadArrays, match="bad-arrays"):
            unpack(damaged)


def _forged(stream: bytes, size: int | None = None) -> bytes:
    frame = pa.Codec("zstd").compress(stream, asbytes=True)
    body = struct.pack("<Q", len(stream) if size is None else size) + frame
    return bytes(packs.MAGIC + struct.pack("<I", zlib.crc32(body)) + body)


def _stream(name: str, dtype: str, shape: list[int], data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, packs._SCHEMA) as writer:
        columns = [pa.array([name]), pa.array([dtype]), pa.array([shape]), pa.array([data], pa.large_binary())]
        writer.write_batch(pa.record_batch(columns, schema=packs._SCHEMA))
    return bytes(sink.getvalue())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_stream_with_a_right_checksum_is_refused(stream: bytes) -> None:
    """A checksum is no signature: whatever sits behind a right one is still parsed with care."""
    with pytest.raises(BadArrays):
        unpack(_forged(stream))


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("|O", [1], b"\0" * 8),
        ("<f8", [2], b"\0" * 8),
        ("<f8", [-1], b""),
        ("<f8", [1, 1, 1, 1, 1], b"\0" * 8),
        ("<f8", [2**62, 2**62], b"\0" * 8),
        ("<U4", [1], b"\xff" * 16),
        ("nonsense", [1], b"\0"),
    ],
)
def test_hostile_rows_are_refused(dtype: str, shape: list[int], data: bytes) -> None:
    """Object arrays, shapes that lie and unknown types do not come in."""
    with pytest.raises(BadArrays):
        unpack(_forged(_stream("w", dtype, shape, data)))


def test_bombs_are_refused() -> None:
    """A stream larger than the limit is refused by its header; one that lies about its size does not decode."""
    big = pack({"zeros": np.zeros(1_000_000)})
    assert len(big) < 10_000
    with pytest.raises(BadArrays, match="more than"):
        unpack(big, limit=1_000_000)
    with pytest.raises(BadArrays):
        unpack(_forged(_stream("w", "<f8", [1000], b"\0" * 8000), size=100))


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([1 + 2j]), np.zeros((1,) * 5)])
def test_types_without_a_place_are_not_packed(array: npt.NDArray[Any]) -> None:
    """What `unpack` would refuse is refused when packed."""
    with pytest.raises(BadArrays):
        pack({"w": array})


@given(st.lists(st.text(max_size=10)))
def test_texts_round_trip(texts: list[str]) -> None:
    """Texts come back as they were."""
    encodable = [text.encode(errors="replace").decode() for text in texts]
    assert texts_of(*pack_texts(encodable)) == encodable


@pytest.mark.parametrize(("data", "ends"), [(b"ab", [1]), (b"ab", [2, 1, 2]), (b"\xff", [1]), (b"ab", [-1, 2])])
def test_texts_that_do_not_fit_are_refused(data: bytes, ends: list[int]) -> None:
    """Ends that fall, overrun or cut a character are refused."""
    with pytest.raises(BadArrays):
        texts_of(np.frombuffer(data, np.uint8), np.array(ends, np.int64))
