"""Locks between processes: a file that one process at a time holds, until its last holder ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.05


class BusyError(RuntimeError):
    """Another process holds the lock."""


def take(path: Path, seconds: float) -> int:
    """Lock `path` (created when missing) and return its descriptor.

    It is unlocked when the descriptor and every copy that a child inherited are closed.

    Raises BusyError when another process still holds it after `seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise BusyError(f"{path} is held by another process") from None
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor


@contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock on `path` inside the block."""
    descriptor = take(path, seconds)
    try:
        yield
    finally:
        os.close(descriptor)
