"""Proof that the archive holds what Kafka holds: each record that a read-committed reader sees, once, byte for byte.

The ends are recorded first; what comes later does not count. Of a compacted topic the archive may hold more than Kafka.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.archive.layout import Span, holes, spans
from connectors.archive.reading import Range, Reader, Stretch, ranges
from connectors.archive.table import RAW, raw_table
from topics.catalogue import TOPICS

SHOWN: Final = 100  # differences listed; all are counted
_LOOK_AGAIN: Final = 0.1
_COMPARED: Final = ("_ts", "_key", "_value", "_headers")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is wrong: `what` is missing, repeated, different, unknown (not in Kafka), unreadable or hole."""

    what: str
    topic: str
    partition: int
    offset: int
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What a verification found: records compared, and `counts` of what differs, the first of it listed.

    `expired` are archived records that Kafka has deleted by now, `deleted` offsets that it deleted before they were
    archived (topic/partition -> how many): neither can be compared.
    """

    records: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    expired: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.counts

    def found(self, difference: Difference) -> None:
        """Count a difference, and list it while there is room."""
        self.counts[difference.what] = self.counts.get(difference.what, 0) + 1
        if len(self.differences) < SHOWN:
            self.differences.append(difference)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {"ok": self.ok, **asdict(self)}


def verify(
    client: Mapping[str, Any],
    prefix: str,
    root: Path,
    *,
    wait: float = 0.0,
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Compare all topics of the catalogue up to their present ends, giving the archiver `wait` seconds to get there.

    `progress` hears topic and records compared so far. Raises KafkaException when the cluster does not answer.
    """
    began = time.monotonic()
    report = Report()
    with Reader(client) as reader:
        for topic, wanted in ranges(client, prefix, TOPICS).items():
            shelves = {p: _Shelf(root, topic, p, report, began + wait) for p in wanted}
            for partition, known in wanted.items():
                shelves[partition].covered(known)
            for stretch in reader.read(prefix + topic, wanted):
                shelf = shelves[stretch.partition]
                unknown = shelf.compare(stretch)
                if TOPICS[topic].cleanup == "delete" and unknown:
                    low = reader.low(prefix + topic, stretch.partition)  # retention may have struck meanwhile
                    shelf.surplus([offset for offset in unknown if offset >= low])
                if progress is not None:
                    progress(topic, report.by_topic[topic])
    report.seconds = round(time.monotonic() - began, 3)
    return report


class _Shelf:
    """The files of one partition, read once in order, and what is wrong with them."""

    def __init__(self, root: Path, topic: str, partition: int, report: Report, deadline: float) -> None:
        self._root = root
        self._topic = topic
        self._partition = partition
        self._report = report
        self._deadline = deadline
        self._spans: list[Span] = []
        self._rows: dict[Span, pl.DataFrame] = {}
        report.by_topic.setdefault(topic, 0)

    def covered(self, known: Range) -> None:
        """Tell holes between the files, and what cannot be compared."""
        self._look()
        for first, last in holes(self._spans):
            self._tell("hole", first, f"no file covers {first} to {last}")
        name = f"{self._topic}/{self._partition}"
        deleted = sum(span.last - span.first + 1 for span in self._spans if span.gap)
        if deleted:
            self._report.deleted[name] = deleted
        old = [span for span in self._spans if span.first < known.low and not span.gap]
        expired = sum(int((self._load(span)["_offset"] < known.low).sum()) for span in old)
        if expired:
            self._report.expired[name] = expired

    def compare(self, stretch: Stretch) -> list[int]:
        """Compare the records of a stretch with the files -> offsets in the files that the stretch does not have."""
        if stretch.records:
            self._await(stretch.records[-1].offset)
        mine = self._between(stretch.first, stretch.end)
        for offset in mine.filter(pl.col("_offset").is_duplicated())["_offset"].unique().sort():
            self._tell("repeated", offset)
        mine = mine.unique("_offset", keep="first", maintain_order=True)
        if not stretch.records:
            return mine["_offset"].to_list()
        theirs = _frame(raw_table(stretch.partition, stretch.records))
        both = theirs.join(mine.with_columns(_here=pl.lit(True)), on="_offset", how="left", suffix="_mine")
        for offset in both.filter(pl.col("_here").is_null())["_offset"]:
            self._tell("missing", offset)
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_mine")) for name in _COMPARED)
        for offset in both.filter(pl.col("_here").is_not_null() & ~same)["_offset"]:
            self._tell("different", offset)
        self._report.records += len(stretch.records)
        self._report.by_topic[self._topic] += len(stretch.records)
        return mine.join(theirs, on="_offset", how="anti")["_offset"].to_list()

    def surplus(self, offsets: list[int]) -> None:
        """Records of the archive that Kafka does not have though it deleted none there."""
        for offset in offsets:
            self._tell("unknown", offset)

    def _tell(self, what: str, offset: int, detail: str = "") -> None:
        self._report.found(Difference(what, self._topic, self._partition, offset, detail))

    def _look(self) -> None:
        self._spans = spans(self._root, self._topic, self._partition)

    def _await(self, offset: int) -> None:
        """Wait until a file covers the offset, or the time is over."""
        while max((span.last for span in self._spans), default=-1) < offset:
            self._look()
            if time.monotonic() >= self._deadline:
                return
            time.sleep(_LOOK_AGAIN)

    def _between(self, first: int, end: int) -> pl.DataFrame:
        wanted = [span for span in self._spans if span.first < end and span.last >= first and not span.gap]
        for span in list(self._rows):
            if span.last < first:
                del self._rows[span]
        inside = pl.col("_offset").is_between(first, end, closed="left")
        return pl.concat([_NONE, *(self._load(span).filter(inside) for span in wanted)])

    def _load(self, span: Span) -> pl.DataFrame:
        if span not in self._rows:
            try:
                table = pq.read_table(span.path(self._root), columns=_NONE.columns, partitioning=None)
                self._rows[span] = _frame(table)
            except (OSError, pa.ArrowException) as error:
                self._tell("unreadable", span.first, f"{span.name}: {error}"[:300])
                self._rows[span] = _NONE
        return self._rows[span]


def _frame(table: Any) -> pl.DataFrame:
    frame = pl.from_arrow(table.select(["_offset", *_COMPARED]))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("a table is a frame")
    return frame


_NONE: Final = _frame(RAW.empty_table())
