"""Dispatch: clues and commands in, decisions out. The desk decides; this stage reads and writes records.

A clue goes to its department's warnings topic; every decision goes to the clue log, which is the truth that views are built
from; who did what goes to the audit. Time comes from the log (append times and ticks), so a replay decides alike.
"""

from collections import Counter
from collections.abc import Sequence

from streams import metrics
from streams.chunk import Chunk
from streams.desk import Desk, Outcome, Workdays
from streams.stage import Arrays, ControlRecord, Outbox
from topics.catalogue import TICKS
from topics.records import AUDIT, CLUE_LOG, WARNING
from topics.wire import Refused, decode


class Dispatch:
    """The desk of one partition of clue ids."""

    name = "dispatch"
    topics: tuple[str, ...] = ("clues", "commands", TICKS["dispatch"])
    patient: tuple[str, ...] = (TICKS["dispatch"],)
    controls: tuple[str, ...] = ()

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self._desk = Desk(Workdays())
        self._counts: Counter[tuple[str, str]] = Counter()
        self._rejected: Counter[str] = Counter()

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Decide every record of a chunk in order."""
        for row, (value, at) in enumerate(zip(chunk.values, chunk.timestamps.tolist(), strict=True)):
            try:
                for outcome in self._decide(chunk.topic, value, at):
                    self._write(outcome, out)
            except Refused as refused:
                self._rejected[refused.reason] += 1
                out.reject(self.name, chunk, row, refused.reason, refused.detail)

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        """No control topic is obeyed."""

    def snapshot(self) -> Arrays:
        """The open clues."""
        return self._desk.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""
        self._desk.restore(arrays)

    def report(self, live: bool) -> None:
        """Count decisions by verb and outcome."""
        if live:
            for (verb, outcome), n in self._counts.items():
                metrics.DESK.labels(verb, outcome).inc(n)
            for reason, n in self._rejected.items():
                metrics.REJECTED.labels(self.name, reason).inc(n)
            metrics.STATE_ROWS.labels(f"{self.name}/{self.partition}", "clues").set(len(self._desk))
        self._counts.clear()
        self._rejected.clear()

    def _decide(self, topic: str, value: bytes | None, at: int) -> list[Outcome]:
        if value is None:
            raise Refused("null-value")
        if topic == "commands":
            return [self._desk.command(_record(value, "Command", "bad-command"), at)]
        if topic == "ticks":
            return self._desk.tick(int(_record(value, "Tick", "broken-avro")["at"]))  # type: ignore[call-overload]
        return [self._desk.clue(_record(value, "Clue", "broken-avro"), at)]

    def _write(self, outcome: Outcome, out: Outbox) -> None:
        for entry in outcome.entries:
            out.record("clue-log", CLUE_LOG, entry["clue_id"], entry)
            self._counts[entry["verb"], entry["reason"] or "ok"] += 1
        for department, warning in outcome.warnings:
            out.record(f"warnings.{department}", WARNING, warning["clue_id"], warning)
        for entry in outcome.audit:
            out.record("audit", AUDIT, entry["actor"], entry)


def _record(value: bytes, name: str, reason: str) -> dict[str, object]:
    try:
        found, record = decode(value)
    except Refused as refused:
        raise Refused(reason if name == "Command" else refused.reason, refused.detail) from refused
    if found != name:
        raise Refused(reason, f"{found} where {name} is due")
    return record
