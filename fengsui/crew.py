"""Processes of `up` and `demo`, workers and the gateway: started, awaited until ready, started again when they die or do not
answer any more."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import structlog
from pydantic import SecretStr

from fengsui.embedded.supervise import Child, Command, ServiceError
from fengsui.settings import Settings, variable

log = structlog.get_logger()
READY_SECONDS: Final = 120.0
# glibc gives each thread an arena of its own, and what one has freed no other can use: of 750 MB a worker needs 690.
MEMORY: Final = {"MALLOC_ARENA_MAX": "2"}
_POLL_SECONDS: Final = 0.1
_SHORTEST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 10.0
_HEALTH_SECONDS: Final = 5.0  # between two looks at a worker's health, and how long an answer may take
_HUNG_SECONDS: Final = 45.0  # without an answer that says it is well
_CALM_SECONDS: Final = 30.0  # a worker that lived this long died of something new: begin again with a short wait


def environment(settings: Settings) -> dict[str, str]:
    """The environment that hands a process these settings (addresses and secrets go by environment, never by command line)."""
    given = {variable(name): _text(getattr(settings, name)) for name in Settings.model_fields}
    return MEMORY | dict(os.environ) | {name: value for name, value in given.items() if value}


def _text(value: object) -> str:
    """A setting as its variable has it; "" where there is nothing to say, for a variable that is empty counts as none."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, bool | tuple | dict):
        return json.dumps(value, default=_text)
    return "" if value is None else str(value)


def address_file(settings: Settings, pid: int) -> Path:
    """Where a process writes its addresses: `url` of its pages, `ports` of the gateway's doors by name."""
    return settings.data_dir / "workers" / f"{pid}.json"


@contextmanager
def telling(settings: Settings) -> Iterator[Callable[[str, Mapping[str, int]], None]]:
    """For the length of a block this process's address file, which the given function writes (at once or not at all)."""
    path = address_file(settings, os.getpid())
    path.parent.mkdir(parents=True, exist_ok=True)

    def tell(url: str, ports: Mapping[str, int]) -> None:
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps({"url": url, "ports": dict(ports)}))
        aside.replace(path)

    try:
        yield tell
    finally:
        path.unlink(missing_ok=True)


class Crew:
    """`count` workers, with `more` in their environment, and a gateway if asked for. A context manager: leaving it stops them."""

    def __init__(
        self, settings: Settings, count: int = 1, more: Mapping[str, str] | None = None, *, gateway: bool = False
    ) -> None:
        self._settings, self._more = settings, more or {}
        self._children: list[Child] = []
        self._workers = count
        self._count = count + gateway
        self._doors: dict[str, str] = {}  # the ports that the gateway had: one that is started again has the same
        self._stopping = threading.Event()
        self._watches = [
            threading.Thread(target=watch, name=name, daemon=True)
            for watch, name in ((self._mend, "crew"), (self._look_after, "crew-health"))
        ]

    def __enter__(self) -> "Crew":
        (self._settings.data_dir / "workers").mkdir(parents=True, exist_ok=True)
        try:
            for i in range(self._count):
                self._children.append(self._start(i))
        except BaseException:
            self._stop()
            raise
        for watch in self._watches:
            watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for watch in self._watches:
            watch.join()
        self._stop()

    def _stop(self) -> None:
        """All at once: each may take its grace."""
        with ThreadPoolExecutor(max(1, len(self._children))) as pool:
            for _ in pool.map(Child.stop, self._children):
                pass

    @property
    def pids(self) -> list[int]:
        """Process ids now."""
        return [child.pid for child in self._children]

    def wait_ready(self, seconds: float = READY_SECONDS) -> list[str]:
        """Metrics URLs once every worker owns its tasks and they are live. Raises ServiceError."""
        deadline = time.monotonic() + seconds
        urls: list[str] = []
        while time.monotonic() < deadline:
            urls = [url for pid in self.pids if (url := self._ready_url(pid))]
            if len(urls) == self._count:
                return urls[: self._workers]
            time.sleep(_POLL_SECONDS)
        raise ServiceError(f"workers are not ready after {seconds:.0f} s (see {self._log(0)})")

    def gateway(self) -> tuple[str, dict[str, int]]:
        """Base URL and ports of the gateway, once it is ready."""
        return self._addresses(self._children[self._workers].pid)

    def _ready_url(self, pid: int) -> str:
        url = self._url(pid)
        return url if url and _answers(f"{url}/readyz", 2.0) else ""

    def _url(self, pid: int) -> str:
        """Where a process answers; nothing while it starts."""
        return self._addresses(pid)[0]

    def _addresses(self, pid: int) -> tuple[str, dict[str, int]]:
        try:
            told = json.loads(address_file(self._settings, pid).read_text())
            return str(told["url"]), dict(told.get("ports", {}))
        except (OSError, ValueError, KeyError):
            return "", {}

    def _log(self, i: int) -> Path:
        return self._settings.data_dir / (f"worker-{i}.log" if i < self._workers else "gateway.log")

    def _start(self, i: int) -> Child:
        given = environment(self._settings) | dict(self._more)
        if i >= self._workers:
            given |= self._same_doors()
        argv = [sys.executable, "-m", "fengsui", "worker" if i < self._workers else "gateway"]
        child = Child(Command(argv, self._log(i), grace_seconds=30.0, env=given))
        address_file(self._settings, child.pid).unlink(missing_ok=True)  # of one that had this pid before
        return child

    def _same_doors(self) -> dict[str, str]:
        """The ports of the gateway that runs, or did: devices and senders have them."""
        if len(self._children) > self._workers:
            url, ports = self.gateway()
            doors = {f"FENGSUI_{name.upper()}_PORT": str(port) for name, port in ports.items()}
            if url:
                self._doors = doors | {"FENGSUI_HTTP_PORT": url.rpartition(":")[2]}
        return self._doors

    def _mend(self) -> None:
        """Start the dead again: at once at first, then ever later, each by its own record. Nothing may end this thread."""
        waits = [_SHORTEST_SECONDS] * self._count
        started = [time.monotonic()] * self._count
        due: dict[int, float] = {}
        while not self._stopping.wait(0.2):
            now = time.monotonic()
            for i, child in enumerate(self._children):
                if i not in due and not child.alive:
                    calm = now - started[i] > _CALM_SECONDS
                    waits[i] = _SHORTEST_SECONDS if calm else min(waits[i] * 2, _LONGEST_SECONDS)
                    due[i] = now + waits[i]
                    log.warning("worker.died", worker=i, code=child.exit_code, again_in=waits[i])
                if i in due and now >= due[i]:
                    del due[i]
                    started[i] = time.monotonic()
                    self._renew(i, child)

    def _look_after(self) -> None:
        """kill -9 of whoever has not been well for long, or does not get as far as to answer; `_mend` does the rest."""
        well: dict[int, float] = {}
        while not self._stopping.wait(_HEALTH_SECONDS):
            for i, pid in [(i, child.pid) for i, child in enumerate(self._children) if child.alive]:
                url, now = self._url(pid), time.monotonic()
                patience = _HUNG_SECONDS if url else READY_SECONDS
                # A worker says so itself when it is stuck; a gateway that refuses is busy, and alive.
                if url and _answers(f"{url}/healthz", _HEALTH_SECONDS, in_any_way=i >= self._workers):
                    well[pid] = now
                elif now - well.setdefault(pid, now) > patience:
                    log.warning("worker.hung", pid=pid, seconds=patience)
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    def _renew(self, i: int, dead: Child) -> None:
        dead.stop()  # its launcher's pipes
        try:
            self._children[i] = self._start(i)
        except (ServiceError, OSError) as error:
            log.warning("worker.start", worker=i, error=str(error))


def _answers(url: str, seconds: float, *, in_any_way: bool = False) -> bool:
    """Whether a page says that all is well, in time; or `in_any_way` answers at all."""
    try:
        return httpx.get(url, timeout=seconds).status_code == httpx.codes.OK or in_any_way
    except httpx.HTTPError:
        return False
