"""What is kept of compiled functions between runs holds as long as no function they call has changed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba.core.errors import TypingError

from topics import compiled as of_house
from topics.compiled import compiled, compiled_allocating, compiled_locked, stamp

CALLED = "from topics.compiled import compiled\n\n\n@compiled\ndef inner(x: int) -> int:\n    return x + {}\n"
CALLER = """from topics.compiled import compiled
from rules.inner import inner


@compiled
def outer(x: int) -> int:
    return 2 * inner(x)
"""


def _house(at: Path) -> Path:
    """A project of the same rooms, with two compiled functions in two files."""
    for room in ("topics", "rules"):
        (at / room).mkdir(parents=True)
        (at / room / "__init__.py").touch()
    shutil.copy(of_house.__file__, at / "topics" / "compiled.py")
    (at / "rules" / "inner.py").write_text(CALLED.format(1))
    (at / "rules" / "outer.py").write_text(CALLER)
    return at


def _said(house: Path) -> str:
    """What a process says that calls the outer function: its answer, and how often it came from the disk."""
    code = "from rules.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=house, capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def test_a_callee_in_another_file_that_changed_is_compiled_into_its_callers_anew(tmp_path: Path) -> None:
    """Numba alone goes on running what the callee was."""
    house = _house(tmp_path)
    assert _said(house) == "4 0"
    assert _said(house) == "4 1"
    (house / "rules" / "inner.py").write_text(CALLED.format(2))
    assert _said(house) == "6 0"
    assert _said(house) == "6 1"


def test_files_without_compiled_functions_and_of_rooms_above_do_not_count(tmp_path: Path) -> None:
    """So that what is kept is not thrown away for nothing."""
    house = _house(tmp_path)
    before = stamp("rules", house)
    (house / "rules" / "plain.py").write_text("X = 1\n")
    (house / "streams").mkdir()
    (house / "streams" / "fast.py").write_text(CALLED.format(3))
    stamp.cache_clear()
    assert stamp("rules", house) == before
    (house / "topics" / "fast.py").write_text(CALLED.format(3))
    stamp.cache_clear()
    assert stamp("rules", house) != before


def makes(column: npt.NDArray[np.int64]) -> int:
    """It makes an array, which needs references to be counted."""
    return int(np.empty_like(column).size)


@compiled_allocating
def makes_too(column: npt.NDArray[np.int64]) -> int:
    """The same: what is kept on the disk is by name."""
    return int(np.empty_like(column).size)


@pytest.mark.parametrize("decorate", [compiled, compiled_locked])
def test_compiled_code_counts_no_references(decorate: Callable[[Any], Any]) -> None:
    """Each count is an atomic step; a kernel of the hot path that makes an array does not compile."""
    column = np.array([1, 2])
    assert makes_too(column) == 2
    with pytest.raises(TypingError):
        decorate(makes)(column)
