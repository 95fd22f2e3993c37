"""Nothing is compiled while events wait, and nothing is loaded that only learning needs."""

import subprocess
import sys


def test_after_warming_up_no_kernel_is_compiled() -> None:
    """A kernel compiled in a batch costs seconds, and writes a file: with a full disk it would fail there."""
    probe = [sys.executable, "-m", "tests.unit.fengsui.warm_probe"]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
