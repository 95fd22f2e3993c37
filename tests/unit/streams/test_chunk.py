"""Chunks and their cuts."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.chunk import Chunk, cut, merged
from topics.spans import Spans


def chunk(offsets: list[int], prev: int = 0, end: int | None = None, topic: str = "events.iot") -> Chunk:
    """A chunk whose values are its offsets as text."""
    at = np.array(offsets, np.int64)
    stop = end if end is not None else offsets[-1] + 1
    return Chunk(
        topic, 0, prev, stop, at, at + 1000, Spans.of([None] * len(at)), Spans.of([str(o).encode() for o in offsets])
    )


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_cuts_of_a_chunk_cover_its_offsets_without_gap_or_overlap(steps: list[int], data: st.DataObject) -> None:
    """Wherever a chunk is cut, each part begins where the former ended, and no row is lost."""
    offsets = np.cumsum(steps).tolist()
    whole = chunk(offsets, prev=0, end=offsets[-1] + 3)
    edges = sorted({0, len(whole), *data.draw(st.lists(st.integers(1, max(1, len(whole) - 1)), max_size=5))})
    parts = [cut(whole, a, b) for a, b in itertools.pairwise(edges)]
    assert parts[0].prev == whole.prev
    assert parts[-1].end == whole.end
    assert all(a.end == b.prev for a, b in itertools.pairwise(parts))
    assert [v for p in parts for v in p.values] == list(whole.values)
    [again] = merged(parts)
    assert (again.prev, again.end, list(again.values)) == (whole.prev, whole.end, list(whole.values))
    assert again.offsets.tolist() == whole.offsets.tolist()


def test_only_neighbours_of_one_topic_are_put_together() -> None:
    """The order of decision stays; a gap in the chain stays a border."""
    a, b = chunk([0, 1]), chunk([2, 3], prev=2)
    other, far = chunk([0], topic="events.video"), chunk([9], prev=9)
    assert [len(c) for c in merged([a, b, other, far])] == [4, 1, 1]
    assert [c.topic for c in merged([a, other, b])] == ["events.iot", "events.video", "events.iot"]
