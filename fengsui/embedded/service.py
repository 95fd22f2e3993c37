"""What the embedded servers have in common: a home directory, ports chosen once, a life that can be repeated."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from fengsui.embedded import locks
from fengsui.embedded.ports import free_ports
from fengsui.embedded.supervise import Child, Command, ServiceError

_BIND_ATTEMPTS = 4
_BIND_ERROR = b"Address already in use"


class Service(ABC):
    """A server on the loopback address. `restart` keeps its address, after `stop` as well as after `kill`."""

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    ready_seconds: ClassVar[float] = 60.0
    predecessor_seconds: ClassVar[float] = 20.0  # how long the last one on this directory may take to end

    def __init__(self, home: Path) -> None:
        """Not started yet: `home` takes data, configuration and log."""
        self.home = home
        self._ports: list[int] | None = None
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """The file that takes the server's log lines."""
        return self.home / "server.log"

    @property
    def port(self) -> int:
        """The port that clients use."""
        if self._ports is None:
            raise ServiceError(f"the embedded {self.name} has not been started")
        return self._ports[0]

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        if self._child is None:
            raise ServiceError(f"the embedded {self.name} has not been started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the server's process is running."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start it and wait until it answers. Ports are chosen at the first start; a lost race for them is run again.

        Raises ServiceError when it does not answer in time, naming the log file.
        """
        for _ in range(_BIND_ATTEMPTS):
            ports = self._ports or free_ports(self.port_count)
            self._launch(ports)
            if self._becomes_ready(ports):
                self._ports = ports
                return
            self.stop()
            if _BIND_ERROR not in self.log.read_bytes():
                break
        raise ServiceError(f"the embedded {self.name} did not start (see {self.log})")

    def stop(self) -> None:
        """An orderly shutdown; waits until the process is gone."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """`kill -9`, as a crash would be; waits until the process is gone."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop it if it runs, start it again on the same address, and wait until it answers."""
        self.stop()
        self.start()

    @abstractmethod
    def _command(self, ports: Sequence[int], lock: int) -> Command:
        """Write the configuration for these ports; what to run, holding `lock`."""

    @abstractmethod
    def _answers(self, ports: Sequence[int]) -> bool:
        """Whether our own server (another one may have taken the port) answers now."""

    def _launch(self, ports: Sequence[int]) -> None:
        """Start the process; it holds a lock on `home`, so that two servers never share one directory."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            lock = locks.take(self.home / "lock", self.predecessor_seconds)
        except locks.BusyError:
            raise ServiceError(f"another embedded {self.name} is running on {self.home}") from None
        try:
            self._keep_last_log()
            self._child = Child(self._command(ports, lock))
        finally:
            os.close(lock)  # the child keeps its copy

    def _keep_last_log(self) -> None:
        """Each start has a log of its own; the one before is kept beside it."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))

    def _becomes_ready(self, ports: Sequence[int]) -> bool:
        """Wait for the first answer; False when the process ends or takes too long."""
        retrying = Retrying(
            retry=retry_if_result(lambda answered: not answered and self.alive),
            stop=stop_after_delay(self.ready_seconds),
            wait=wait_exponential(multiplier=0.005, max=0.05),
        )
        try:
            return bool(retrying(lambda: self._answers(ports)))
        except RetryError:
            return False
