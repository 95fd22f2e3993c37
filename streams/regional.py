"""Regional: events under another key (region, person, chain) through the rules that need it, and the sectors' learners.

A record of `rekeyed` is either an event, whole, in its own schema, or a labelled example keyed by sector. Learners publish their
snapshot in the same transaction that holds their progress, so no example is learned twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import polars as pl

from models.contract import discover
from models.learner import Learner
from models.linear import Linear
from rules import Judge
from streams import metrics
from streams.chunk import Chunk
from streams.detect import ClueCounts, count_judge, joined, part_of
from streams.rulebook import Rulebook
from streams.snapshots import publish
from streams.stage import Arrays, ControlRecord, Outbox
from topics.catalogue import TICKS
from topics.codes import SECTORS
from topics.columns import decode_chunk
from topics.events import KINDS, Kind
from topics.records import EXAMPLE, TICK
from topics.wire import HEADER, Refused, decode, decode_body, writer_of

LEARNABLE = frozenset(name for name, model in discover().items() if issubclass(model, Linear))
_KIND_OF = {kind.schema.number: kind for kind in KINDS.values()}


class Regional:
    """State of one partition of other keys: window features and episodes of foreign-key rules, learners of sectors."""

    name = "regional"
    topics: tuple[str, ...] = ("rekeyed", TICKS["regional"])
    patient: tuple[str, ...] = (TICKS["regional"],)
    controls: tuple[str, ...] = ("rules", "lists")

    def __init__(self, partition: int, partitions: int, lateness: Mapping[str, int]) -> None:
        self.partition = partition
        self._times = np.zeros(partitions, np.int64)  # how far each task of detect has come
        self._book = Rulebook()
        self._judge = Judge([], scope="foreign", lateness=lateness, by_ticks=True)
        self._learners: dict[str, Learner] = {}
        self._learned: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self._rejected: dict[str, int] = {}
        self._clues = ClueCounts()

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Decide a chunk: runs of one kind go through the judge in arrival order; examples go to their learners."""
        if chunk.topic in self.patient:
            self._tick(chunk, out)
            return
        examples: list[dict[str, object]] = []
        for kind, rows in self._runs(chunk, out):
            if kind is None:
                examples += self._examples(chunk, rows, out)
            else:
                self._judge_run(kind, chunk, rows, out)
        if examples:
            self._learn(examples, out)

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        """New rules or lists, between two batches."""
        if self._book.obey(topic, records):
            self._book.put_in_force(self._judge, "foreign")

    def snapshot(self) -> Arrays:
        """Judge and learners, each under its own prefix."""
        learners = {f"learner:{name}": learner.snapshot() for name, learner in self._learners.items()}
        return joined(judge=self._judge.snapshot(), time={"came": self._times.copy()}, **learners)

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""
        self._judge.restore(part_of(arrays, "judge"))
        self._times[:] = part_of(arrays, "time").get("came", 0)
        names = {key.split(".", 1)[0].removeprefix("learner:") for key in arrays if key.startswith("learner:")}
        for name in sorted(names):
            self._learner(name).restore(part_of(arrays, f"learner:{name}"))

    def report(self, live: bool) -> None:
        """Metrics of what was decided since the last call."""
        stats = self._judge.take_stats()
        if live:
            count_judge(stats)
            self._clues.report()
            for name, n in self._learned.items():
                metrics.LEARNED.labels(*name.split("/", 1)).inc(n)
                metrics.MODEL_AUC.labels(*name.split("/", 1)).set(self._learners[name].quality()["auc"])
            for name, n in self._published.items():
                metrics.SNAPSHOTS.labels(*name.split("/", 1)).inc(n)
            for reason, n in self._rejected.items():
                metrics.REJECTED.labels(self.name, reason).inc(n)
            for store, rows in self._judge.sizes().items():
                metrics.STATE_ROWS.labels(f"{self.name}/{self.partition}", store).set(rows)
        for counts in (self._learned, self._published, self._rejected):
            counts.clear()
        self._clues.clear()

    def _tick(self, chunk: Chunk, out: Outbox) -> None:
        """Time has come as far as it has for all tasks of detect: what the slowest will still copy may be what is awaited."""
        for row in range(len(chunk)):
            try:
                came, stood = self._tick_of(chunk.keys[row], chunk.values[row]), int(self._times.min())
            except Refused as refused:
                self._reject(chunk, row, refused, out)
                continue
            self._times[came[0]] = max(self._times[came[0]], came[1])
            if self._times.min() > stood:
                self._clues.write(self._judge.tick(int(self._times.min())), out)

    def _tick_of(self, key: bytes | None, value: bytes | None) -> tuple[int, int]:
        """Which partition of detect has come how far. Raises Refused."""
        schema, record = decode(value or b"")
        if schema != TICK.name or not (key or b"").isdigit() or int(key or b"0") >= self._times.size:
            raise Refused("wrong-kind", f"{schema} with key {(key or b'')[:20]!r}")
        return int(key or b"0"), int(record["at"])

    def _runs(self, chunk: Chunk, out: Outbox) -> Iterator[tuple[Kind | None, list[int]]]:
        """Consecutive rows of one kind (None: examples); what cannot be one is rejected."""
        kinds: list[tuple[int, Kind | None]] = []
        for row, value in enumerate(chunk.values):
            try:
                schema, _ = writer_of(value or b"")
                if schema.number != EXAMPLE.number and schema.number not in _KIND_OF:
                    raise Refused("wrong-kind", schema.name)
                kinds.append((row, _KIND_OF.get(schema.number)))
            except Refused as refused:
                self._reject(chunk, row, refused, out)
        for kind, rows in groupby(kinds, key=lambda pair: pair[1]):
            yield kind, [row for row, _ in rows]

    def _judge_run(self, kind: Kind, chunk: Chunk, rows: list[int], out: Outbox) -> None:
        decoded = decode_chunk(kind, [chunk.values[row] for row in rows])
        for bad in decoded.bad:
            self._reject(chunk, rows[bad.index], Refused(bad.reason, bad.detail), out)
        kept = [rows[i] for i in decoded.index.to_list()]
        frame = decoded.frame.with_columns(
            pl.Series("_offset", chunk.offsets[kept]),
            pl.Series("_ts", chunk.timestamps[kept]),
            pl.Series("_key", [(chunk.keys[row] or b"").decode(errors="replace") for row in kept], pl.String),
        )
        clues = self._judge.judge(kind.code, frame, topic=chunk.topic, partition=chunk.partition)
        self._clues.write(clues, out)

    def _examples(self, chunk: Chunk, rows: list[int], out: Outbox) -> list[dict[str, object]]:
        found = []
        for row in rows:
            value = chunk.values[row] or b""
            try:
                schema, version = writer_of(value)
                example = decode_body(schema, version, value[HEADER.size :])
                if example["model"] not in LEARNABLE or example["sector"] not in SECTORS:
                    raise Refused("bad-type", f"no learner for {example['sector']}/{example['model']}")
                found.append(example)
            except Refused as refused:
                self._reject(chunk, row, refused, out)
        return found

    def _learn(self, examples: list[dict[str, object]], out: Outbox) -> None:
        frame = pl.DataFrame(examples, schema=EXAMPLE.columns)
        for (sector, model), rows in frame.group_by("sector", "model", maintain_order=True):
            name = f"{sector}/{model}"
            learner = self._learner(name)
            learner.learn(rows)
            self._learned[name] = self._learned.get(name, 0) + len(rows)
            if learner.should_publish():
                publish(out, str(sector), str(model), learner.version, int(learner.version), learner.parameters())
                learner.published()
                self._published[name] = self._published.get(name, 0) + 1

    def _learner(self, name: str) -> Learner:
        if name not in self._learners:
            sector, _, model = name.partition("/")
            self._learners[name] = Learner(sector, model)
        return self._learners[name]

    def _reject(self, chunk: Chunk, row: int, refused: Refused, out: Outbox) -> None:
        self._rejected[refused.reason] = self._rejected.get(refused.reason, 0) + 1
        out.reject(self.name, chunk, row, refused.reason, refused.detail)
