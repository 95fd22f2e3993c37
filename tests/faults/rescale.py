"""How long clues have to wait while workers come, go and die: `python -m tests.faults.rescale [ROWS]`.

The log holds ROWS readings that the windows of a rule keep; then hot readings come at a steady rate, each of them a clue, and a
reader of committed clues notes how late each is. Stop-the-world is the longest wait; a dead worker's transaction would show too.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.events import produce
from bench.latency import Arrival, arrivals
from fengsui.crew import Crew
from fengsui.embedded import services
from fengsui.settings import Settings
from tests.acceptance.house import House, now_ms, open_house, reading, wait_until
from tests.acceptance.rules import KEPT

RATE: Final = 10  # hot readings a second; a rule may raise 500 clues an hour in a partition


@dataclass(slots=True)
class Watch:
    """Hot readings in, their clues out."""

    house: House
    waits: list[Arrival] = field(default_factory=list)
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def longest(self, since: float) -> float:
        """The longest wait of what was produced since then, all of it read."""
        return max((one.wait for one in self.waits if one.at >= since), default=0.0)

    def feed(self) -> None:
        """A steady stream of hot readings until told to stop."""
        while not self._stop.wait(0.1):
            now = now_ms()
            self.house.send(
                [
                    reading(self.sent + i, 60.0, event_id=f"hot{self.sent + i}", occurred_at=now, observed_at=now)
                    for i in range(RATE // 10)
                ]
            )
            self.sent += RATE // 10

    def read(self) -> None:
        """Committed clues as they come, until each hot reading has had its own."""
        for one in arrivals(self.house.settings, lambda: self._stop.is_set() and len(self.waits) >= self.sent):
            self.waits.append(one)

    def stop(self) -> None:
        """No more hot readings."""
        self._stop.set()


@contextmanager
def watching(settings: Settings, rows: int, workers: int) -> Iterator[Watch]:
    """Workers whose windows hold `rows` readings, under load and watched."""
    with open_house(settings, [KEPT], workers) as house:
        produce(settings.kafka_client(), settings.topic_prefix + "events.iot", rows)
        house.settle(300)
        watch = Watch(house)
        threads = [threading.Thread(target=watch.feed), threading.Thread(target=watch.read)]
        for thread in threads:
            thread.start()
        try:
            yield watch
        finally:
            watch.stop()
            for thread in threads:
                thread.join(60)


def come_and_go(watch: Watch, settings: Settings) -> dict[str, float]:
    """Seconds that the slowest clue took while a worker was added, and while it was taken away."""
    late = settings.model_copy(update={"data_dir": settings.data_dir / "late"})
    late.data_dir.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with Crew(late, 1) as extra:
        extra.wait_ready()
        watch.house.crew.wait_ready()
        _calm(watch)
        added = watch.longest(began)
        began = time.time()
    watch.house.crew.wait_ready()
    _calm(watch)
    return {"added": added, "removed": watch.longest(began)}


def die(watch: Watch) -> float:
    """Seconds that the slowest clue took when a worker was killed."""
    began = time.time()
    os.kill(random.choice(watch.house.crew.pids), signal.SIGKILL)
    watch.house.crew.wait_ready()
    _calm(watch)
    return watch.longest(began)


def _calm(watch: Watch) -> None:
    """Until what was sent by now has been read, and clues come promptly again."""
    sent = watch.sent
    wait_until(lambda: len(watch.waits) >= sent + RATE and watch.waits[-1][1] <= 1.0, 60, "clues coming promptly again")


def main() -> None:
    """With a million rows, or as many as are asked for."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as scratch, services(Settings(data_dir=Path(scratch))) as running:
        settings = running.settings.model_copy(
            update={"topic_prefix": f"r{uuid.uuid4().hex[:6]}.", "archive_dir": Path(scratch) / "archive"}
        )
        with watching(settings, rows, 1) as watch:
            print({"rows": rows} | come_and_go(watch, settings), flush=True)


if __name__ == "__main__":
    main()
