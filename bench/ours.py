"""This engine on the bench, one worker of some: the detect stage as in production (intake, rules, models, transactions).

It says READY when it owns its share of the tasks, and begins when told GO.
"""

import asyncio
import os
import sys
from typing import Any

from faust.types import TP

from bench.contender import Meter
from connectors.admin import ensure_topics
from fengsui.app import faust_app
from fengsui.settings import Settings, load
from fengsui.warmup import warm_up
from streams.chunk import Chunk
from streams.controls import Controls
from streams.detect import Detect
from streams.metrics import CLUES
from streams.runtime import Runtime
from streams.task import TaskOptions


class Gated(Runtime):
    """A runtime that fetches no event before it is told to, so that joining the group is not measured."""

    open = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter = Meter()

    async def positions(self, tps: set[TP]) -> dict[TP, int]:
        """See Runtime."""
        found = await super().positions(tps)
        if not self.open:
            for tp in found:
                self.consumer.throttle(tp)
        return found

    def go(self) -> None:
        """Fetch."""
        self.open = True
        for task in self.tasks.values():
            positions = self._positions(task)
            self.consumer.want(positions)  # what was fetched before the throttle is read again
            for tp in positions:
                self.consumer.unthrottle(tp)

    def offer(self, chunk: Chunk) -> None:
        """See Runtime."""
        if self.open:
            self.meter.begin()
            super().offer(chunk)


def build(settings: Settings, models: bool) -> Gated:
    """The runtime of the detect stage, its control topics read."""
    client = settings.kafka_client()
    ensure_topics(client, settings.topic_prefix, settings.partitions, 1)
    controls = Controls(client, settings.topic_prefix, Detect.controls)
    controls.start()
    controls.wait_ready(30)
    options = TaskOptions(
        client,
        settings.topic_prefix,
        settings.group,
        settings.partitions,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    lateness, most, serving = settings.allowed_lateness_ms, settings.max_event_bytes, None if models else ()
    make = lambda p: Detect(p, settings.partitions, lateness, most, serving=serving)  # noqa: E731 - a factory in a table
    return Gated({"detect": (Detect.topics, make)}, options, controls)


async def run(settings: Settings, workers: int, models: bool) -> None:
    """Own a share of the partitions, decide their events, report. Standard input says GO, then END and each partition's end."""
    runtime = build(settings, models)
    (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    app = faust_app(settings, runtime)
    app.loop = asyncio.get_running_loop()
    runtime.consumer = app.consumer
    await app.start()
    share = settings.partitions // workers
    while len(runtime.tasks) != share or not runtime.ready():  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.01)
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    await app.loop.run_in_executor(None, sys.stdin.readline)
    runtime.go()
    end = await app.loop.run_in_executor(None, sys.stdin.readline)
    ends = [int(word) for word in end.split()[1:]]
    while any(_seen(runtime, partition) < ends[partition] for _, partition in runtime.tasks):
        if app._crashed.is_set():
            raise RuntimeError("the Faust app crashed")
        await asyncio.sleep(0.005)  # the condition is in other threads; 5 ms are noise in a run of seconds
    events = sum(_seen(runtime, partition) for _, partition in runtime.tasks)
    runtime.meter.done(events, lambda: _hits(runtime))
    os._exit(0)


def _seen(runtime: Gated, partition: int) -> int:
    return runtime.tasks["detect", partition].committed().get("events.iot", 0)


def _hits(runtime: Gated) -> int:
    """Clues of the threshold rules. A task counts those of a batch just after it has committed it: it is let end first."""
    runtime.stop()
    samples = (sample for metric in CLUES.collect() for sample in metric.samples if sample.name.endswith("_total"))
    return int(sum(s.value for s in samples if s.labels["origin_id"].startswith("bench-")))


def main() -> None:
    """As a contender process."""
    warm_up()
    asyncio.run(run(load(), int(os.environ["BENCH_WORKERS"]), os.environ["BENCH_WORKLOAD"] == "W3"))


if __name__ == "__main__":
    main()
