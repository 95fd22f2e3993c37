"""Detect: one chunk of events through intake, rules and models, in columns, to clues.

Beside clues it writes copies of events under region, person or chain for the rules that need those keys, and labelled
examples (an inspection's outcome with the subject's features as of before the visit) for the sector's learner.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import structlog

from models.contract import BadSnapshot
from models.panel import Panel
from models.serving import Serving, load
from rules import Judge
from streams import metrics
from streams.chunk import Chunk
from streams.intake import Intake
from streams.rulebook import Rulebook
from streams.snapshots import Assembler
from streams.stage import Arrays, ControlRecord, Outbox
from topics.buffers import counted
from topics.catalogue import TICKS
from topics.columns import encode_frame
from topics.events import KINDS, ORDER
from topics.records import CLUE, EXAMPLE, TICK
from topics.wire import encode

log = structlog.get_logger()
_LABELS = ("origin_id", "sector", "severity")  # of the clue counter
_SIZES_SECONDS = 1.0  # to count what is held costs more than a small batch may; only a gauge waits for it


class Detect:
    """State of one partition of subjects: ids of the day, window features, episodes, models' state."""

    name = "detect"
    topics: tuple[str, ...] = (*(KINDS[kind].topic for kind in ORDER), TICKS["detect"])
    patient: tuple[str, ...] = (TICKS["detect"],)
    controls: tuple[str, ...] = ("rules", "models", "lists")

    def __init__(
        self,
        partition: int,
        partitions: int,
        lateness: Mapping[str, int],
        max_event_bytes: int,
        serving: Sequence[Serving] | None = None,
    ) -> None:
        self.partition, self._partitions = partition, partitions
        self._intake = Intake(partitions, max_event_bytes)
        self._book = Rulebook()
        self._judge = Judge([], scope="subject", lateness=lateness)
        self._panel = Panel(load() if serving is None else serving)
        self._assembler = Assembler()
        self._events: Counter[tuple[str, str]] = Counter()
        self._clues = ClueCounts()
        self._sized_at = -_SIZES_SECONDS

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Decide a chunk of one kind of event, or of ticks."""
        if chunk.topic in self.patient:
            self._tick(chunk, out)
            return
        kind = KINDS[chunk.topic.removeprefix("events.")]
        frame = self._intake.take(chunk, out)
        if frame.is_empty():
            return
        clues = self._judge.judge(kind.code, frame, topic=chunk.topic, partition=chunk.partition)
        self._clues.write(clues, out)
        copies = self._judge.copies(kind.code, frame)
        if len(copies):
            keys = [key.encode() for key in copies["key"].to_list()]
            out.put_many("rekeyed", keys, encode_frame(kind.schema, frame[copies["row"]]))
        observed = self._panel.observe(kind.code, frame, chunk.topic, chunk.partition)
        self._clues.write(observed.clues, out)
        self._examples(observed.examples, out)
        for sector, n in counted(frame["sector"]):
            self._events[kind.code, sector] += n

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        """New rules, lists or model snapshots, between two batches."""
        if topic == "models":
            for sector, model, version, arrays in self._assembler.take(records):
                self._apply(sector, model, version, arrays)
        elif self._book.obey(topic, records):
            self._book.put_in_force(self._judge, "subject")

    def snapshot(self) -> Arrays:
        """Everything, each part under its own prefix."""
        return joined(intake=self._intake.snapshot(), judge=self._judge.snapshot(), panel=self._panel.snapshot())

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""
        self._intake.restore(part_of(arrays, "intake"))
        self._judge.restore(part_of(arrays, "judge"))
        self._panel.restore(part_of(arrays, "panel"))

    def report(self, live: bool) -> None:
        """Metrics of what was decided since the last call."""
        counts, stats = self._intake.take_counts(), self._judge.take_stats()
        if live:
            for (kind, sector), n in self._events.items():
                metrics.EVENTS.labels(kind, sector).inc(n)
            count_intake(counts)
            count_judge(stats)
            self._clues.report()
            if time.monotonic() >= self._sized_at + _SIZES_SECONDS:
                self._report_sizes()
        self._events.clear()
        self._clues.clear()

    def _tick(self, chunk: Chunk, out: Outbox) -> None:
        """What has not come by the time of each tick. Time is the log's: a worker's clock may be wrong. The regional stage hears
        of it after all that was copied before."""
        for at in chunk.timestamps.tolist():
            self._clues.write(self._judge.tick(at), out)
        if self._judge.others_wait:
            value = encode(TICK, {"at": int(chunk.timestamps.max())})
            for partition in range(self._partitions):
                out.put(TICKS["regional"], b"%d" % self.partition, value, partition)

    def _report_sizes(self) -> None:
        self._sized_at = time.monotonic()
        sizes = {"ids": len(self._intake)} | self._judge.sizes() | self._panel.sizes()
        for store, n in sizes.items():
            metrics.STATE_ROWS.labels(f"{self.name}/{self.partition}", store).set(n)

    def _apply(self, sector: str, model: str, version: str, arrays: Arrays) -> None:
        try:
            self._panel.apply(sector, model, arrays, version)
        except BadSnapshot as error:  # the one in force goes on serving
            metrics.REJECTED.labels("control", "bad-snapshot").inc()
            log.warning("snapshot.refused", sector=sector, model=model, version=version, error=str(error))

    def _examples(self, examples: pl.DataFrame, out: Outbox) -> None:
        if len(examples):
            keys = [f"sector:{sector}".encode() for sector in examples["sector"].to_list()]
            out.put_many("rekeyed", keys, encode_frame(EXAMPLE, examples))


class ClueCounts:
    """Writes clues to their topics and counts them; shared by detect and regional."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._arrived: list[int] = []

    def write(self, clues: pl.DataFrame, out: Outbox) -> None:
        """Clues (columns of CLUE, and `shadow` where rules raised them) to `clues` or `shadow-clues`."""
        if not len(clues):
            return
        shadow = clues["shadow"].to_numpy() if "shadow" in clues.columns else np.zeros(len(clues), np.bool_)
        raised = clues.filter(pl.Series(~shadow)) if shadow.any() else clues
        self._put("clues", raised, out)
        if len(raised) < len(clues):
            self._put("shadow-clues", clues.filter(pl.Series(shadow)), out)
        self._arrived += raised["raised_at"].to_list()
        self._counts.update(zip(*(raised[name].to_list() for name in _LABELS), strict=True))

    @staticmethod
    def _put(topic: str, clues: pl.DataFrame, out: Outbox) -> None:
        if len(clues):
            keys = [clue_id.encode() for clue_id in clues["clue_id"].to_list()]
            out.put_many(topic, keys, encode_frame(CLUE, clues))

    def report(self) -> None:
        """To the metrics, once their transaction is committed."""
        now = time.time()
        for at in self._arrived:
            metrics.CLUE_LATENCY.observe(max(0.0, now - at / 1000))
        for labels, n in self._counts.items():
            metrics.CLUES.labels(*labels).inc(n)

    def clear(self) -> None:
        """Forget what was counted."""
        self._counts.clear()
        self._arrived.clear()


def joined(**parts: Arrays) -> Arrays:
    """Several snapshots as one: names prefixed with `part.`."""
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def part_of(arrays: Arrays, part: str) -> Arrays:
    """One of the snapshots that `joined` put together."""
    prefix = part + "."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def count_intake(counts: Counter[tuple[str, ...]]) -> None:
    """Intake's counts to the metrics."""
    for (what, label), n in counts.items():
        if what == "rejected":
            metrics.REJECTED.labels("intake", label).inc(n)
        else:
            (metrics.DUPLICATES if what == "duplicates" else metrics.REROUTED).labels(label).inc(n)


def count_judge(stats: Mapping[str, Any]) -> None:
    """The judge's counts to the metrics."""
    for kind, n in stats["late"].items():
        metrics.LATE.labels(kind).inc(n)
    for why in ("suppressed", "capped"):
        for rule, n in stats[why].items():
            metrics.SUPPRESSED.labels(rule, "episode" if why == "suppressed" else "storm").inc(n)
    for (rule, by), n in stats["hidden"].items():
        metrics.HIDDEN.labels(rule, by).inc(n)
