"""Which tasks a worker owns, what it fetches, and what a rebalance does to both; no broker, tasks that only note what is done."""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from fengsui.app import faust_app
from fengsui.settings import Settings
from streams import runtime as module
from streams.chunk import Chunk
from streams.runtime import NotColocatedError, Runtime
from streams.task import TaskOptions
from tests.unit.streams.test_chunk import chunk

STAGES: dict[str, Any] = {"detect": (("a", "b"), lambda _: None), "feedback": (("c",), lambda _: None)}


class FakeTask:
    """Notes what it is told."""

    made: list["FakeTask"]

    def __init__(self, name: str, partition: int, *_: Any) -> None:
        self.stage_name, self.partition, self.live, self.full, self.accepts = name, partition, True, False, True
        self.said: list[str] = []
        self.made.append(self)

    def start(self) -> None:
        self.said.append("start")

    def wait_owned(self, _: float) -> bool:
        return True

    def positions(self) -> dict[str, int]:
        return dict.fromkeys(STAGES[self.stage_name][0], 7)

    def committed(self) -> dict[str, int]:
        return self.positions()

    def offer(self, _: Chunk) -> bool:
        return self.accepts

    def drop_queue(self) -> None:
        self.said.append("drop")
        self.full = False

    def stop(self) -> None:
        self.said.append("stop")

    def join(self, _: float) -> None:
        self.said.append("join")


class FakeConsumer:
    """Which partitions are paused, and which seeks are wanted."""

    def __init__(self) -> None:
        self.paused: set[TP] = set()
        self.wanted: dict[TP, int] = {}

    def throttle(self, tp: TP) -> None:
        self.paused.add(tp)

    def unthrottle(self, tp: TP) -> None:
        self.paused.discard(tp)

    def want(self, positions: dict[TP, int]) -> None:
        self.wanted |= positions


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr(FakeTask, "made", [], raising=False)
    monkeypatch.setattr(module, "Task", FakeTask)
    made = Runtime(STAGES, TaskOptions({}, "p.", "g", 4), None)  # type: ignore[arg-type]
    made.consumer = FakeConsumer()
    return made


def tps(*names: str) -> set[TP]:
    return {TP("p." + name[0], int(name[1:])) for name in names}


def test_an_assignment_keeps_starts_and_gives_up(runtime: Runtime) -> None:
    """A kept task drops its queue, a new one starts, one that is gone is stopped and awaited."""
    asyncio.run(runtime.positions(tps("a0", "b0", "a1", "b1")))
    found = asyncio.run(runtime.positions(tps("a1", "b1", "c2")))
    assert found == dict.fromkeys(tps("a1", "b1", "c2"), 7)
    assert [(t.partition, t.said) for t in FakeTask.made] == [
        (0, ["start", "stop", "join"]),
        (1, ["start", "drop"]),
        (2, ["start"]),
    ]


def test_topics_of_a_partition_number_come_together_or_not_at_all(runtime: Runtime) -> None:
    """Half a task would decide by half of the events."""
    with pytest.raises(NotColocatedError, match="without"):
        asyncio.run(runtime.positions(tps("a0")))


def test_a_worker_that_is_assigned_nothing_gives_everything_up(runtime: Runtime, tmp_path: Any) -> None:
    """Faust seeks nowhere then: its signal is what counts. A task left behind would fence the new owner for ever."""
    asyncio.run(runtime.positions(tps("a0", "b0")))

    async def assigned(partitions: set[TP]) -> None:
        app = faust_app(Settings(data_dir=tmp_path), runtime)
        await app.on_partitions_assigned.send(partitions)

    asyncio.run(assigned(tps("a0", "b0")))
    assert runtime.tasks
    asyncio.run(assigned(set()))
    assert not runtime.tasks
    assert FakeTask.made[0].said == ["start", "stop", "join"]
    assert runtime.ready()


def test_a_full_task_is_not_fetched_and_a_drained_one_is_again(runtime: Runtime) -> None:
    """All topics of the task pause together."""
    asyncio.run(runtime.positions(tps("a0", "b0")))
    task: Any = runtime.tasks["detect", 0]
    task.full = True
    runtime.offer(_chunk("a"))
    assert runtime.consumer.paused == tps("a0", "b0")
    task.full = False
    runtime._unthrottle(task)
    assert not runtime.consumer.paused


def test_no_partition_stays_paused_after_a_rebalance(runtime: Runtime) -> None:
    """A task that fills up while others are being given up has its queue dropped: nobody would drain it."""
    asyncio.run(runtime.positions(tps("a0", "b0", "c1")))
    kept: Any = runtime.tasks["detect", 0]

    def fill_up(_: float) -> None:
        kept.full = True
        runtime.offer(_chunk("a"))  # a chunk that was still in the stream

    runtime.tasks["feedback", 1].join = fill_up  # type: ignore[assignment,method-assign]
    asyncio.run(runtime.positions(tps("a0", "b0")))
    assert kept.said == ["start", "drop"]
    assert not runtime.consumer.paused


def test_a_broken_chain_is_read_again_from_where_the_task_stands(runtime: Runtime) -> None:
    """The task's own positions are sought."""
    asyncio.run(runtime.positions(tps("a0", "b0")))
    task: Any = runtime.tasks["detect", 0]
    task.accepts = False
    runtime.offer(_chunk("a"))
    assert runtime.consumer.wanted == dict.fromkeys(tps("a0", "b0"), 7)


def _chunk(topic: str) -> Chunk:
    return chunk([1, 2], topic=topic)
