"""The archived log as the detect stage took it: one partition's good events, first seen, in the order in which it took them.

Across kinds that order is told by the archived progress records; where they do not reach, it is by log time. What intake refused
is known by the archived dead letters; repeats and events of other partitions are found as intake finds them.
Nothing is held but a few row groups, whatever the archive's size.
"""

import itertools
import json
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from connectors.archive.layout import DAY_MS, ZONE_MS, Span, files, spans
from rules.steps import ALWAYS
from streams.align import SLOT_MS
from streams.ledger import ledger_partition
from streams.seen import Seen
from topics.catalogue import TICKS
from topics.events import KINDS
from topics.keys import partitions_of

Ints = npt.NDArray[np.int64]
_READ: Final = 2 * 50_000  # rows of a slice: the archiver's row group
ROWS: Final = 50_000  # of one batch: what a judge's fixed costs are small beside, and caches hold


@dataclass(frozen=True, slots=True)
class Slice:
    """Log time from `since` up to, without, `until` (ms UTC; None: all there is)."""

    since: int | None = None
    until: int | None = None

    def holds(self, ts: Ints) -> npt.NDArray[np.bool_]:
        """Which of these log times lie in it."""
        held = np.ones(ts.size, np.bool_)
        if self.since is not None:
            held &= ts >= self.since
        if self.until is not None:
            held &= ts < self.until
        return held


def partitions(root: Path) -> int:
    """How many partitions event topics have, as far as the archive tells: the highest that has a file, and one."""
    return 1 + max((span.partition for kind in KINDS.values() for span in spans(root, kind.topic)), default=-1)


def end_of(root: Path) -> int:
    """The newest log time of events and of the clock's ticks, ms UTC; 0 of an empty archive."""
    topics = (*(kind.topic for kind in KINDS.values()), TICKS["detect"])
    return max(
        (max(_times(root, span, -1)) for topic in topics for span in _outermost(root, topic, last=True)), default=0
    )


def start_of(root: Path) -> int:
    """The oldest log time of events, ms UTC; 0 of an empty archive."""
    topics = [kind.topic for kind in KINDS.values()]
    return min(
        (min(_times(root, span, 0)) for topic in topics for span in _outermost(root, topic, last=False)), default=0
    )


def _outermost(root: Path, topic: str, *, last: bool) -> list[Span]:
    """The first or last file of each partition."""
    found = [span for span in spans(root, topic) if not span.gap]
    return list({span.partition: span for span in (found if last else reversed(found))}.values())


def _times(root: Path, span: Span, group: int) -> list[int]:
    """Log times of a row group of a file, the first (0) or the last (-1)."""
    with pq.ParquetFile(span.path(root)) as file:
        times: list[int] = file.read_row_group(group % file.num_row_groups, ["_ts"])["_ts"].to_pylist()
        return times


def refused(root: Path) -> dict[tuple[str, int], Ints]:
    """(topic, partition) -> offsets of events that were refused, ascending."""
    paths = files(root, "rejected")
    if not paths:
        return {}
    of_events = pl.col("topic").str.starts_with("events.")
    found = pl.scan_parquet(paths).filter(of_events).select("topic", "partition", "offset").collect()
    return {
        (str(topic), int(partition)): np.unique(part["offset"].to_numpy())
        for (topic, partition), part in found.group_by("topic", "partition")
    }


class Log:
    """One partition of the archive."""

    def __init__(
        self, root: Path, partition: int, count: int, bad: Mapping[tuple[str, int], Ints], when: Slice
    ) -> None:
        self._root, self._partition, self._count, self._bad, self._when = root, partition, count, bad, when

    def events(self, columns: Mapping[str, Collection[str]]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Batches of one kind each, in order of arrival. `columns`: kind -> what is read of it, the kinds in the order in which
        they come within one moment."""
        seen = Seen()
        streams = {kind: self._of(kind, wanted) for kind, wanted in columns.items()}
        order = taken(self._root, self._partition, self._count, columns) if len(streams) > 1 else []
        for kind, frame in scheduled(streams, order):
            repeated = seen.repeats(frame["event_id"], frame["_ts"].to_numpy())
            fresh = frame[np.flatnonzero(~repeated)] if repeated.any() else frame
            if fresh.height:
                yield kind, fresh

    def _of(self, kind: str, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Good events of one topic at home here, by offset."""
        topic, have = KINDS[kind].topic, KINDS[kind].schema.columns
        names = ["_offset", "_ts", *(name for name in have if name in columns or name in ALWAYS)]
        bad = self._bad.get((topic, self._partition), np.zeros(0, np.int64))
        for frame in self._read(topic, names):
            good = self._when.holds(frame["_ts"].to_numpy())
            if bad.size:
                good &= ~np.isin(frame["_offset"].to_numpy(), bad, assume_unique=True)
            if frame["event_id"].null_count():  # what could not be decoded
                good &= frame["event_id"].is_not_null().to_numpy()
            good &= partitions_of(frame["subject"], self._count) == self._partition
            kept = frame if good.all() else frame.filter(pl.Series(good))
            if kept.height:
                yield kept

    def _read(self, topic: str, names: list[str]) -> Iterator[pl.DataFrame]:
        """Its rows in slices: polars' reader takes a third of the time of pyarrow's batches."""
        for span in spans(self._root, topic, self._partition):
            if span.gap or not self._may_hold(span.date):
                continue
            path = span.path(self._root)
            rows, wanted = pq.read_metadata(path).num_rows, pl.scan_parquet(path).select(names)
            for first in range(0, rows, _READ):
                frame = wanted.slice(first, _READ).collect()
                yield from (frame[a : a + ROWS] for a in range(0, frame.height, ROWS))

    def _may_hold(self, date: str) -> bool:
        """Whether a day's folder can hold something of the slice (days are of log time)."""
        begins = int(np.datetime64(date, "ms").astype(np.int64)) - ZONE_MS
        after = self._when.until is not None and begins >= self._when.until
        before = self._when.since is not None and begins + DAY_MS <= self._when.since
        return not (after or before)


def taken(root: Path, partition: int, count: int, kinds: Collection[str]) -> list[tuple[str, int]]:
    """(kind, offset before which its events were taken) in the order of a task of detect, as far as its progress is archived."""
    paths = files(root, "progress", ledger_partition("detect", partition, count))
    if not paths:
        return []
    found = (
        pl.scan_parquet(paths)
        .select("seq", "slices")
        .drop_nulls()
        .collect()
        .sort("seq")
        .unique("seq", maintain_order=True)
    )
    names = {KINDS[kind].topic: kind for kind in kinds}
    slices = (one for text in found["slices"].to_list() for one in json.loads(text))
    return [(names[topic], end) for topic, _, end in slices if topic in names]


def scheduled(
    streams: Mapping[str, Iterator[pl.DataFrame]], order: Sequence[tuple[str, int]]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Frames with `_offset` of several topics by an order of (topic, offset before which); what it leaves, by log time."""
    rows = {kind: _Rows(stream) for kind, stream in streams.items()}
    for kind, steps in itertools.groupby(order, key=operator.itemgetter(0)):
        *_, (_, end) = steps
        yield from ((kind, frame) for frame in rows[kind].before(end))
    yield from merged({kind: one.rest() for kind, one in rows.items()})


class _Rows:
    """A topic's rows, to be taken up to one offset after the other."""

    def __init__(self, stream: Iterator[pl.DataFrame]) -> None:
        self._stream = stream
        self._left: pl.DataFrame | None = None

    def before(self, end: int) -> Iterator[pl.DataFrame]:
        """Those that are left below an offset."""
        while True:
            frame = self._left if self._left is not None else next(self._stream, None)
            if frame is None:
                return
            n = int(np.searchsorted(frame["_offset"].to_numpy(), end))
            self._left = frame[n:] if n < frame.height else None
            if n:
                yield frame[:n]
            if self._left is not None:
                return

    def rest(self) -> Iterator[pl.DataFrame]:
        """All that are left."""
        if self._left is not None:
            yield self._left
        yield from self._stream


def merged(streams: Mapping[str, Iterator[pl.DataFrame]]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Frames with `_ts` of several topics -> runs of one topic, by slots of log time; within a slot in the topics' order."""
    if len(streams) == 1:
        ((kind, only),) = streams.items()
        yield from ((kind, frame) for frame in only)
        return
    heads = {kind: _Head(stream) for kind, stream in streams.items()}
    while True:
        open_ = {kind: head for kind, head in heads.items() if head.fill()}
        if not open_:
            return
        horizon = min(head.known for head in open_.values())
        runs = [
            (slot, rank, kind, a, b)
            for rank, (kind, head) in enumerate(open_.items())
            for slot, a, b in head.runs(horizon)
        ]
        if not runs:  # one slot is longer than what was read of it
            for head in open_.values():
                head.more()
            continue
        runs.sort()
        yield from _joined(runs, open_)
        for head in open_.values():
            head.drop(horizon)


class _Head:
    """What has been read of one topic, and which slot of log time each row lies in."""

    def __init__(self, stream: Iterator[pl.DataFrame]) -> None:
        self._stream, self._ended = stream, False
        self.frame: pl.DataFrame | None = None
        self._slots: Ints = np.zeros(0, np.int64)
        self._last = 0

    def fill(self) -> bool:
        """Whether there is anything."""
        if self.frame is None or not self.frame.height:
            self.frame = None
            self.more()
        return self.frame is not None

    def more(self) -> None:
        """Read on."""
        fresh = next(self._stream, None)
        if fresh is None:
            self._ended = True
            return
        slots = np.maximum.accumulate(np.maximum(fresh["_ts"].to_numpy() // SLOT_MS, self._last))
        self._last = int(slots[-1])
        together = self.frame is not None and self.frame.height > 0
        self.frame = pl.concat([self.frame, fresh]) if together and self.frame is not None else fresh
        self._slots = np.concatenate([self._slots, slots]) if together else slots

    @property
    def known(self) -> int:
        """Slots below it are whole."""
        return 2**62 if self._ended else int(self._slots[-1])

    def runs(self, horizon: int) -> Iterator[tuple[int, int, int]]:
        """(slot, first row, row behind the last) of slots below the horizon."""
        n = int(np.searchsorted(self._slots, horizon))
        edges = [0, *(np.flatnonzero(np.diff(self._slots[:n])) + 1).tolist(), n]
        for a, b in itertools.pairwise(edges):
            if b > a:
                yield int(self._slots[a]), a, b

    def drop(self, horizon: int) -> None:
        """Forget the slots below the horizon."""
        n = int(np.searchsorted(self._slots, horizon))
        if self.frame is not None and n:
            self.frame, self._slots = self.frame[n:], self._slots[n:]


def _joined(
    runs: Sequence[tuple[int, int, str, int, int]], heads: Mapping[str, _Head]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Neighbouring runs of one topic are one frame: a judge has a cost a frame, whatever it holds."""
    at = 0
    while at < len(runs):
        _, _, kind, first, last = runs[at]
        at += 1
        while at < len(runs) and runs[at][2] == kind and runs[at][3] == last:
            last = runs[at][4]
            at += 1
        frame = heads[kind].frame
        if frame is not None:
            yield kind, frame[first:last]
