"""Run one command and make sure that it never outlives the process that asked for it.

    python launch.py GRACE_SECONDS COMMAND [ARGUMENT ...]

Standard input is a pipe whose other end the parent holds and never writes to: when the parent ends, however it ends
(`kill -9` too), the pipe closes and the command is stopped, first with SIGTERM and after GRACE_SECONDS with SIGKILL.
The parent's process id is watched as well, because a fork of the parent may keep the pipe open. On Linux the kernel
also kills the command should this process itself be killed. The command's process id is the first line of standard
output.

The file runs by path in an isolated interpreter and imports the standard library only, so that it starts in some 20 ms.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.25


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; only Linux can, elsewhere the pipe alone has to do."""
    if sys.platform == "linux":
        import ctypes  # here, because it takes a third of the start

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _run_child(argv: Sequence[str], launcher: int) -> None:
    """Become the command (never returns). Signals the launcher blocked or ignored go back to their defaults."""
    _die_with_parent()
    if os.getppid() != launcher:  # it died before the request to the kernel was in place
        os._exit(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # standard output belongs to the protocol with the parent; the command's words go to the log
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(argv[0], list(argv))  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _exited(child: int) -> int | None:
    """The child's exit status in shell convention (128 + signal), or None while it runs."""
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _send(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _wait(child: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while (status := _exited(child)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return status


def _watch(child: int, parent: int, stop: int) -> int | None:
    """Wait until the child ends (its status), or until it must be stopped (None)."""
    while True:
        ready, _, _ = select.select([0, stop], [], [], _POLL_SECONDS)
        if (status := _exited(child)) is not None:
            return status
        # A child that is merely halted (SIGSTOP) also sends SIGCHLD: that is no reason to end it.
        asked = stop in ready and set(os.read(stop, 64)) != {signal.SIGCHLD}
        if asked or 0 in ready or os.getppid() != parent:
            return None


def main(argv: Sequence[str]) -> int:
    """Run `argv[1:]`, stop it when the parent goes or SIGTERM comes, and return its exit status."""
    grace, command, parent = float(argv[0]), argv[1:], os.getppid()
    stop_read, stop_write = os.pipe()
    os.set_blocking(stop_write, False)
    signal.set_wakeup_fd(stop_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # a Python handler, so that the wake-up pipe hears of it
    launcher = os.getpid()
    child = os.fork()
    if child == 0:
        _run_child(command, launcher)
    os.write(1, f"{child}\n".encode())
    status = _watch(child, parent, stop_read)
    if status is None:
        _send(child, signal.SIGTERM)
        status = _wait(child, grace)
    if status is None:
        _send(child, signal.SIGKILL)
        status = _wait(child, 10.0)
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
