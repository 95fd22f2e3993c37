"""A batch from its source onto the topics: chunk by chunk, each done when Kafka has acknowledged it, and never begun again.

While a chunk is under way the next is made ready; it is sent when the report and the progress file have the first on the disk. A
process that is killed therefore repeats one chunk at most, whose ids the engine drops.
"""

import hmac
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from connectors.exchange.findings import Desk, Prepared, mark
from connectors.exchange.forms import Form
from connectors.exchange.metrics import ExchangeMetrics
from connectors.exchange.metrics import shared as shared_rules
from connectors.exchange.progress import Progress, ProgressError, Tally, alone, load
from connectors.exchange.report import Report, rendered
from connectors.exchange.source import Piece, Source, chunks, cut
from connectors.exchange.table import Terms
from connectors.metrics import GatewayMetrics, shared
from connectors.producing import Pair
from topics.events import KINDS

GATEWAY: Final = "exchange"
CHUNK_ROWS: Final = 5_000
_QUEUE_SECONDS: Final = 60.0
_UNNAMED: Final = re.compile(r"_[0-9]+")  # what `headings` calls an empty one


class Writer(Protocol):
    """What a batch needs of a writer; `connectors.producing.EventWriter` is the real one."""

    def submit(self, topic: str, pairs: list[Pair], wait_seconds: float = 0.0) -> Future[int]:
        """Hand records over; the future holds their number or an error."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What to do: form, source, terms, report; `writer`: None sends nothing and keeps no progress; `target`: where to, so that
    progress towards another engine is not taken for this one's."""

    form: Form
    source: Source
    terms: Terms
    report: Path
    writer: Writer | None = None
    target: str = ""
    restart: bool = False
    chunk_rows: int = CHUNK_ROWS
    now_ms: Callable[[], int] = _now_ms
    tell: Callable[[Tally], None] | None = None
    metrics: GatewayMetrics = field(default_factory=shared)
    rules: ExchangeMetrics = field(default_factory=shared_rules)

    @property
    def progress_path(self) -> Path:
        """Where progress is kept."""
        return self.report.with_name(self.report.name + ".progress.json")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of the whole batch, earlier runs included; `from_line`: after which line this run went on; `before`: it was finished
    already; headings that mean nothing; columns that the exchange asks for and the table has not."""

    tally: Tally
    from_line: int
    before: bool
    unknown: list[str]
    absent: list[str]


def exchange(batch: Batch) -> Outcome:
    """Run a batch to its end. Raises SourceError, FormError, ProgressError, OSError, BrokerGone or QueueFull; a batch that was
    interrupted so, or killed, goes on when it is run again."""
    found, unknown = batch.form.match(batch.source.names)
    unknown = [name for name in unknown if not _UNNAMED.fullmatch(name)]
    each_its_own = not batch.source.names
    if not each_its_own:
        batch.form.require(found)
    terms = Terms(batch.terms.key, batch.terms.sector, None if each_its_own else frozenset(found.values()))
    absent = [] if each_its_own else [c.zh for c in batch.form.columns if c.asked and c.code not in found.values()]
    with alone(batch.progress_path):
        progress = _begin(batch)
        start = progress.line
        if not progress.done:
            desk = Desk(batch.form, terms, None if each_its_own else found)
            with Report(batch.report, progress.report_bytes) as report:
                _Run(batch, desk, progress, report).all()
            return Outcome(progress.tally, start, False, unknown, absent)
        return Outcome(progress.tally, start, True, unknown, absent)


def _begin(batch: Batch) -> Progress:
    identity: dict[str, Any] = batch.source.identity | {
        "form": batch.form.code,
        "target": batch.target,
        "sector": batch.terms.sector,
        # Persons' tokens of another key are others: what was sent would not be met by what comes.
        "key": hmac.digest(batch.terms.key, b"exchange", "sha256")[:4].hex(),
    }
    if batch.writer is None:
        if batch.progress_path.exists():
            raise ProgressError(
                f"{batch.report.name}: 该报告属于一次正式交换 this report is a real run's; give another --report"
            )
        return Progress(identity)
    if batch.restart:
        batch.progress_path.unlink(missing_ok=True)  # or, killed before the first chunk, the old one would count
        return Progress(identity)
    progress = load(batch.progress_path, identity)
    if progress is None:
        return Progress(identity)
    if not batch.report.exists() or batch.report.stat().st_size < progress.report_bytes:
        raise ProgressError(
            f"{batch.report.name}: 报告文件缺失 the report of the first run is gone; --restart begins anew"
        )
    return progress


@dataclass(slots=True)
class _Run:
    """One batch under way."""

    batch: Batch
    desk: Desk
    progress: Progress
    report: Report
    under_way: tuple[Prepared, list[Future[int]]] | None = None

    def all(self) -> None:
        """Everything that is not done yet."""
        for piece in self._left():
            prepared = self.desk.prepare(piece, self.batch.now_ms())
            self._settle()
            self._send(prepared)
        self._settle()
        self.progress.done = True
        self._save()

    def _left(self) -> Iterator[Piece]:
        """Chunks after the last acknowledged line. Those before are looked at again for their ids only."""
        line, marked = self.progress.line, not self.progress.line
        for piece in chunks(self.batch.source, self.batch.chunk_rows):
            if piece.upto > line and marked:
                yield piece
                continue
            known, rest = cut(piece, line)
            if piece.upto >= line:
                self._same(known)
                marked = True
            self.desk.prepare(known, self.batch.now_ms())
            if rest is not None:
                yield rest
        if not marked:
            raise ProgressError(
                f"来源少于已完成的 the source has fewer than the {line} rows that were sent; --restart begins anew"
            )

    def _same(self, known: Piece) -> None:
        if mark(known) != self.progress.mark:
            raise ProgressError(
                f"第 {self.progress.line} 行已变 row {self.progress.line} is another than before; --restart begins anew"
            )

    def _send(self, prepared: Prepared) -> None:
        futures = []
        if self.batch.writer is not None:
            topic = KINDS[self.batch.form.kind].topic
            for name, pairs in ((topic, prepared.pairs), ("rejected", prepared.letters)):
                if pairs:
                    futures.append(self.batch.writer.submit(name, pairs, _QUEUE_SECONDS))
        self.under_way = prepared, futures

    def _settle(self) -> None:
        """Wait for the chunk under way; then report, progress, counts. Raises what the writer says."""
        if self.under_way is None:
            return
        prepared, futures = self.under_way
        for future in futures:
            future.result()
        self.under_way = None
        self.progress.report_bytes = self.report.add(rendered(prepared.entries))
        self.progress.line, self.progress.mark = prepared.upto, prepared.mark
        self.progress.tally.add(prepared.tally)
        self._save()
        if self.batch.writer is not None:
            self._count(prepared.tally)
        if self.batch.tell is not None:
            self.batch.tell(self.progress.tally)

    def _save(self) -> None:
        if self.batch.writer is not None:
            self.progress.save(self.batch.progress_path)

    def _count(self, tally: Tally) -> None:
        self.batch.metrics.accepted(GATEWAY, self.batch.form.kind, tally.sent)
        for reason, count in tally.refused.items():
            self.batch.metrics.rejected(GATEWAY, reason, count)
        for rules in (tally.mended, tally.warned, tally.refused, tally.skipped):
            for rule, count in rules.items():
                self.batch.rules.applied(self.batch.form.code, rule, count)
