"""Supervised children: they stop when asked, cannot outlive us, and are not disturbed by anything else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fengsui.embedded import locks
from fengsui.embedded.supervise import Child, Command, ServiceError, await_gone

STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
SLEEPER = "print('up', flush=True); import time; time.sleep(60)"

PARENT = """
import sys
from pathlib import Path
from fengsui.embedded.supervise import Child, Command
child = Child(Command([sys.executable, "-c", "import time; time.sleep(60)"], Path(sys.argv[1]), 1.0))
print(child.pid, flush=True)
sys.stdin.read()
"""


def until(condition: object, seconds: float = 10.0) -> None:
    """Wait for `condition()` to hold."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.01)


def child_of(code: str, log: Path, grace: float = 5.0, lock: int | None = None) -> Child:
    child = Child(Command([sys.executable, "-c", code], log, grace, lock=lock))
    until(lambda: b"up" in log.read_bytes())
    return child


def test_stop_is_orderly(tmp_path: Path) -> None:
    """`stop` sends SIGTERM and waits until the process is gone; a second `stop` does nothing."""
    child = child_of(SLEEPER, tmp_path / "log")
    assert child.alive
    child.stop()
    child.stop()
    assert (child.alive, child.exit_code) == (False, 128 + signal.SIGTERM)
    assert not psutil.pid_exists(child.pid)


def test_a_stubborn_child_is_killed(tmp_path: Path) -> None:
    """One that ignores SIGTERM is killed after its grace."""
    child = child_of(STUBBORN, tmp_path / "log", grace=0.2)
    began = time.monotonic()
    child.stop()
    assert child.exit_code == 128 + signal.SIGKILL
    assert time.monotonic() - began < 3.0


def test_kill_is_at_once(tmp_path: Path) -> None:
    """`kill` does not ask."""
    child = child_of(STUBBORN, tmp_path / "log", grace=60.0)
    child.kill()
    assert child.exit_code == 128 + signal.SIGKILL


def test_its_own_end_is_seen(tmp_path: Path) -> None:
    """A child that ends by itself is reported with its status."""
    child = Child(Command([sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "log"))
    until(lambda: not child.alive)
    assert child.exit_code == 7
    child.stop()


def test_a_missing_program_is_said_in_the_log(tmp_path: Path) -> None:
    """A program that is not there ends with 127 and a line in the log."""
    child = Child(Command(["/nonexistent/program"], tmp_path / "log"))
    until(lambda: not child.alive)
    assert child.exit_code == 127
    assert "/nonexistent/program" in (tmp_path / "log").read_text()
    child.stop()


def test_a_launcher_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that gives no process id is an error in one line."""
    monkeypatch.setattr("fengsui.embedded.supervise._LAUNCHER", tmp_path / "missing.py")
    with pytest.raises(ServiceError, match="cannot start"):
        Child(Command([sys.executable, "-c", ""], tmp_path / "log"))


def test_a_halted_child_is_left_alone(tmp_path: Path) -> None:
    """SIGSTOP and SIGCONT (fault tests use them) do not end it."""
    child = child_of(SLEEPER, tmp_path / "log")
    process = psutil.Process(child.pid)
    process.suspend()
    until(lambda: process.status() == psutil.STATUS_STOPPED)
    process.resume()
    until(lambda: process.status() != psutil.STATUS_STOPPED)
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(0.6)  # longer than the launcher's own look at things
    assert child.alive
    child.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the parent ends, the child is gone soon after."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, number)
    parent.wait(10)
    assert await_gone(child, 5.0)
    parent.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_it_does_not_outlive_its_launcher(tmp_path: Path) -> None:
    """Even when the launcher itself is killed, the kernel takes the child along."""
    child = child_of(STUBBORN, tmp_path / "log")
    launcher = psutil.Process(child.pid).parent()
    assert launcher is not None
    launcher.kill()
    assert await_gone(child.pid, 5.0)
    child.stop()


def test_ctrl_c_of_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    """The child is in another session and process group than we are."""
    child = child_of(SLEEPER, tmp_path / "log")
    assert os.getsid(child.pid) != os.getsid(0)
    assert os.getpgid(child.pid) != os.getpgid(0)
    child.stop()


def test_its_lock_lasts_as_long_as_it(tmp_path: Path) -> None:
    """The lock a child was given stays held until it has ended, although we closed our own copy."""
    lock = locks.take(tmp_path / "lock", 0.0)
    child = child_of(SLEEPER, tmp_path / "log", lock=lock)
    os.close(lock)
    with pytest.raises(locks.BusyError):
        locks.take(tmp_path / "lock", 0.0)
    child.kill()
    os.close(locks.take(tmp_path / "lock", 0.0))
