"""Child processes that cannot be orphaned: a small launcher stops each when this process ends, in any way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.02


class ServiceError(RuntimeError):
    """An embedded service cannot be started or reached; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: absolute program and arguments, the file for its output, the seconds it may take to stop.

    `lock` is a locked descriptor (see `locks`) that the child inherits, so that its data cannot be opened twice.
    """

    argv: Sequence[str]
    log: Path
    grace_seconds: float = 10.0
    env: Mapping[str, str] | None = None
    lock: int | None = None


class Child:
    """A running command, in a session of its own: the terminal's Ctrl-C reaches only us, who then stop it in order."""

    def __init__(self, command: Command) -> None:
        """Start it. Raises ServiceError when the launcher does not come up."""
        self._grace = command.grace_seconds
        argv = [sys.executable, "-I", "-S", str(_LAUNCHER), str(command.grace_seconds), *command.argv]
        with command.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=None if command.env is None else dict(command.env),
                start_new_session=True,
                pass_fds=() if command.lock is None else (command.lock,),
            )
        assert self._launcher.stdout is not None  # noqa: S101 - a pipe was asked for
        first_line = self._launcher.stdout.readline()
        if not first_line.strip().isdigit():
            self._close()
            raise ServiceError(f"cannot start {command.argv[0]} (see {command.log})")
        self.pid = int(first_line)

    @property
    def alive(self) -> bool:
        """Whether the command is still running."""
        return self._launcher.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit status (128 + signal when killed), or None while it runs."""
        return self._launcher.poll()

    def stop(self) -> None:
        """Ask it to end and wait; it is killed when it takes longer than its grace. A second call does nothing more."""
        if self.alive:
            self._launcher.terminate()
        self._close()

    def kill(self) -> None:
        """`kill -9`, as a crash would be, and wait until it is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        for pipe in (self._launcher.stdin, self._launcher.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._launcher.wait(self._grace + 15.0)
        except (
            subprocess.TimeoutExpired
        ):  # its child is unkillable (stuck in the kernel): leave no launcher behind at least
            self._launcher.kill()
            self._launcher.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def await_gone(pid: int, seconds: float) -> bool:
    """Whether process `pid` (of any parent) has ended within `seconds`; a zombie counts as ended."""
    import psutil

    deadline = time.monotonic() + seconds
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
