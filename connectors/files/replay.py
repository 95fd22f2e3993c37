"""Files onto the topics: rows mapped, checked and written in order; bad ones become dead letters; counted."""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from connectors.files.columns import map_rows
from connectors.files.mapping import Mapping, MappingError, identity
from connectors.files.reading import BadLine, Chunk, form_of, read_chunks, read_lines
from connectors.metrics import GatewayMetrics, shared
from connectors.producing import Pair, dead_letter
from topics.catalogue import EVENT_BYTES
from topics.checks import check
from topics.columns import decode_chunk, encode_frame
from topics.events import Kind

GATEWAY: Final = "file"
STAGE: Final = "gateway-file"
_SLICE_ROWS: Final = 10_000
_UNDER_WAY: Final = 32
_QUEUE_SECONDS: Final = 60.0


class Writer(Protocol):
    """What a replay needs of a writer; `connectors.producing.EventWriter` is the real one."""

    def submit(self, topic: str, pairs: list[Pair], wait_seconds: float = 0.0) -> Future[int]:
        """Hand records over; the future holds their number or an error."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` times as fast as it happened (None: as fast as it goes), by a clock (s) and a sleep."""

    speed: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now_ms: Callable[[], int] = _now_ms


@dataclass(slots=True)
class Counts:
    """What became of a file's rows: read = sent + skipped + all rejected."""

    read: int = 0
    sent: int = 0
    skipped: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "read": self.read,
            "sent": self.sent,
            "skipped": self.skipped,
            "rejected": sum(self.rejected.values()),
            "reasons": dict(self.rejected),
        }


@dataclass(frozen=True, slots=True)
class _Judged:
    """Good rows of a chunk, and the refused ones with what they were."""

    frame: pl.DataFrame
    bad: list[BadLine]
    read: int
    skipped: int = 0


def replay(
    path: Path,
    mapping: Mapping,
    writer: Writer,
    *,
    pace: Pace | None = None,
    progress: Callable[[Counts], None] | None = None,
    metrics: GatewayMetrics | None = None,
) -> Counts:
    """Replay a file through its mapping; returns when Kafka has acknowledged everything.

    Raises FileError, MappingError, OSError, BrokerGone or QueueFull. `order: time` holds the mapped rows in memory.
    """
    pace = pace or Pace()
    chunks = read_chunks(path, encoding=mapping.encoding, delimiter=mapping.delimiter)
    judged = (_judge(mapping, chunk, pace.now_ms()) for chunk in chunks)
    return _Run(mapping.kind, writer, pace, progress, metrics).of(judged, by_time=mapping.order == "time")


def send(
    kind: Kind,
    path: Path,
    writer: Writer,
    *,
    pace: Pace | None = None,
    progress: Callable[[Counts], None] | None = None,
    metrics: GatewayMetrics | None = None,
) -> Counts:
    """Send a file whose rows have the event's own field names, in the file's order. Raises as `replay`."""
    pace = pace or Pace()
    if form_of(path) == "jsonl":
        judged = (_judge_lines(kind, lines, bad, pace.now_ms()) for lines, bad in read_lines(path))
    else:
        chunks = read_chunks(path)
        judged = (_judge(identity(kind, chunk.rows.columns), chunk, pace.now_ms()) for chunk in chunks)
    return _Run(kind, writer, pace, progress, metrics).of(judged)


def _judge(mapping: Mapping, chunk: Chunk, now: int) -> _Judged:
    rows = chunk.rows
    if not chunk.table:
        absent = mapping.sources - set(rows.columns)
        rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    try:
        mapped = map_rows(mapping, rows)
    except KeyError as error:
        raise MappingError(f"the file has no column {error.args[0]}") from error
    fits = mapped.reason == ""
    checked = check(mapping.kind, mapped.frame.filter(fits), now)
    refused = pl.concat(
        [
            pl.DataFrame({"row": mapped.row, "reason": mapped.reason, "detail": mapped.detail}).filter(~fits),
            pl.DataFrame({"row": mapped.row.filter(fits), "reason": checked.reason, "detail": ""}).filter(
                ~checked.good
            ),
        ]
    )
    bad = [
        BadLine(json.dumps(chunk.rows.row(row, named=True), ensure_ascii=False, default=str).encode(), reason, detail)
        for row, reason, detail in refused.iter_rows()
    ]
    good = checked.frame.filter(checked.good)
    return _Judged(good, chunk.bad + bad, chunk.rows.height + len(chunk.bad), mapped.skipped)


def _judge_lines(kind: Kind, lines: list[bytes], bad: list[BadLine], now: int) -> _Judged:
    decoded = decode_chunk(kind, lines)
    checked = check(kind, decoded.frame, now)
    refused = bad + [BadLine(lines[one.index], one.reason, one.detail) for one in decoded.bad]
    where = decoded.index.filter(~checked.good).to_list()
    reasons = checked.reason.filter(~checked.good).to_list()
    refused += [BadLine(lines[i], reason, "") for i, reason in zip(where, reasons, strict=True)]
    return _Judged(checked.frame.filter(checked.good), refused, len(lines) + len(bad))


class _Run:
    """One replay under way."""

    def __init__(
        self,
        kind: Kind,
        writer: Writer,
        pace: Pace,
        progress: Callable[[Counts], None] | None,
        metrics: GatewayMetrics | None,
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._pace = pace
        self._progress = progress
        self._metrics = metrics or shared()
        self._counts = Counts()
        self._under_way: deque[tuple[Future[int], bool]] = deque()
        self._began = pace.clock()
        self._first_ms: int | None = None
        self._latest_ms = 0

    def of(self, judged: Iterator[_Judged], *, by_time: bool = False) -> Counts:
        """Write everything, wait for the acknowledgements, return the counts."""
        held: list[pl.DataFrame] = []
        for chunk in judged:
            self._counts.read += chunk.read
            self._counts.skipped += chunk.skipped
            self._refuse(chunk.bad)
            if by_time:
                held.append(chunk.frame)
            else:
                self._write(chunk.frame)
            self._tell()
        if held:
            ordered = pl.concat(held).sort("occurred_at", maintain_order=True)
            for part in ordered.iter_slices(_SLICE_ROWS):
                self._write(part)
                self._tell()
        self._settle(0)
        self._tell()
        return self._counts

    def _refuse(self, bad: list[BadLine]) -> None:
        if not bad:
            return
        now = self._pace.now_ms()
        letters: list[Pair] = [(None, dead_letter(b.reason, b.detail, STAGE, b.raw, at=now)) for b in bad]
        self._under_way.append((self._writer.submit("rejected", letters, _QUEUE_SECONDS), False))
        for one in bad:
            self._counts.rejected[one.reason] += 1
            self._metrics.rejected(GATEWAY, one.reason)

    def _write(self, frame: pl.DataFrame) -> None:
        for part in self._paced(frame):
            pairs: list[Pair] = [
                (subject.encode(), value)
                for subject, value in zip(part["subject"].to_list(), encode_frame(self._kind.schema, part), strict=True)
            ]
            large = [value for _, value in pairs if len(value) > EVENT_BYTES]
            if large:
                self._refuse([BadLine(value, "too-large", f"{len(value)} bytes") for value in large])
                pairs = [pair for pair in pairs if len(pair[1]) <= EVENT_BYTES]
            self._under_way.append((self._writer.submit(self._kind.topic, pairs, _QUEUE_SECONDS), True))
            self._settle(_UNDER_WAY)

    def _paced(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The frame at once, or in parts, each when it is due; a row is never due before the one ahead of it."""
        if frame.height == 0:
            return
        if self._pace.speed is None:
            yield frame
            return
        times = np.maximum.accumulate(np.maximum(frame["occurred_at"].to_numpy(), self._latest_ms))
        if self._first_ms is None:
            self._first_ms = int(frame["occurred_at"][0])
        self._latest_ms = int(times[-1])
        due = (times - self._first_ms) / (1000.0 * self._pace.speed)
        start = 0
        while start < frame.height:
            elapsed = self._pace.clock() - self._began
            end = int(np.searchsorted(due, elapsed, side="right"))
            if end <= start:
                self._settle(0)
                self._tell()
                self._pace.sleep(float(due[start]) - elapsed)
                continue
            yield frame.slice(start, end - start)
            start = end

    def _settle(self, leave: int) -> None:
        """Wait until at most `leave` batches are under way. Raises what the writer says."""
        while len(self._under_way) > leave:
            future, events = self._under_way.popleft()
            written = future.result()
            if events:
                self._counts.sent += written
                self._metrics.accepted(GATEWAY, self._kind.code, written)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._counts)
