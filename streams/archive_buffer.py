"""What the archiver has read of one partition and not written yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.archive.shelf import Shelf
from connectors.archive.table import Record
from streams import archive_metrics as metrics

FIRST_BACKOFF: Final = 0.5
ROW_BYTES: Final = 250  # what Python holds beside key and value


@dataclass(frozen=True, slots=True)
class Flush:
    """When a partition's records become a file: whichever of rows, bytes (keys and values) and seconds comes first.

    `total_bytes` caps what all partitions hold together, `batch` is how many records one fetch may bring.
    """

    rows: int = 200_000
    bytes: int = 64 * 1024 * 1024
    seconds: float = 60.0
    total_bytes: int = 256 * 1024 * 1024
    batch: int = 10_000


class Buffer:
    """Records of one partition in the order of the log, and the shelf they go to."""

    def __init__(self, root: Path, topic: str, partition: int) -> None:
        """Empty; its shelf is not locked yet."""
        self.topic = topic
        self.shelf = Shelf(root, topic, partition)
        self.records: list[Record] = []
        self.bytes = 0
        self._since = 0.0
        self._reached = 0  # offsets below it are read, though some hold no record
        self._retry_at = 0.0
        self._backoff = 0.0

    @property
    def next(self) -> int:
        """The offset that the next record has at least."""
        return self.records[-1].offset + 1 if self.records else self.shelf.position

    @property
    def position(self) -> int:
        """Up to where the log has been read, markers at its end included."""
        return max(self.next, self._reached)

    @property
    def failing(self) -> bool:
        """Whether the last write failed: the partition is paused."""
        return self._backoff > 0

    def add(self, record: Record, clock: Callable[[], float]) -> None:
        """Take a record, unless it is here already (a fetch after a seek may repeat some)."""
        records = self.records
        if record.offset < (records[-1].offset + 1 if records else self.shelf.position):
            return
        if not records:
            self._since = clock()
        records.append(record)
        self.bytes += _size(record)

    def reached(self, offset: int) -> None:
        """The log is read up to `offset`."""
        self._reached = max(self._reached, offset)

    def ready(self, now: float) -> bool:
        """Whether there is something to write, and no wait after a failure."""
        waiting = 0 < self._retry_at - now <= self._backoff  # more than that: the clock was set back
        return bool(self.records) and not waiting

    def due(self, flush: Flush, now: float) -> bool:
        """Whether it is time to write."""
        full = len(self.records) >= flush.rows or self.bytes >= flush.bytes
        late = now - self._since >= flush.seconds or now < self._since  # a clock set back must not stop it
        return self.ready(now) and (full or late or self.failing)

    def write(self) -> None:
        """Write all records. Raises OSError; then what is left is what no file covers."""
        if self.failing:  # only the files say what a failed write left behind
            self.shelf.rescan()
            self._drop()
        try:
            for written in self.shelf.write(self.records, self._reached):
                metrics.ROWS.labels(self.topic).inc(written.rows)
                metrics.FILES.labels(self.topic).inc()
                metrics.BYTES.labels(self.topic).inc(written.bytes)
        finally:
            self._drop()

    def failed(self, now: float, longest: float) -> float:
        """A write failed -> seconds to wait, longer each time."""
        self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF), longest)
        self._retry_at = now + self._backoff
        return self._backoff

    def recovered(self) -> bool:
        """Whether the write that just worked ends a time of failures."""
        was, self._backoff, self._retry_at = self.failing, 0.0, 0.0
        return was

    def _drop(self) -> None:
        """Forget what the files cover."""
        position = self.shelf.position
        if self.records and self.records[-1].offset < position:
            self.records, self.bytes = [], 0
        elif self.records:
            self.records = [record for record in self.records if record.offset >= position]
            self.bytes = sum(_size(record) for record in self.records)


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"") + ROW_BYTES
