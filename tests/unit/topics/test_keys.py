"""Partitions as the Java client chooses them."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.keys import partition_of, partitions_of

# From Kafka's own UtilsTest.testMurmur2: key -> signed 32-bit hash.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "value"), JAVA.items())
def test_known_values(key: bytes, value: int) -> None:
    """The hash is the Java client's, its sign bit dropped as there."""
    assert partition_of(key, 2**31) == value & 0x7FFFFFFF
    assert partition_of(key, 7) == (value & 0x7FFFFFFF) % 7


@given(st.lists(st.text(max_size=40), max_size=20), st.integers(1, 64))
def test_a_column_equals_single_keys(keys: list[str], count: int) -> None:
    """Whatever the lengths and characters."""
    assert partitions_of(keys, count).tolist() == [partition_of(key.encode(), count) for key in keys]
    assert partitions_of(pl.Series(keys, dtype=pl.String), count).tolist() == partitions_of(keys, count).tolist()
