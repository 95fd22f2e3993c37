"""The consumer without a broker: chunks chained over gaps, breaks of a log told once, offsets shown that transactions cover."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from streams.chunk import Chunk
from streams.fetched import Fetched
from streams.transport import Consumer
from topics.spans import Spans

TOPIC = TP("p.events.iot", 0)


def rows(*offsets: int) -> Fetched:
    """Records at these offsets."""
    n = len(offsets)
    return Fetched(np.array(offsets), np.full(n, 7), Spans.of([b"k"] * n), Spans.of([b"v"] * n))


class Owner:
    """Notes what it is offered."""

    chunk_rows = 3

    def __init__(self) -> None:
        self.taken: list[Chunk] = []

    def offer(self, chunk: Chunk) -> None:
        self.taken.append(chunk)

    def seen(self) -> dict[TP, int]:
        return {TOPIC: 42, TP("p.events.iot", 9): 1}

    async def positions(self, _: set[TP]) -> dict[TP, int]:
        return {TOPIC: 5}


class Bare(Consumer):
    """A consumer whose fetches are given, and that reaches no broker."""

    flow_active = True
    should_stop = False
    prefix = "p."

    def __init__(self, fetches: list[Mapping[TP, Fetched]], begins: int = 0) -> None:
        self.owner = Owner()
        self._chain, self._wanted, self._seeks, self._broken = {TOPIC: 5}, {}, 0, set()
        self._fetches, self._begins = fetches, begins
        self.sought: list[Any] = []
        self.committed: dict[TP, int] = {}

    async def _next(self, _: float) -> Any:
        return self._fetches.pop(0)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, self._begins)

    def assignment(self) -> set[TP]:
        return {TOPIC}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.sought.append(dict(partitions))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.committed = dict(offsets)
        return True


def breaks(what: str) -> float:
    """How many breaks were counted."""
    return REGISTRY.get_sample_value("fengsui_log_breaks_total", {"topic": "events.iot", "what": what}) or 0.0


@pytest.fixture
def before() -> dict[str, float]:
    """Counts before the test."""
    return {what: breaks(what) for what in ("expired", "restarted")}


def test_chunks_are_chained_over_gaps() -> None:
    """A gap (transaction markers) belongs to the chunk behind it; what is fetched is cut, and nothing falls between."""
    consumer = Bare([{TOPIC: rows(5, 6, 9, 10, 13)}, {TOPIC: rows(20)}])
    asyncio.run(consumer._pass_on())
    asyncio.run(consumer._pass_on())
    assert [(c.prev, c.end, c.offsets.tolist()) for c in consumer.owner.taken] == [
        (5, 10, [5, 6, 9]), (10, 14, [10, 13]), (14, 21, [20]),
    ]  # fmt: skip


def test_what_was_fetched_before_a_seek_is_read_again() -> None:
    consumer = Bare([{TOPIC: rows(5)}])

    async def overtaken(_: float) -> Any:
        await consumer.seek_to_committed()
        return {TOPIC: rows(5)}

    consumer._next = overtaken  # type: ignore[method-assign]
    asyncio.run(consumer._pass_on())
    assert consumer.owner.taken == []
    assert consumer._wanted == {TOPIC: 5}


@pytest.mark.parametrize("stale", [(2, 3), (4, 5, 6), (3000, 3001)], ids=["behind", "across", "ahead"])
def test_what_was_fetched_while_a_seek_was_under_way_is_read_again(stale: tuple[int, ...]) -> None:
    """It was fetched at a position of before, and comes after the new one is known: rows that lie ahead of it would be taken for
    what follows, and all between be lost; rows from behind it would be judged twice."""
    consumer = Bare([])
    fetched, sought = asyncio.Event(), asyncio.Event()

    async def owning(_: set[TP]) -> dict[TP, int]:
        await fetched.wait()  # owning takes its time, in which fetches go on
        return {TOPIC: 5}

    async def fetching(_: float) -> Any:
        fetched.set()
        await sought.wait()
        return {TOPIC: rows(*stale)}

    async def seeking(partitions: Mapping[TP, int]) -> None:
        consumer.sought.append(dict(partitions))

    async def race() -> None:
        seek = asyncio.create_task(consumer.seek_to_committed())
        await asyncio.sleep(0)  # it is waiting for the owner now
        passing = asyncio.create_task(consumer._pass_on())
        await seek
        sought.set()
        await passing

    consumer.owner.positions = owning  # type: ignore[method-assign]
    consumer._next = fetching  # type: ignore[method-assign]
    consumer.seek_wait = seeking  # type: ignore[method-assign]
    asyncio.run(race())
    assert consumer.owner.taken == []
    assert consumer._wanted == {TOPIC: 5}


def test_a_seek_that_was_asked_for_does_not_undo_one_to_new_positions() -> None:
    consumer = Bare([{TOPIC: rows(5)}])
    consumer._wanted = {TOPIC: 99}

    async def overtaken(partitions: Mapping[TP, int]) -> None:
        if partitions == {TOPIC: 99}:
            await consumer.seek_to_committed()

    consumer.seek_wait = overtaken  # type: ignore[method-assign]
    asyncio.run(consumer._pass_on())
    assert consumer._chain[TOPIC] == 6
    assert [(chunk.prev, chunk.end) for chunk in consumer.owner.taken] == [(5, 6)]


def test_a_log_that_was_made_anew_is_told_once(before: dict[str, float]) -> None:
    consumer = Bare([{TOPIC: rows(0, 1)}, {TOPIC: rows(2)}])
    consumer._chain[TOPIC] = 1000
    asyncio.run(consumer._pass_on())
    consumer._chain[TOPIC] = 1000
    asyncio.run(consumer._pass_on())
    assert breaks("restarted") == before["restarted"] + 1


@pytest.mark.parametrize(("begins", "told"), [(0, 0), (5, 0), (700, 1)])
def test_only_records_deleted_unread_are_told_of_a_long_gap(begins: int, told: int, before: dict[str, float]) -> None:
    """An aborted batch of a thousand records leaves a gap too."""
    asyncio.run(Bare([{TOPIC: rows(1000)}], begins)._pass_on())
    assert breaks("expired") == before["expired"] + told


def test_the_group_is_shown_what_transactions_cover() -> None:
    """Faust's acknowledgements and gaps have no part in it (issues 606, 316); partitions of others are left alone."""
    consumer = Bare([])
    assert asyncio.run(consumer.commit())
    assert consumer.committed == {TOPIC: 42}


def test_a_partition_that_is_not_ours_may_have_more() -> None:
    """Its task must not think that time has passed (and Faust's own sensor crashes on it: issue 214)."""

    class Thread:
        def _ensure_consumer(self) -> Any:
            raise RuntimeError("not assigned")

    consumer = Bare([])
    consumer._thread = Thread()
    assert consumer.unread(TOPIC, 7) == 7
