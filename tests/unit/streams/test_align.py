"""The order in which a task takes what its topics have queued."""

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.align import SLOT_MS, aligned
from streams.chunk import Chunk
from topics.spans import Spans

TIMES = st.one_of(st.lists(st.integers(0, 2000), max_size=25), st.lists(st.integers(0, 2000), max_size=25).map(sorted))


def queue(topic: str, times: list[int], sizes: list[int]) -> deque[Chunk]:
    """A topic's records, cut into chunks; their log times may step back."""
    at = np.array(times, np.int64)
    out: deque[Chunk] = deque()
    start = 0
    for size in [*sizes, len(at)]:
        stop = min(len(at), start + size)
        if stop > start:
            offsets = np.arange(start, stop)
            values: list[bytes | None] = [f"{topic}:{o}".encode() for o in offsets]
            out.append(
                Chunk(
                    topic, 0, start, stop, offsets, at[start:stop], Spans.of([None] * (stop - start)), Spans.of(values)
                )
            )
        start = stop
    return out


@given(TIMES, TIMES, st.lists(st.integers(1, 9), max_size=5), st.integers(1, 30))
def test_what_is_taken_is_in_order_of_log_time_by_slots_and_nothing_is_lost(
    a: list[int], b: list[int], sizes: list[int], most: int
) -> None:
    """Taking again and again gives every record once, each topic in its own order, topics merged by slot of log time."""
    queues = {"a": list(queue("a", a, sizes)), "b": list(queue("b", b, sizes[::-1]))}
    everything = aligned(queues, (), 10**9) if any(queues.values()) else []
    slots = [int(c.timestamps[0]) // SLOT_MS for c in everything]
    if all(queues.values()) and a == sorted(a) and b == sorted(b):
        assert slots == sorted(slots)
    for topic, chunks in queues.items():
        mine = [c for c in everything if c.topic == topic]
        assert [v for c in mine for v in c.values] == [v for c in chunks for v in c.values]
        assert all(x.end == y.prev for x, y in zip(mine, mine[1:], strict=False))  # noqa: RUF007
    if everything:
        head = aligned(queues, (), most)
        assert head
        assert [list(c.values) for c in head] == [list(c.values) for c in everything[: len(head)]]
        assert sum(map(len, head)) <= max(most, len(head[0]))


def test_a_clock_that_steps_back_between_two_chunks_loses_nothing() -> None:
    """Parts of a topic come in offset order, whatever their times say: a part taken out of turn would skip the ones before it."""
    queues = {"a": list(queue("a", [5000, 5001, 10, 11], [2])), "b": list(queue("b", [0, 6000], []))}
    taken = aligned(queues, (), 100)
    assert [v for c in taken if c.topic == "a" for v in c.values] == [b"a:0", b"a:1", b"a:2", b"a:3"]


def test_records_later_than_a_topic_that_is_behind_are_held_back() -> None:
    """What a slower topic may still bring comes first; its own head is always taken."""
    queues = {"a": list(queue("a", [100, 900], [])), "b": list(queue("b", [150, 400], []))}
    taken = [v for c in aligned(queues, {"b"}, 100) for v in c.values]
    assert taken == [b"a:0", b"b:0", b"b:1"]
    assert len(aligned(queues, {"a", "b"}, 100)) >= 1
