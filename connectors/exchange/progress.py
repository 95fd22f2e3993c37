"""How far a batch has got, in a small file beside the report: replaced whole, so that it is never half written."""

import contextlib
import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connectors.disk import sync_folder

FORMAT: Final = 1


class ProgressError(ValueError):
    """The batch cannot go on from here; one line that says why."""


@dataclass(slots=True)
class Tally:
    """What became of the rows: read = sent + refused + skipped; `mended`, `warned`: values by rule."""

    read: int = 0
    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another's rows too."""
        self.read += other.read
        self.sent += other.sent
        for name in ("refused", "skipped", "mended", "warned"):
            getattr(self, name).update(getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """Numbers, and rules with theirs."""
        rules = {name: dict(sorted(getattr(self, name).items())) for name in ("refused", "skipped", "mended", "warned")}
        return {"read": self.read, "sent": self.sent, **rules}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Tally":
        """The inverse."""
        return cls(
            found["read"],
            found["sent"],
            *(Counter(found[name]) for name in ("refused", "skipped", "mended", "warned")),
        )


@dataclass(slots=True)
class Progress:
    """Of a batch: which source and terms (`identity`), the last line of which everything up to it is acknowledged, what the row
    there was (a digest, where the source can change under it), the report's size, the counts, whether it is finished."""

    identity: dict[str, Any]
    line: int = 0
    mark: str = ""
    report_bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    done: bool = False

    def save(self, path: Path) -> None:
        """Replace the file: written aside, onto the disk, renamed. Raises OSError."""
        found = {
            "format": FORMAT,
            "identity": self.identity,
            "line": self.line,
            "mark": self.mark,
            "report_bytes": self.report_bytes,
            "tally": self.tally.as_json(),
            "done": self.done,
        }
        aside = path.with_name(path.name + ".new")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(found, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)


def load(path: Path, identity: dict[str, Any]) -> Progress | None:
    """What is there, or None. Raises ProgressError when it is of another source or does not read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ProgressError(f"{path.name}: 进度文件损坏 does not read; --restart 重新开始 begins anew") from error
    try:
        if found["format"] != FORMAT:
            raise ProgressError(f"{path.name}: 进度文件版本不同 another format; --restart 重新开始 begins anew")
        was = found["identity"]
        other = sorted(name for name in was.keys() | identity.keys() if was.get(name) != identity.get(name))
        if other:
            raise ProgressError(
                f"来源或条件已变 source or terms are others than before ({', '.join(other)}); --restart begins anew"
            )
        return Progress(
            was, found["line"], found["mark"], found["report_bytes"], Tally.from_json(found["tally"]), found["done"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ProgressError(f"{path.name}: 进度文件损坏 does not read; --restart 重新开始 begins anew") from error


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process at a time has this progress file. Raises ProgressError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.name}.lock")
    with place.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = place.stat().st_ino == os.fstat(lock.fileno()).st_ino  # not one that its holder has just removed
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise ProgressError(f"{path.name}: 另一进程正在进行 another process is at it")
        try:
            yield
        finally:
            place.unlink()
