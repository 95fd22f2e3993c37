"""Feedback: what a department says of a clue becomes a label. Confirmed and false alarms go to the learner of the sector, as
examples keyed by sector on `rekeyed`; verdicts are counted by rule or model, for its precision."""

import json
from collections import Counter
from collections.abc import Sequence

from models.learner import example_from_feedback
from streams import metrics
from streams.chunk import Chunk
from streams.stage import Arrays, ControlRecord, Outbox
from topics.records import EXAMPLE
from topics.wire import Refused, decode


class Feedback:
    """Stateless: an accepted feedback step in the clue log is one example."""

    name = "feedback"
    topics: tuple[str, ...] = ("clue-log",)
    patient: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self._verdicts: Counter[tuple[str, str]] = Counter()

    def step(self, chunk: Chunk, out: Outbox) -> None:
        """Turn the feedback steps of a chunk into examples."""
        for row, value in enumerate(chunk.values):
            if value is None:  # compaction's tombstone
                continue
            try:
                name, entry = decode(value)
            except Refused as refused:
                out.reject(self.name, chunk, row, refused.reason, refused.detail)
                continue
            if name == "ClueLog" and entry["verb"] == "feedback" and entry["accepted"]:
                self._learn(json.loads(entry["state"]), out)

    def control(self, topic: str, records: Sequence[ControlRecord]) -> None:
        """No control topic is obeyed."""

    def snapshot(self) -> Arrays:
        """Nothing to keep."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Nothing to restore."""

    def report(self, live: bool) -> None:
        """Count verdicts."""
        if live:
            for (origin, verdict), n in self._verdicts.items():
                metrics.FEEDBACK.labels(origin, verdict).inc(n)
        self._verdicts.clear()

    def _learn(self, case: dict[str, object], out: Outbox) -> None:
        verdict = str(case.get("verdict") or "unclear")
        self._verdicts[str(case["origin_id"]), verdict] += 1
        example = example_from_feedback(case, verdict)
        if example is not None:
            out.record("rekeyed", EXAMPLE, f"sector:{example['sector']}", example)
