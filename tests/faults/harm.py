"""What may go wrong around a running house: each fault begins, lasts, and is over; none needs a hand afterwards."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from fengsui.crew import Crew
from fengsui.embedded.supervise import ServiceError
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings
from tests.faults.broker import ProxiedKafka

STANDSTILL: Final = 20.0  # seconds: longer than a session and a transaction live
CUT: Final = 10.0
FULL: Final = 8.0
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@dataclass(slots=True)
class Scene:
    """What a fault may lay hands on. `late`: settings of workers that join later; `clock`: the file times come from."""

    rng: random.Random
    crew: Crew
    kafka: ProxiedKafka
    valkey: ValkeyService
    late: Settings
    clock: Path

    def victim(self) -> int:
        """One of the workers."""
        return self.rng.choice(self.crew.pids)


def kill_worker(scene: Scene) -> None:
    """kill -9; its supervisor starts another."""
    with suppress(ProcessLookupError):
        os.kill(scene.victim(), signal.SIGKILL)


def stop_worker(scene: Scene) -> None:
    """It stands still longer than its session lives, then goes on as if nothing had happened."""
    victim = scene.victim()
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGSTOP)
        try:
            time.sleep(STANDSTILL)
        finally:
            os.kill(victim, signal.SIGCONT)


def restart_broker(scene: Scene) -> None:
    """The broker is stopped in order."""
    scene.kafka.restart()


def kill_broker(scene: Scene) -> None:
    """The broker is killed, and comes back after a while."""
    scene.kafka.kill()
    time.sleep(scene.rng.uniform(0, 3))
    scene.kafka.start()


def cut_network(scene: Scene) -> None:
    """Nothing goes between workers and broker, and nobody is told."""
    scene.kafka.proxy.cut()
    time.sleep(CUT)
    scene.kafka.proxy.heal()


def kill_redis(scene: Scene) -> None:
    """The live view is gone; it comes back empty."""
    scene.valkey.kill()
    time.sleep(scene.rng.uniform(0, 2))
    scene.valkey.start()


@contextmanager
def disk_full(pids: Sequence[int]) -> Iterator[None]:
    """No file of these processes may grow beyond a page: what they write to the archive and the log fails."""
    limited = []
    for pid in pids:
        with suppress(psutil.Error):
            worker = psutil.Process(pid)
            limited.append((worker, worker.rlimit(resource.RLIMIT_FSIZE)))
            worker.rlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for worker, before in limited:
            with suppress(psutil.Error):
                worker.rlimit(resource.RLIMIT_FSIZE, before)


def fill_disk(scene: Scene) -> None:
    """The disk is full for a while."""
    with disk_full(scene.crew.pids):
        time.sleep(FULL)


def step_clock(scene: Scene) -> None:
    """The clock of the workers that were started under libfaketime goes an hour ahead, then behind."""
    for step in ("+3600", "-3600", "+0"):
        scene.clock.write_text(step)
        time.sleep(3)


def rebalance_storm(scene: Scene) -> None:
    """Workers join and leave, one upon the other, some before they are ready."""
    for _ in range(3):
        with Crew(scene.late, 1) as extra, suppress(ServiceError):
            extra.wait_ready(scene.rng.uniform(1, 12))


FAULTS: Final[Mapping[str, Callable[[Scene], None]]] = {
    "kill": kill_worker,
    "stop": stop_worker,
    "broker-restart": restart_broker,
    "broker-kill": kill_broker,
    "cut": cut_network,
    "redis": kill_redis,
    "disk": fill_disk,
    "clock": step_clock,
    "rebalance": rebalance_storm,
}
