"""The lock file of a folder of rules: id -> version, its number, hash of the file. Kept beside the rules in version control,
it shows in every change which rules mean something else now, and an id that was ever used is never used for another rule.

>>> one = Locked("3f2a9c", 1, "aa")
>>> read(text({"a-rule": one})) == {"a-rule": one}
True
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rules.filters import FILTER_KEY, Filter
from rules.model import Rule

NAME: Final = "rules.lock"


@dataclass(frozen=True, slots=True)
class Locked:
    """One rule or filter (`filter:` before its id): version (of its meaning), its number from 1, SHA-256 of the file's text;
    `gone`: the file is not there any more."""

    version: str
    number: int
    sha256: str
    gone: bool = False


Lock = Mapping[str, Locked]


class LockError(ValueError):
    """The lock file cannot be read, or an id is used again."""


def read(said: str) -> dict[str, Locked]:
    """The lock of a file's text. Raises LockError."""
    try:
        found = {key: Locked(**value) for key, value in json.loads(said).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise LockError(f"{NAME} cannot be read: {error}; write it anew from version control") from error
    return found


def text(lock: Lock) -> str:
    """A file's text: one line an id, so that changes of two branches meet without a conflict."""
    lines = (f" {json.dumps(key)}: {json.dumps(asdict(lock[key]))}" for key in sorted(lock))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def locked(before: Lock, rules: Sequence[Rule], filters: Sequence[Filter] = ()) -> dict[str, Locked]:
    """The lock of these files: numbers go on from what was. Raises LockError where an id is used again."""
    found: dict[str, Locked] = {}
    for key, one in _keyed(rules, filters).items():
        old, digest = before.get(key), hashlib.sha256(one.text.encode()).hexdigest()
        if old is not None and old.gone:
            raise LockError(f"id '{key}' was another rule's, which is gone; clues are known by it: take a new one")
        number = 1 if old is None else old.number + (old.version != one.version)
        found[key] = Locked(one.version, number, digest)
    gone = {
        key: Locked(old.version, old.number, old.sha256, gone=True) for key, old in before.items() if key not in found
    }
    return found | gone


def behind(lock: Lock, rules: Sequence[Rule], filters: Sequence[Filter] = ()) -> list[str]:
    """What the lock does not know yet, in words; files whose comments or tests changed are not among it."""
    said = []
    given = _keyed(rules, filters)
    for key, one in given.items():
        old = lock.get(key)
        if old is None or old.gone:
            said.append(f"{key} is not in {NAME}")
        elif old.version != one.version:
            said.append(f"{key} means something else than in {NAME}")
    return said + [f"{key} is in {NAME} and not here" for key, old in lock.items() if not old.gone and key not in given]


def _keyed(rules: Sequence[Rule], filters: Sequence[Filter]) -> dict[str, Rule | Filter]:
    return {rule.id: rule for rule in rules} | {FILTER_KEY + one.id: one for one in filters}
