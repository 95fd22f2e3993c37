"""What the desk remembers beside the clues: answers given, so that a repeat hears the same, and ids of closed clues."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from streams.desk.case import Case

_ANSWERS: Final = 64


class Held(msgspec.Struct):
    """A clue and the newest answers about it: 64 of accepted and 64 of refused commands.

    Apart, so that a storm of refusals does not push out what was done.
    """

    case: Case
    memory: dict[str, dict[str, dict[str, Any]]] = {}

    def answered(self, command_id: str) -> dict[str, Any] | None:
        """The answer given to that command id, None if it is new (or long forgotten)."""
        for answers in self.memory.values():
            if command_id in answers:
                return answers[command_id]
        return None

    def remember(self, answer: dict[str, Any]) -> None:
        """Keep an answer; the engine's own steps have no command id, and none."""
        command_id = answer["command_id"]
        if not command_id:
            return
        answers = self.memory.setdefault("accepted" if answer["accepted"] else "refused", {})
        answers[command_id] = answer
        if len(answers) > _ANSWERS:
            del answers[next(iter(answers))]


class Marks:
    """Ids of clues closed long ago, the newest `limit` of them: 8 bytes of BLAKE2b each.

    >>> marks = Marks(2)
    >>> for clue_id in ("a", "b", "c"):
    ...     marks.add(clue_id)
    >>> "a" in marks, "c" in marks
    (False, True)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, clue_id: str) -> bool:
        return bool(self._known) and _mark(clue_id) in self._known

    def add(self, clue_id: str) -> None:
        """Remember one more; the oldest goes when there is no room."""
        self._known[_mark(clue_id)] = None
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]

    def array(self) -> npt.NDArray[np.uint64]:
        """uint64[n], oldest first."""
        return np.fromiter(self._known, np.uint64, len(self._known))

    def fill(self, marks: npt.NDArray[np.uint64]) -> None:
        """Take those of an array in place of the own ones."""
        self._known = dict.fromkeys(marks.tolist())


def _mark(clue_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(clue_id.encode(), digest_size=8).digest(), "little")


def packed(held: Iterable[Held]) -> npt.NDArray[np.uint8]:
    """The clues held as bytes of JSON, uint8[n]."""
    return np.frombuffer(msgspec.json.encode(list(held)), np.uint8)


def unpacked(array: npt.NDArray[np.uint8]) -> list[Held]:
    """The clues of `packed`."""
    return msgspec.json.decode(array.tobytes(), type=list[Held])
