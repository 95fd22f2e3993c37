"""`@compiled`: a function made machine code by numba, without Python's lock, and kept on disk between runs.

Numba asks whether the file of a function itself has changed. It also puts into it what the function calls in other files: after
an upgrade that changed only those, the former code would run on. Here what is kept holds for the files of all compiled functions
that can be among the callees (rooms import downwards only) and is made anew when one of them changes.

Arrays belong to the caller. Numba would count references to every array on its way through every call, each an atomic step: that
was four fifths of what a window cost (docs/adr/0008). A function that makes arrays of its own cannot do without, and
one that counts none returns no array, in no tuple either: a slice would come back as the whole.

>>> from topics.identifiers import uscc_at
>>> import numpy as np
>>> uscc_at(np.frombuffer(b"91350100M000100Y43", np.uint8), 0, 18)
True
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import caching

F = TypeVar("F", bound=Callable[..., Any])
HOUSE: Final = Path(__file__).parents[1]
ROOMS: Final = {
    "topics": ("topics",),
    "rules": ("topics", "rules"),
    "models": ("topics", "models"),
    "streams": ("topics", "rules", "models", "streams"),
}
MARKS: Final = (b"import compiled", b"import numba", b"from numba")


@cache
def stamp(room: str, house: Path = HOUSE) -> bytes:
    """Digest of every file with compiled functions that those of a room may call."""
    digest = hashlib.sha256()
    for below in ROOMS.get(room, ROOMS["streams"]):
        for path in sorted((house / below).rglob("*.py")):
            source = path.read_bytes()
            if any(mark in source for mark in MARKS):
                digest.update(hashlib.sha256(source).digest())
    return digest.digest()


def _room(file: str) -> str:
    path = Path(file)
    return path.relative_to(HOUSE).parts[0] if path.is_relative_to(HOUSE) else ""


class _Stamped:
    """A place for compiled code whose contents hold for more files than one."""

    _py_file: str

    def get_source_stamp(self) -> tuple[bytes, bytes]:
        """What numba compares with what it kept."""
        return super().get_source_stamp(), stamp(_room(self._py_file))  # type: ignore[misc]


class Given(_Stamped, caching.UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR."""


class Beside(_Stamped, caching.InTreeCacheLocator):
    """`__pycache__` beside the file."""


class Users(_Stamped, caching.UserWideCacheLocator):
    """Below the user's cache directory."""


_CONFIG: Final[Any] = numba.config
_PLACES: Final = ",".join(f"{__name__}.{place.__name__}" for place in (Given, Beside, Users))


def _compiled(function: F, *, nogil: bool, counted: bool = False) -> F:
    before, _CONFIG.CACHE_LOCATOR_CLASSES = _CONFIG.CACHE_LOCATOR_CLASSES, _PLACES
    try:
        options: dict[str, Any] = {"cache": True, "nogil": nogil, "_nrt": counted}  # `_nrt`: counts references
        return cast("F", numba.njit(**options)(function))
    finally:
        _CONFIG.CACHE_LOCATOR_CLASSES = before


def compiled(function: F) -> F:
    """The function, compiled when first called with arguments of these types; other threads run on meanwhile."""
    return _compiled(function, nogil=True)


def compiled_locked(function: F) -> F:
    """The same holding Python's lock: no other thread sees its arrays half changed."""
    return _compiled(function, nogil=False)


def compiled_allocating(function: F) -> F:
    """`compiled_locked` for a function that makes arrays, and counts references to them; not for a hot path. Compiled code that
    counts none must not call it: what it gives would never be freed."""
    return _compiled(function, nogil=False, counted=True)
