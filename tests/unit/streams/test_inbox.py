"""What a task takes, in which order, and what it waits for. No broker, no task."""

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from streams.chunk import Chunk
from streams.inbox import ALIGN_SECONDS, Inbox, Limits
from tests.unit.streams.test_chunk import chunk

A, B, TICKS = "events.complaint", "events.iot", "ticks.detect"


class Scene:
    """An inbox, and what Kafka still holds for it."""

    def __init__(self, **limits: int) -> None:
        self.unread: dict[str, int] = {}
        self.drained = 0
        self.inbox = Inbox((A, B, TICKS), (TICKS,), Limits(**limits), lambda: self.unread, self._on_drained)
        self.inbox.open({})

    def _on_drained(self) -> None:
        self.drained += 1

    def taken(self, patience: float = 0.0) -> list[tuple[str, int]]:
        """Topic and last arrival of what the next batch holds."""
        return [(part.topic, int(part.timestamps[-1])) for part in self.inbox.take(patience)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def records(topic: str, first: int, times: list[int]) -> Chunk:
    """Records that arrived at these times."""
    offsets = list(range(first, first + len(times)))
    return replace(chunk(offsets, prev=first, topic=topic), timestamps=np.array(times, np.int64))


def soon(call: Callable[[], object]) -> threading.Timer:
    """Do something while the test waits."""
    timer = threading.Timer(0.05, call)
    timer.start()
    return timer


def test_a_tick_waits_for_what_arrived_before_it(scene: Scene) -> None:
    """While Kafka holds readings that are not here, ticks stay; then both come in the order of their arrival."""
    scene.unread[B] = 5
    scene.inbox.put(records(TICKS, 0, [1_000]))
    assert scene.taken() == []
    scene.inbox.put(records(B, 0, [200, 900]))
    scene.unread.clear()
    assert scene.taken() == [(B, 900), (TICKS, 1_000)]


def test_a_tick_goes_on_where_nothing_is_missing(scene: Scene) -> None:
    """An idle partition hears of the time, and readings never wait for a tick."""
    scene.inbox.put(records(TICKS, 0, [1_000]))
    assert scene.taken() == [(TICKS, 1_000)]
    scene.unread[TICKS] = 9
    scene.inbox.put(records(B, 0, [2_000]))
    assert scene.taken() == [(B, 2_000)]


def test_readings_wait_a_little_for_a_slower_topic(scene: Scene) -> None:
    """A complaint that arrived first is taken first, if it comes soon; for one that does not come nobody waits twice."""
    scene.unread[A] = 1
    scene.inbox.put(records(B, 0, [2_000]))

    def come() -> None:
        scene.unread.clear()
        scene.inbox.put(records(A, 0, [1_000]))

    soon(come)
    assert scene.taken() == [(A, 1_000), (B, 2_000)]
    scene.unread[A] = 7
    scene.inbox.put(records(B, 1, [3_000]))
    assert scene.taken() == [(B, 3_000)]
    scene.inbox.put(records(B, 2, [4_000]))
    began = threading.Event()
    soon(began.set)
    assert scene.taken() == [(B, 4_000)]
    assert not began.wait(0.0)
    assert ALIGN_SECONDS > 0.05


def test_a_broken_chain_is_refused_and_old_news_are_ignored(scene: Scene) -> None:
    """What was put stands; a rebalance drops it, and it is read again from where the next batch would have begun."""
    assert scene.inbox.put(records(B, 0, [1, 2, 3]))
    assert scene.inbox.put(records(B, 1, [2]))
    assert not scene.inbox.put(records(B, 5, [6]))
    assert scene.inbox.positions() == {A: 0, B: 3, TICKS: 0}
    scene.inbox.drop()
    assert scene.inbox.positions()[B] == 0
    assert scene.taken() == []
    assert scene.inbox.put(records(B, 0, [1, 2, 3]))
    assert scene.taken() == [(B, 3)]


def test_a_closed_inbox_takes_nothing(scene: Scene) -> None:
    """Whoever owns next reads it from its own progress."""
    scene.inbox.put(records(B, 0, [1]))
    scene.inbox.close()
    assert scene.inbox.put(records(B, 1, [2]))
    scene.inbox.open({B: 40})
    assert scene.taken() == []
    assert scene.inbox.positions()[B] == 40


def test_a_batch_is_bounded_and_a_full_inbox_says_when_there_is_room() -> None:
    """Chunks are taken as long as they fit; the fetcher hears once that it may go on."""
    scene = Scene(batch_rows=2, queue_rows=4)
    for first, times in ((0, [100, 300]), (2, [500, 700]), (4, [900])):
        scene.inbox.put(records(B, first, times))
    assert scene.inbox.full
    assert scene.taken() == [(B, 300)]
    assert not scene.inbox.full
    assert scene.drained == 1
    assert scene.taken() == [(B, 700)]
    assert scene.taken() == [(B, 900)]
    assert scene.drained == 1


def test_ticks_that_wait_fill_nothing() -> None:
    """Else nothing would be fetched of what they wait for."""
    scene = Scene(queue_rows=4)
    scene.unread[B] = 5
    scene.inbox.put(records(TICKS, 0, list(range(10))))
    assert not scene.inbox.full
    assert scene.taken() == []


def test_stopping_ends_every_wait(scene: Scene) -> None:
    """For chunks, for a pause."""
    soon(scene.inbox.stop)
    assert scene.inbox.take(None) == []
    scene.inbox.pause(60)
    assert scene.inbox.put(records(B, 0, [1]))
    assert scene.inbox.take(None) == []
