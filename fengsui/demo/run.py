"""The demo, straight through: engine, city, officers, delivery, waiting for the end, proof of the archive, report."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from connectors.archive.verify import verify
from connectors.city import City, score
from connectors.producing import EventWriter
from fengsui.demo import report
from fengsui.demo.deliver import Gateways, registered, taken_by_mqtt
from fengsui.demo.officers import Officers
from fengsui.demo.settle import Settling, read_all
from fengsui.demo.stations import stations
from fengsui.embedded import mqtt
from fengsui.engine import Engine, engine
from fengsui.settings import Settings

SETTLE_SECONDS: Final = 600.0
ARCHIVE_SECONDS: Final = 120.0
SENSORS: Final = "city-sensors"  # their user of the MQTT broker
FRAMES_PER_SECOND: Final = 100_000.0  # a connection carries the frames of many devices, two weeks of them in seconds


def run_demo(settings: Settings, events: int, seed: int, console: Console) -> dict[str, Any]:
    """The whole journey of a seeded city; returns the figures of `fengsui demo --json`. Raises ServiceError."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(mqtt.running(settings, [SENSORS]))
        more = broker.settings() | {"gateway_frames_per_second": FRAMES_PER_SECOND}
        running = stack.enter_context(engine(settings.model_copy(update=more)))
        city = City(seed, events, int(time.time() * 1000))
        officers = Officers(running.settings, city)
        officers.start()
        stack.callback(officers.stop)
        writer = stack.enter_context(closing(EventWriter(_client(running), prefix=running.settings.topic_prefix)))
        registered(running.settings, city, running.http_url)
        numbers = {name: number for number, name in enumerate(city.devices["device_id"].to_list())}
        said = stack.enter_context(
            stations(running, broker.address(SENSORS), numbers, partial(taken_by_mqtt, running.http_url))
        )
        gateways = stack.enter_context(closing(Gateways(running.http_url, writer, said, scratch)))
        settling = stack.enter_context(closing(Settling(running.settings)))
        with _bar(console, "发送 (delivering)", city.total) as advance:
            began = time.monotonic()
            gateways.deliver(city, advance)
        settling.wait(SETTLE_SECONDS, lambda: officers.failure is not None or _all_fed_back(running, officers))
        seconds = time.monotonic() - began
        if officers.failure is not None:
            raise officers.failure
        return _result(running, city, gateways, officers, seconds)


def _client(running: Engine) -> dict[str, str | int]:
    return running.settings.kafka_client()


def _all_fed_back(running: Engine, officers: Officers) -> bool:
    return len({clue["clue_id"] for clue, _ in read_all(running.settings, "clues")}) == len(officers.done)


def _result(running: Engine, city: City, gateways: Gateways, officers: Officers, seconds: float) -> dict[str, Any]:
    settings = running.settings
    raised: dict[str, tuple[dict[str, Any], int]] = {}
    for clue, at in read_all(settings, "clues"):
        raised.setdefault(clue["clue_id"], (clue, at))
    clues = [clue for clue, _ in raised.values()]
    proof = verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=ARCHIVE_SECONDS)
    pages = [*running.crew.wait_ready(), running.http_url]
    metrics = report.counters(httpx.get(f"{url}/metrics", timeout=30).text for url in pages)
    scored = score(city.truth, clues)
    return {
        "events": city.total,
        "seed": city.seed,
        "seconds": round(seconds, 2),
        "events_per_second": round(city.total / seconds),
        "latency_ms": report.latency([at - int(clue["raised_at"]) for clue, at in raised.values()]),
        "stages": report.stages(gateways.sent, metrics),
        "clues": report.by_sector(clues),
        "claimed": len(officers.claimed),
        "fed_back": len(officers.done),
        "refused_commands": dict(officers.refused),
        "rejected": sum(1 for _ in read_all(settings, "rejected")),
        "rejected_expected": len(city.bad),
        "archived": sum(proof.by_topic.values()),
        "archive_verified": proof.ok,
        "recall": round(scored.recall, 4),
        "precision": round(scored.precision, 4),
        "stories": report.stories(scored),
    }


@contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda n: progress.advance(task, n)
