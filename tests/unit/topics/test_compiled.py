"""What is kept of compiled functions between runs holds as long as no function they call has changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from numba.core.errors import TypingError

from topics import compiled as of_house
from topics.compiled import compiled, stamp

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


def test_compiled_code_counts_no_references() -> None:
    """Each count is an atomic step; a kernel of the hot path that makes an array does not compile."""

    @compiled
    def total(column: npt.NDArray[np.int64]) -> int:
        found = 0
        for value in column[1:]:
            found += value
        return found

    @compiled
    def makes(column: npt.NDArray[np.int64]) -> int:
        return int(np.empty_like(column).size)

    assert total(np.array([4, 2, 3])) == 5
    assert not any("NRT" in assembly for assembly in total.inspect_asm().values())  # type: ignore[attr-defined]
    with pytest.raises(TypingError):
        makes(np.array([1]))
