"""Batches that call for nothing: when they are committed, and what a replay is told of them. No broker."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from streams import task as module
from streams.chunk import Chunk
from streams.ledger import Progress, progress_of
from streams.stage import Outbox
from streams.task import Task
from streams.writer import Records
from tests.unit.streams.test_inbox import records
from tests.unit.streams.test_patience import READINGS, Idle, unstarted

LOUD = 1000  # rows that arrive from then on call for something


class Sometimes(Idle):
    """Writes for what arrives late."""

    controls = ("rules",)

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """One record a loud row."""
        for at in chunk.timestamps.tolist():
            if at >= LOUD:
                out.put("clues", b"k", b"v")


class Log:
    """In the place of a Writer: what was committed."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.clues = 0

    def write(self, outputs: Mapping[str, Records], tracked: str) -> list[int]:
        """Remember."""
        if tracked == "progress":
            self.progress.append(progress_of(outputs["progress"][0][1]))
        self.clues += len(outputs.get("clues", ()))
        return list(range(len(outputs[tracked])))

    def stop(self) -> None:
        """Nothing."""


class Rules:
    """In the place of Controls."""

    end = 0

    def ends(self) -> dict[str, int]:
        """Where the topic stands."""
        return {"rules": self.end}

    def wait_for(self, wanted: Mapping[str, int], timeout: float) -> bool:
        """They are here."""
        return True

    def between(self, topic: str, first: int, end: int) -> list[Any]:
        """None that matter."""
        return []


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the task's clock."""
    at = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: at[0])
    return lambda seconds: at.__setitem__(0, 100.0 + seconds)


@pytest.fixture
def task(now: Callable[[float], None]) -> Iterator[Task]:
    """A task that owns, but does not run."""
    made = unstarted(Sometimes, Rules())
    made._writer = Log()  # type: ignore[assignment]
    made._checkpoint_due = 1e9
    yield made
    made.stop()


def committed(task: Task) -> Log:
    """What reached Kafka."""
    assert isinstance(task._writer, Log)
    return task._writer


def test_they_go_with_the_next_that_calls_for_something(task: Task) -> None:
    """In order, in one record of progress."""
    for first in range(3):
        task._batch([records(READINGS, first, [1])])
    assert committed(task).progress == []
    assert task.committed() == {}
    task._batch([records(READINGS, 3, [LOUD])])
    (progress,) = committed(task).progress
    assert progress.slices == [(READINGS, i, i + 1) for i in range(4)]
    assert (progress.seq, progress.ends, committed(task).clues) == (1, {READINGS: 4}, 1)
    assert task._patience() is None or task._patience() > 1e6  # type: ignore[operator]


def test_or_when_they_have_waited_long_enough(task: Task, now: Callable[[float], None]) -> None:
    """The task wakes for it, even where nothing comes any more."""
    task._batch([records(READINGS, 0, [1])])
    now(0.15)
    task._batch([records(READINGS, 1, [2])])
    assert task._patience() == pytest.approx(module.QUIET_SECONDS - 0.15)
    now(module.QUIET_SECONDS)
    task._batch([])
    (progress,) = committed(task).progress
    assert progress.slices == [(READINGS, 0, 1), (READINGS, 1, 2)]
    now(5)
    task._batch([])
    assert len(committed(task).progress) == 1


def test_other_rules_begin_another_record_of_progress(task: Task) -> None:
    """A replay obeys the rules of a record before its slices."""
    task._batch([records(READINGS, 0, [1])])
    task._controls.end = 7  # type: ignore[attr-defined]
    task._batch([records(READINGS, 1, [2])])
    task._batch([records(READINGS, 2, [LOUD])])
    first, second = committed(task).progress
    assert (first.slices, first.controls) == ([(READINGS, 0, 1)], {})
    assert (second.slices, second.controls) == ([(READINGS, 1, 2), (READINGS, 2, 3)], {"rules": 7})


def test_a_checkpoint_is_of_what_is_committed(task: Task, now: Callable[[float], None]) -> None:
    """They are committed before it is taken; those that come while it is written do not undo it."""
    task._batch([records(READINGS, 0, [1])])
    task._checkpoint_due = 0.0
    task._batch([records(READINGS, 1, [2])])  # begins, and writes the parts
    assert [one.slices for one in committed(task).progress] == [[(READINGS, 0, 1), (READINGS, 1, 2)]]
    task._batch([records(READINGS, 2, [3])])  # waits, while the checkpoint comes in force
    assert task._saving is None
    where = committed(task).progress[-1].checkpoint
    assert where is not None
    assert (where.seq, committed(task).progress[-1].ends) == (1, {READINGS: 2})
    now(1)
    task._batch([])
    last = committed(task).progress[-1]
    assert (last.seq, last.slices, last.checkpoint) == (2, [(READINGS, 2, 3)], where)
