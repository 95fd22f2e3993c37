"""SipHash-2-4 with 128 bits over n texts at once (Aumasson, Bernstein 2012): keyed, so that nobody can craft two ids that
collide and have an event dropped as a repeat. About 40 ns a text of 20 bytes."""

import numba
import numpy as np
import numpy.typing as npt

from topics.compiled import compiled

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


@numba.njit(inline="always")
def _rotl(x: np.uint64, b: int) -> np.uint64:
    return (x << np.uint64(b)) | (x >> np.uint64(64 - b))


@numba.njit(inline="always")
def _round(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b
    b = _rotl(b, 13) ^ a
    a = _rotl(a, 32)
    c = c + d
    d = _rotl(d, 16) ^ c
    a = a + d
    d = _rotl(d, 21) ^ a
    c = c + b
    b = _rotl(b, 17) ^ c
    return a, b, _rotl(c, 32), d


@compiled
def hash_texts(data: U8, offsets: I64, key: U64, out: U64) -> None:
    """out[i] = 128-bit hash of bytes offsets[i]..offsets[i+1]; key uint64[2], out uint64[n, 2]."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        a = np.uint64(0x736F6D6570736575) ^ key[0]
        b = np.uint64(0x646F72616E646F6D) ^ key[1] ^ np.uint64(0xEE)
        c = np.uint64(0x6C7967656E657261) ^ key[0]
        d = np.uint64(0x7465646279746573) ^ key[1]
        p = start
        while p + 8 <= end:
            m = np.uint64(0)
            for k in range(8):
                m |= np.uint64(data[p + k]) << np.uint64(8 * k)
            d ^= m
            a, b, c, d = _round(a, b, c, d)
            a, b, c, d = _round(a, b, c, d)
            a ^= m
            p += 8
        m = np.uint64((end - start) & 255) << np.uint64(56)
        for k in range(end - p):
            m |= np.uint64(data[p + k]) << np.uint64(8 * k)
        d ^= m
        a, b, c, d = _round(a, b, c, d)
        a, b, c, d = _round(a, b, c, d)
        a ^= m
        c ^= np.uint64(0xEE)
        for _ in range(4):
            a, b, c, d = _round(a, b, c, d)
        out[i, 0] = a ^ b ^ c ^ d
        b ^= np.uint64(0xDD)
        for _ in range(4):
            a, b, c, d = _round(a, b, c, d)
        out[i, 1] = a ^ b ^ c ^ d
