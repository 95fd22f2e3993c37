"""One worker of the group, as a process: the Faust app with its tasks, the archiver, the view's projector, ticks and metrics."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import structlog

from connectors.view.projector import Projector
from fengsui.app import build
from fengsui.health import serving_health
from fengsui.settings import Settings
from fengsui.warmup import warm_up
from streams.archive import Archiver
from streams.archive_buffer import Flush
from streams.clock import Clock
from streams.lag import tell_lag
from streams.runtime import Runtime

log = structlog.get_logger()
TICK_SECONDS = 1.0


def run_worker(settings: Settings, on_ready: Callable[[str], None] | None = None) -> None:
    """Run until SIGTERM or Ctrl-C. `on_ready` is told the metrics URL once the worker's HTTP answers."""
    warm_up()  # compiled kernels before joining the group: a cold compile must not look like a dead worker
    if asyncio.run(_run(settings, on_ready)):
        raise SystemExit(1)


async def _run(settings: Settings, on_ready: Callable[[str], None] | None) -> bool:
    """True when it ended by a crash."""
    crashed = asyncio.Event()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(_engine(settings, stop, crashed))
        url = await stack.enter_async_context(serving_health(settings, runtime.ready, runtime.stuck))
        await stack.enter_async_context(_neighbours(settings, runtime))
        if on_ready is not None:
            on_ready(url)
        await stop.wait()
        log.info("worker.stopping")
    return crashed.is_set()


@asynccontextmanager
async def _engine(settings: Settings, stop: asyncio.Event, crashed: asyncio.Event) -> AsyncIterator[Runtime]:
    """The Faust app, started; a crash of it ends the worker (its supervisor starts a new one)."""
    (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    app, runtime = build(settings)
    app.loop = asyncio.get_running_loop()
    runtime.consumer = app.consumer
    runtime.controls.start()
    await app.start()
    crash = asyncio.create_task(_watch(app, stop, crashed))
    try:
        yield runtime
    finally:
        crash.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await crash
        await app.stop()
        await asyncio.get_running_loop().run_in_executor(None, runtime.stop)
        runtime.controls.stop()


async def _watch(app: object, stop: asyncio.Event, crashed: asyncio.Event) -> None:
    await app._crashed.wait()  # type: ignore[attr-defined]
    log.error("worker.crashed")
    crashed.set()
    stop.set()


@asynccontextmanager
async def _neighbours(settings: Settings, runtime: Runtime) -> AsyncIterator[None]:
    """What else a worker carries: archive, view, ticks. None of them can hold up the engine."""
    client = settings.kafka_client()
    flush = Flush(seconds=settings.archive_flush_seconds)
    archiver = Archiver(client, settings.group, settings.topic_prefix, settings.archive_dir, flush=flush)
    projector = Projector(client, settings.topic_prefix, settings.redis_url.get_secret_value())
    clock = Clock(client, settings.topic_prefix, lambda: list(runtime.tasks))
    ticking = asyncio.create_task(_tick(clock, runtime))
    with ExitStack() as stack:
        for service in (archiver, projector):
            service.start()
            stack.callback(service.stop)
        try:
            yield
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            clock.close()


async def _tick(clock: Clock, runtime: Runtime) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(None, clock.tick)
            tell_lag(runtime)
        except Exception:  # time must go on: without ticks no deadline passes and nothing is missed
            log.exception("tick.failed")
        await asyncio.sleep(TICK_SECONDS)
