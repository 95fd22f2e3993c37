"""What a neighbour that is away for long costs: `python -m tests.faults.neighbours [SECONDS]`, a minute each.

A worker under a steady load; then the broker, Redis or the archive's disk is away, or events come in heaps while the worker
stands still. Afterwards nobody lends a hand: all clues must come, once, the archive be whole, and the worker not have grown.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families as families
from pydantic import SecretStr

from connectors.archive.verify import verify
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings
from tests.acceptance.house import House, open_house
from tests.acceptance.rules import CROWD, HOT, MANY
from tests.faults.broker import ProxiedKafka
from tests.faults.harm import STANDSTILL, disk_full
from tests.faults.load import expected, load
from tests.faults.storm import differences, stage

RATE: Final = 300  # events a second
BEFORE: Final = 5.0  # seconds of load before the trouble, so that memory stands
HEAP: Final = 150_000
SETTLE: Final = 240.0
RULES: Final = (HOT, MANY, CROWD)
FELT: Final = {  # by which metrics an operator would have seen it
    "broker": ("fengsui_kafka_waits_total", "fengsui_task_failures_total", "fengsui_archive_waits_total"),
    "redis": ("fengsui_view_waits_total",),
    "disk": ("fengsui_archive_waits_total",),
    "heaps": (),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one trouble: memory of the worker in MiB (before, at its peak), seconds until all was done, what differed, how often the
    trouble was counted."""

    before: float
    peak: float
    seconds: float
    differing: tuple[int, int, int]
    archive: bool
    felt: float

    @property
    def exact(self) -> bool:
        """Nothing missing, nothing twice, nothing else, archive whole."""
        return self.archive and not any(self.differing)

    def __str__(self) -> str:
        missing, repeated, unexpected = self.differing
        return (
            f"{self.before:.0f} MiB before, {self.peak:.0f} at its peak; done {self.seconds:.0f} s after; missing {missing}, "
            f"repeated {repeated}, unexpected {unexpected}; counted {self.felt:.0f} times"
        )


class Memory:
    """The greatest resident size of a process, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.peak = 0.0
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """MiB."""
        return float(self._process.memory_info().rss) / 2**20

    def _look(self) -> None:
        while not self._over.wait(0.2):
            with suppress(psutil.Error):
                self.peak = max(self.peak, self.now())

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()


@contextmanager
def away(begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """Something is gone for the length of the block."""
    begin()
    try:
        yield
    finally:
        end()


def cost(name: str, seconds: float, kafka: ProxiedKafka, valkey: ValkeyService, data: Path) -> Cost:
    """Load, trouble for so many seconds, and until all is done."""
    prefix = f"n-{name}-{uuid.uuid4().hex[:6]}."
    settings = Settings(
        kafka=kafka.bootstrap, redis_url=SecretStr(valkey.url), topic_prefix=prefix, group=f"{prefix}g",
        data_dir=data / prefix, archive_dir=data / prefix / "archive", archive_flush_seconds=1.0,
    )  # fmt: skip
    over = threading.Event()
    with open_house(settings, RULES) as house, ThreadPoolExecutor(1) as pool:
        (pid,) = house.crew.pids
        troubles = {
            "broker": lambda: away(kafka.kill, kafka.start),
            "redis": lambda: away(valkey.kill, valkey.start),
            "disk": lambda: disk_full([pid]),
            "heaps": lambda: away(lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT)),
        }
        events = load(
            random.Random(name).randrange(10**6), HEAP if name == "heaps" else int(RATE * (seconds + 2 * BEFORE))
        )
        fed = pool.submit(_feed, house, events, over, heaps=name == "heaps")
        try:
            over.wait(BEFORE)
            memory, counted = Memory(pid), felt(house, name)
            before = memory.now()
            with troubles[name]():
                over.wait(min(seconds, STANDSTILL) if name == "heaps" else seconds)
            ended = time.monotonic()
            fed.result(SETTLE)
            house.crew.wait_ready(60)
            house.settle(SETTLE)
            done = time.monotonic() - ended
            memory.stop()
        finally:
            over.set()
        assert house.crew.pids == [pid], "a worker died"
        clues = Counter(clue["clue_id"] for clue in house.records("clues"))
        differing = differences(expected(settings, RULES).clues, clues)
        proof = verify(settings.kafka_client(), prefix, settings.archive_dir, wait=90)
        return Cost(before, memory.peak, done, differing, proof.ok, felt(house, name) - counted)


def felt(house: House, name: str) -> float:
    """How often the worker has counted this trouble."""
    (url,) = house.crew.wait_ready(60)
    page = httpx.get(f"{url}/metrics", timeout=10).text
    samples = [sample for family in families(page) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name in FELT[name])


def _feed(house: House, events: list[dict[str, object]], over: threading.Event, heaps: bool) -> None:
    """A steady stream; or all at once, once the worker stands still."""
    if heaps:
        over.wait(BEFORE + 1)
        house.send(events, seconds=SETTLE)
        return
    step = RATE // 4
    for first in range(0, len(events), step):
        house.send(events[first : first + step], seconds=SETTLE)
        if over.wait(step / RATE):
            return


TROUBLES: Final[Mapping[str, str]] = {
    "broker": "the broker is killed, and comes back",
    "redis": "the live view is killed, and comes back empty",
    "disk": "no file may grow: archive and log",
    "heaps": f"the worker stands still while {HEAP:,} events come",
}


def main() -> int:
    """All troubles, one line each."""
    seconds, exact = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, True
    with tempfile.TemporaryDirectory() as scratch, stage(Path(scratch)) as (kafka, valkey):
        for name, words in TROUBLES.items():
            found = cost(name, seconds, kafka, valkey, Path(scratch))
            exact &= found.exact
            print(f"{name} ({words}), {seconds:.0f} s: {found}", flush=True)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
