"""The files of one topic-partition: one owner at a time; written aside, made durable, renamed. Names are progress."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from connectors.archive import table
from connectors.archive.layout import DAY_MS, LOCKS, TMP, ZONE_MS, Span, day, spans
from connectors.archive.table import Record
from connectors.disk import make_folder, sync_folder

_ROW_GROUP: Final = 100_000
_UNIQUE: Final = ("_offset", "_ts", "_value", "_headers", "event_id", "occurred_at", "observed_at")
_LOG_ID: Final = ".log-id"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on disk: what it covers, how many rows and bytes it holds."""

    span: Span
    rows: int
    bytes: int


class Shelf:
    """The files of one topic-partition. Only the holder of its lock writes; a second archiver waits for it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shelf = Shelf(Path(folder), "ticks", 0)
    ...     shelf.try_lock(), [w.span.name for w in shelf.write([Record(3, 0, None, b"x")], covers_to=6)]
    (True, ['0-0-5.parquet'])
    """

    def __init__(self, root: Path, topic: str, partition: int) -> None:
        """Nothing is touched yet: `root` is the archive's folder, `topic` a name without prefix."""
        self._root = root
        self._topic = topic
        self._partition = partition
        self._lock: int | None = None
        self.position = 0  # the first offset that no file covers

    def try_lock(self) -> bool:
        """Become the owner, unless another is, and learn the position. Raises OSError when the folder is unusable."""
        if self._lock is None:
            path = self._root / LOCKS / f"{self._topic}-{self._partition}"
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        self.rescan()
        return True

    def rescan(self) -> int:
        """Read the position from the file names again: after a failed write, they alone say what was written."""
        covered = spans(self._root, self._topic, self._partition)
        self.position = max((span.last + 1 for span in covered), default=0)
        return self.position

    def release(self) -> None:
        """Let another be the owner."""
        if self._lock is not None:
            os.close(self._lock)  # closing the descriptor gives the lock up
            self._lock = None

    def write(self, records: Sequence[Record], covers_to: int = 0) -> Iterator[Written]:
        """Write records (ascending offsets from `position` on), a file for each run of one date, yielded when durable.

        The last file covers the offsets below `covers_to` too, which hold no record. Raises OSError; what was yielded
        is written, of the rest `rescan` knows.
        """
        self._owned()
        runs = list(_runs(records))
        for i, (date, run) in enumerate(runs):
            last = run[-1].offset if i + 1 < len(runs) else max(run[-1].offset, covers_to - 1)
            span = Span(self._topic, self._partition, self.position, last, date)
            yield Written(span, len(run), self._put(span, table.table(self._topic, self._partition, run)))

    def skip(self, covers_to: int, now: int) -> Span:
        """Note that Kafka had deleted what lies below `covers_to` before it was archived; `now` (ms) dates the note."""
        self._owned()
        span = Span(self._topic, self._partition, self.position, covers_to - 1, day(now), gap=True)
        self._put(span, None)
        return span

    def _owned(self) -> None:
        if self._lock is None:
            raise RuntimeError(f"{self._topic}/{self._partition}: not locked")

    def _put(self, span: Span, rows: Any) -> int:
        """Make one file appear at once and durably -> its size in bytes."""
        path = span.path(self._root)
        aside = self._root / TMP / f"{self._topic}-{self._partition}"
        make_folder(aside.parent)
        make_folder(path.parent)
        with aside.open("wb") as file:
            if rows is not None:
                pq.write_table(
                    rows, file, compression="zstd", use_dictionary=_repetitive(rows), row_group_size=_ROW_GROUP
                )
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        aside.rename(path)
        sync_folder(path.parent)
        self.position = span.last + 1
        return size


def same_log(root: Path, topic: str, log_id: str) -> bool:
    """Whether the archive of a topic is of the log with that id (Kafka's topic id); the first to ask sets it.

    A topic that was deleted and made again starts at offset 0: its records must not hide behind the old ones' progress.
    """
    path = root / topic / _LOG_ID
    if not path.exists():
        make_folder(path.parent)
        aside = path.with_name(f"{_LOG_ID}.{os.getpid()}")
        aside.write_text(log_id)
        try:
            path.hardlink_to(aside)
        except FileExistsError:  # another archiver was first: its word counts
            pass
        finally:
            aside.unlink()
    return path.read_text() == log_id


def _repetitive(rows: Any) -> list[str]:
    """Columns worth a dictionary: trying one on values that are all different costs half of the writing."""
    return [name for name in rows.column_names if name not in _UNIQUE]


def _runs(records: Sequence[Record]) -> Iterator[tuple[str, Sequence[Record]]]:
    """Records in order -> (date, records) for each stretch of one date."""
    times = np.fromiter((record.timestamp for record in records), np.int64, len(records))
    days = times // DAY_MS + (times % DAY_MS + ZONE_MS) // DAY_MS  # no sum that could overflow
    cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(records)]
    for start, end in pairwise(cuts):
        if start < end:
            yield day(records[start].timestamp), records[start:end]
