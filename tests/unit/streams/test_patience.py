"""What ticks cost a task, and when it is stuck; who is sent ticks. No broker."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.chunk import Chunk
from streams.clock import Clock
from streams.controls import Controls
from streams.stage import Arrays, Outbox
from streams.task import REPLAYED_TICKS, Task, TaskOptions
from tests.unit.streams.test_inbox import records

READINGS, TICKS = "events.iot", "ticks.detect"


class Idle:
    """Decides nothing."""

    name, topics, patient, controls = "detect", (READINGS, TICKS), (TICKS,), ()

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Nothing."""

    def control(self, topic: str, records: Any) -> None:
        """Nothing."""

    def snapshot(self) -> Arrays:
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Nothing."""

    def report(self, live: bool) -> None:
        """Nothing."""


def unstarted(make: Callable[[], Idle], controls: Any) -> Task:
    """A task that does not run."""
    nothing: Callable[[Task], None] = lambda _: None  # noqa: E731
    return Task("detect", 0, make, TaskOptions({}, "p.", "g", 4), controls, nothing, nothing)


@pytest.fixture
def task() -> Iterator[Task]:
    """A task that owns, but does not run."""
    made = unstarted(Idle, Controls({}, "p.", ()))
    made._inbox.open({})
    yield made
    made.stop()


def test_time_alone_is_not_worth_a_checkpoint(task: Task) -> None:
    """But a long replay of it would be."""
    ticks, readings, out = [records(TICKS, 0, [1])], [records(READINGS, 0, [1])], Outbox()
    assert not task._worth_saving(ticks, out)
    assert task._worth_saving([*ticks, *readings], out)
    out.put("clues", b"k", b"v")
    assert task._worth_saving(ticks, out)
    object.__setattr__(task._progress, "seq", REPLAYED_TICKS + 1)
    assert task._worth_saving(ticks, Outbox())


def test_a_task_that_waits_is_not_stuck(task: Task) -> None:
    """Silence counts between two steps only."""
    task.offer(records(READINGS, 0, [1]))
    task._take()
    assert task.pulse.silent(task.pulse.last + 100) == pytest.approx(100)
    task.pulse.rest()
    assert task.pulse.silent(task.pulse.last + 100) == 0


def test_each_task_that_is_told_the_time_has_its_ticks() -> None:
    """Feedback is not told, and the regional stage by detect."""
    sent: list[tuple[str, int]] = []

    class Producer:
        def produce(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
            sent.append((topic, partition))

        def poll(self, _: float) -> None:
            """Nothing."""

    clock = Clock({}, "p.", lambda: [("dispatch", 1), ("detect", 2), ("regional", 0), ("feedback", 1)])
    clock._producer = Producer()
    assert clock.tick() == 2
    assert sent == [("p.ticks", 1), ("p.ticks.detect", 2)]
