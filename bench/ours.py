"""This engine on the bench: the detect stage as in production (intake, rules, models' door, transactions, progress)."""

import asyncio
import os
import sys
from typing import Any

from bench.contender import Meter
from connectors.admin import ensure_topics
from fengsui.app import faust_app
from fengsui.settings import Settings, load
from fengsui.warmup import warm_up
from streams.chunk import Chunk
from streams.controls import Controls
from streams.detect import Detect
from streams.runtime import Runtime
from streams.task import TaskOptions


class Metered(Runtime):
    """A runtime that tells the meter of its first chunk."""

    meter: Meter

    def offer(self, chunk: Chunk) -> None:
        """See Runtime."""
        self.meter.begin()
        super().offer(chunk)


async def run(settings: Settings, events: int) -> None:
    """Own the partitions, decide all events, report."""
    client = settings.kafka_client()
    ensure_topics(client, settings.topic_prefix, settings.partitions, 1)
    controls = Controls(client, settings.topic_prefix, Detect.controls)
    controls.start()
    controls.wait_ready(30)
    options = TaskOptions(client, settings.topic_prefix, settings.group, settings.partitions)
    lateness = settings.allowed_lateness_ms
    most = settings.max_event_bytes
    stages = {
        "detect": (Detect.topics, lambda p: Detect(p, settings.partitions, lateness, most, serving=()))
    }  # W1: no models
    runtime = Metered(stages, options, controls)
    runtime.meter = Meter()
    (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    app = faust_app(settings, runtime)
    app.loop = asyncio.get_running_loop()
    runtime.consumer = app.consumer
    await app.start()
    while not runtime.ready():  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.01)
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    while sum(end for tp, end in runtime.seen().items() if tp.topic.endswith("events.iot")) < events:  # noqa: ASYNC110 - see below
        await asyncio.sleep(0.01)  # the condition is in other threads; 10 ms are noise in a run of seconds
    hits = int(sum(s.value for m in _clues() for s in m.samples if s.name.endswith("_total")))
    runtime.meter.done(events, hits)
    os._exit(0)


def _clues() -> list[Any]:
    from streams.metrics import CLUES

    return list(CLUES.collect())


def main() -> None:
    """As a contender process."""
    warm_up()
    asyncio.run(run(load(), int(os.environ["BENCH_EVENTS"])))


if __name__ == "__main__":
    main()
