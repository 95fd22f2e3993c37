"""Repeated event ids."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.seen import DAY_MS, Seen
from streams.siphash import hash_texts

# From the reference implementation's vectors_sip128 (key 00 01 … 0f, input 00 01 … of growing length).
VECTORS = ["a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45", "8177228da4a45dc7fca38bdef60affe4"]


@pytest.mark.parametrize(("length", "expected"), list(enumerate(VECTORS)))
def test_siphash_equals_the_published_vectors(length: int, expected: str) -> None:
    """SipHash-2-4-128 of the reference inputs."""
    key = np.frombuffer(bytes(range(16)), np.uint64).copy()
    out = np.empty((1, 2), np.uint64)
    hash_texts(np.arange(length, dtype=np.uint8), np.array([0, length], np.int64), key, out)
    assert out.tobytes().hex() == expected


class Reference:
    """A dictionary that does the same, one id at a time."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.now = 0

    def repeats(self, ids: list[str], times: list[int]) -> list[bool]:
        self.now = max([self.now, *times])
        out = []
        for name, at in zip(ids, times, strict=True):
            known = self.first.get(name)
            repeated = known is not None and known >= self.now - DAY_MS
            if not repeated:
                self.first[name] = at
            out.append(repeated)
        return out


BATCH = st.lists(st.tuples(st.integers(0, 40), st.integers(0, DAY_MS)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(BATCH, max_size=6), st.integers(0, 6))
def test_repeats_equal_a_dictionary_under_any_cut_and_after_a_restore(
    batches: list[list[tuple[int, int]]], restart: int
) -> None:
    """Ids seen within a day are repeats, across batches and across a snapshot at any point."""
    seen, reference, clock = Seen(), Reference(), 1
    for i, batch in enumerate(batches):
        if i == restart:
            fresh = Seen()
            fresh.restore(seen.snapshot())
            seen = fresh
        times = np.sort(np.array([clock + step for _, step in batch], np.int64))
        ids = [f"id-{number}" for number, _ in batch]
        clock = int(times.max()) if len(times) else clock
        got = seen.repeats(pl.Series(ids, dtype=pl.String), times).tolist()
        assert got == reference.repeats(ids, times.tolist())


def test_memory_is_bounded_by_the_ids_of_a_day() -> None:
    """Ids older than a day make room: ten days of ids take no more slots than two."""
    seen = Seen()
    for day in range(10):
        ids = pl.Series([f"{day}-{i}" for i in range(20_000)])
        assert not seen.repeats(ids, np.full(20_000, 1 + day * (DAY_MS + 1))).any()
    assert len(seen.snapshot()["times"]) == 20_000
    assert len(seen) <= 80_000
