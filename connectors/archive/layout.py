"""Where a record lies: `<archive>/<topic>/date=YYYY-MM-DD/<partition>-<first>-<last>.parquet`.

`first` and `last` are the offsets a file *covers*; inside there may be offsets without a record (transaction markers,
aborted or compacted ones). The names are the progress: what they cover is done. A `.gap` file covers what Kafka
had deleted before it could be archived. Dates are log time in UTC+8.

>>> str(Span("clues", 2, 0, 41, "2026-03-01").path(Path("a")))
'a/clues/date=2026-03-01/2-0-41.parquet'
"""

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TMP: Final = ".tmp"
LOCKS: Final = ".locks"
ZONE_MS: Final = 8 * 3_600_000  # China Standard Time, without summer time since 1991
DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1)
_FIRST_DAY: Final = (dt.date.min - _EPOCH).days
_LAST_DAY: Final = (dt.date.max - _EPOCH).days
_NAME: Final = re.compile(r"^(\d+)-(\d+)-(\d+)\.(parquet|gap)$")
_DATE: Final = re.compile(r"^date=(\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True)
class Span:
    """What one file covers: offsets `first` to `last` (both included) of one partition, on one date."""

    topic: str
    partition: int
    first: int
    last: int
    date: str
    gap: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.partition}-{self.first}-{self.last}.{'gap' if self.gap else 'parquet'}"

    def path(self, root: Path) -> Path:
        """The file's path below the archive."""
        return root / self.topic / f"date={self.date}" / self.name


def day(timestamp: int) -> str:
    """The date in UTC+8 of a log time in ms; years outside 1 to 9999 are clipped, for a record is never refused.

    >>> day(1767196800000), day(2**62)
    ('2026-01-01', '9999-12-31')
    """
    days = min(max((timestamp + ZONE_MS) // DAY_MS, _FIRST_DAY), _LAST_DAY)
    return (_EPOCH + dt.timedelta(days=days)).isoformat()


def topics(root: Path) -> list[str]:
    """Names of the topics that have a folder in the archive."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def spans(root: Path, topic: str, partition: int | None = None) -> list[Span]:
    """What the files of a topic cover, by partition and first offset. Other files are none of ours and left alone."""
    found: list[Span] = []
    folder = root / topic
    if not folder.is_dir():
        return found
    for date_folder in folder.iterdir():
        date = _DATE.match(date_folder.name)
        if date is None:
            continue
        for file in date_folder.iterdir():
            name = _NAME.match(file.name)
            if name is not None and (partition is None or int(name[1]) == partition):
                found.append(Span(topic, int(name[1]), int(name[2]), int(name[3]), date[1], name[4] == "gap"))
    return sorted(found, key=lambda span: (span.partition, span.first, span.last))


def files(root: Path, topic: str, partition: int | None = None) -> list[str]:
    """Paths of the files that hold records of a topic, by partition and first offset."""
    return [str(span.path(root)) for span in spans(root, topic, partition) if not span.gap]


def positions(root: Path, topic: str) -> dict[int, int]:
    """Partition -> the offset after the last one covered, of those partitions of a topic that have files."""
    done: dict[int, int] = {}
    for span in spans(root, topic):
        done[span.partition] = max(done.get(span.partition, 0), span.last + 1)
    return done


def holes(covered: list[Span]) -> list[tuple[int, int]]:
    """Offset ranges (both ends included) between 0 and the last covered offset of one partition that no file covers.

    >>> holes([Span("clues", 0, 0, 9, "2026-01-01"), Span("clues", 0, 15, 20, "2026-01-01")])
    [(10, 14)]
    """
    missing: list[tuple[int, int]] = []
    position = 0
    for span in sorted(covered, key=lambda span: span.first):
        if span.first > position:
            missing.append((position, span.first - 1))
        position = max(position, span.last + 1)
    return missing
