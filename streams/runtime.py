"""Which tasks this worker owns: the link between Faust's assignment and the tasks' threads."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from faust.types import TP

from streams import metrics
from streams.chunk import Chunk
from streams.controls import Controls
from streams.pulse import STUCK_SECONDS
from streams.stage import Stage
from streams.task import Task, TaskOptions

log = structlog.get_logger()
# Together below the minute that Faust grants a seek: it would go on without our positions.
OWN_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0


class NotColocatedError(RuntimeError):
    """The group's assignor gave this worker some but not all topics of a partition number."""


class Runtime:
    """Tasks by (stage, partition). `stages`: stage name -> (input topics, factory for a partition)."""

    def __init__(
        self,
        stages: Mapping[str, tuple[tuple[str, ...], Callable[[int], Stage]]],
        options: TaskOptions,
        controls: Controls,
        chunk_rows: int = 20_000,
    ) -> None:
        self.chunk_rows = chunk_rows
        self._stages, self._options, self.controls = stages, options, controls
        self._stage_of = {topic: name for name, (topics, _) in stages.items() for topic in topics}
        self.tasks: dict[tuple[str, int], Task] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.consumer: Any = None  # the Faust consumer, once the app has one
        self._throttled: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self.assigned_at = 0.0

    @property
    def prefix(self) -> str:
        """The prefix of all topic names."""
        return self._options.prefix

    @property
    def topics(self) -> list[str]:
        """All input topics, without prefix."""
        return list(self._stage_of)

    def offer(self, chunk: Chunk) -> None:
        """Hand a chunk to its task; on the event loop's thread. A broken chain is read again."""
        name = self._stage_of[chunk.topic]
        task = self.tasks.get((name, chunk.partition))
        if task is None:
            return
        if not task.offer(chunk):
            self._want(task)
        elif task.full:
            self._throttle(task)

    async def positions(self, tps: set[TP]) -> dict[TP, int]:
        """See `streams.transport.Owner`. An empty set gives everything up. Raises NotColocatedError."""
        self._loop = asyncio.get_running_loop()
        metrics.REBALANCES.inc()
        wanted = self._wanted(tps)
        loop = self._loop
        # Faust has just resumed every partition. What is throttled from here on has reason to be: forget none of it.
        self._throttled.clear()
        await loop.run_in_executor(None, _await_end, self._give_up(set(self.tasks) - wanted))
        for key in sorted(wanted):
            if key in self.tasks:
                self.tasks[key].drop_queue()
                self._unthrottle(self.tasks[key])
            else:
                self.tasks[key] = self._task(*key)
                self.tasks[key].start()
        deadline = time.monotonic() + OWN_SECONDS
        for key in sorted(wanted):
            await loop.run_in_executor(None, self.tasks[key].wait_owned, max(0.0, deadline - time.monotonic()))
        self.assigned_at = time.monotonic()
        for name in self._stages:
            metrics.TASKS.labels(name).set(sum(key[0] == name for key in wanted))
        return {tp: offset for key in wanted for tp, offset in self._positions(self.tasks[key]).items()}

    def seen(self) -> dict[TP, int]:
        """See `streams.transport.Owner`."""
        prefix = self._options.prefix
        return {
            TP(prefix + topic, task.partition): offset
            for task in list(self.tasks.values())
            for topic, offset in task.committed().items()
        }

    def ready(self) -> bool:
        """Whether every owned task is live (a worker without tasks is ready once it has been assigned none)."""
        return self.assigned_at > 0 and all(task.live for task in list(self.tasks.values()))

    def stuck(self) -> list[str]:
        """Tasks that do not get on, by name: only a new process helps them."""
        return [task.name for task in list(self.tasks.values()) if task.pulse.silent() > STUCK_SECONDS]

    def stop(self) -> None:
        """Stop all tasks after the batch at hand."""
        _await_end(self._give_up(set(self.tasks)))

    def _wanted(self, tps: set[TP]) -> set[tuple[str, int]]:
        """(stage, partition) pairs of an assignment. Raises NotColocatedError."""
        prefix = self._options.prefix
        given: dict[tuple[str, int], set[str]] = {}
        for tp in tps:
            topic = tp.topic.removeprefix(prefix)
            if topic in self._stage_of:
                given.setdefault((self._stage_of[topic], tp.partition), set()).add(topic)
        for (name, partition), topics in given.items():
            missing = set(self._stages[name][0]) - topics
            if missing:
                raise NotColocatedError(f"{name}/{partition} was assigned without {sorted(missing)}")
        return set(given)

    def _task(self, name: str, partition: int) -> Task:
        make = self._stages[name][1]
        return Task(
            name,
            partition,
            lambda: make(partition),
            self._options,
            self.controls,
            self._on_moved,
            self._on_drained,
            self._unfetched,
        )

    def _unfetched(self, task: Task) -> dict[str, int]:
        """Topics of a task of which there are committed records that it has not been given yet -> the offset they go to."""
        consumer = self.consumer
        if consumer is None:
            return {}
        ends = {tp.topic: consumer.unread(tp, taken) for tp, taken in self._positions(task).items()}
        return {topic.removeprefix(self._options.prefix): end for topic, end in ends.items() if end is not None}

    def _give_up(self, keys: set[tuple[str, int]]) -> list[Task]:
        """Tell tasks to stop, and forget them."""
        tasks = [task for key in keys if (task := self.tasks.pop(key, None)) is not None]
        for task in tasks:
            task.stop()
        return tasks

    def _positions(self, task: Task) -> dict[TP, int]:
        prefix = self._options.prefix
        return {TP(prefix + topic, task.partition): offset for topic, offset in task.positions().items()}

    def _on_moved(self, task: Task) -> None:
        self._call_soon(self._want, task)

    def _on_drained(self, task: Task) -> None:
        self._call_soon(self._unthrottle, task)

    def _call_soon(self, call: Callable[[Task], None], task: Task) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(call, task)

    def _want(self, task: Task) -> None:
        if self.consumer is not None and self.tasks.get((task.stage_name, task.partition)) is task:
            self.consumer.want(self._positions(task))
            self._unthrottle(task)

    def _throttle(self, task: Task) -> None:
        key = (task.stage_name, task.partition)
        if key not in self._throttled:
            self._throttled.add(key)
            for tp in self._positions(task):
                self.consumer.throttle(tp)
            if not task.full:  # it drained meanwhile, and its signal came before the throttle
                self._unthrottle(task)

    def _unthrottle(self, task: Task) -> None:
        key = (task.stage_name, task.partition)
        if key in self._throttled:
            self._throttled.discard(key)
            for tp in self._positions(task):
                self.consumer.unthrottle(tp)


def _await_end(tasks: Sequence[Task]) -> None:
    """Wait for stopped tasks. One that is stuck in Kafka is left behind: whoever owns next fences it."""
    deadline = time.monotonic() + STOP_SECONDS
    for task in tasks:
        task.join(max(0.0, deadline - time.monotonic()))
