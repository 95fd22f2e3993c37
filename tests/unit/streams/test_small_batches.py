"""A small batch must stay cheap: its fixed cost is the number of polars queries it plans and runs, so that is what is counted."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np
import polars as pl
import pytest

from connectors.city import City
from models.contract import make
from models.profile import FEATURES
from models.serving import load
from rules import load_packs
from streams.chunk import Chunk
from streams.detect import Detect
from streams.stage import ControlRecord, Outbox
from topics.columns import encode_frame
from topics.events import KINDS
from topics.records import RULE
from topics.spans import Spans
from topics.wire import encode

NOW: Final = 1_790_000_000_000
PACKS: Final = Path(__file__).parents[3] / "rules" / "packs"
DELIVERIES: Final = 60
SETTLED: Final = 12  # deliveries until every kind was seen once
# Queries a batch by kind, on average. They were 5 to 9 when this was written; one for each rule or store would be hundreds.
MOST: Final = 10


@pytest.fixture(scope="module")
def detect() -> Detect:
    """Detect with all starter packs in force, and a taught model in every sector."""
    stage = Detect(0, 1, {"iot": 600_000}, 1 << 20)
    rules = load_packs(PACKS)
    records = []
    for i, rule in enumerate(rules):
        text = {"text": Path(rule.path).read_text("utf-8"), "actor": "test", "published_at": 0}
        records.append(
            ControlRecord(i, rule.id.encode(), encode(RULE, {"rule_id": rule.id, "version": rule.version} | text))
        )
    stage.control("rules", records)
    rng = np.random.default_rng(3)
    examples = pl.DataFrame({name: rng.normal(0.0, 1.0, 600) for name in FEATURES})
    model = make("visit")
    model.learn_many(examples, (examples["last_bad"].to_numpy() > 1.0).astype(float))
    for serving in load():
        stage._panel.apply(serving.sector, "visit", model.snapshot(), "1")
    return stage


class Queries:
    """Counts the queries that polars runs, whatever method asked for them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """A profiler's hook."""
        if event == "c_call" and arg.__name__ == "collect":
            self.count += 1


def slices() -> Iterator[tuple[str, Chunk]]:
    """A city's deliveries as a worker fetches them: some rows of one kind at a time."""
    offset = 0
    for delivery in City(7, 20_000, NOW).deliveries(DELIVERIES):
        frame = delivery.frame.drop("_arrived", strict=False)[:50]
        if len(frame) and delivery.gateway != "raw":
            values: list[bytes | None] = [*encode_frame(KINDS[delivery.kind].schema, frame)]
            n = len(values)
            where = np.arange(offset, offset + n)
            yield (
                delivery.kind,
                Chunk(
                    f"events.{delivery.kind}",
                    0,
                    offset,
                    offset + n,
                    where,
                    np.full(n, NOW),
                    Spans.of([None] * n),
                    Spans.of(values),
                ),
            )
            offset += n


def test_a_small_batch_runs_few_queries(detect: Detect) -> None:
    """Of every kind, with all rules and models in force."""
    spent: Counter[str] = Counter()
    batches: Counter[str] = Counter()
    written = 0
    for i, (kind, chunk) in enumerate(slices()):
        queries, out = Queries(), Outbox()
        before = sys.getprofile()
        sys.setprofile(queries)
        try:
            detect.step(chunk, out)
        finally:
            sys.setprofile(before)
        written += len(out)
        if i >= SETTLED:
            spent[kind] += queries.count
            batches[kind] += 1
    assert batches.keys() == KINDS.keys()
    assert written > 0
    mean = {kind: spent[kind] / n for kind, n in batches.items()}
    assert min(mean.values()) > 0, f"nothing was counted: {mean}"
    assert max(mean.values()) <= MOST, mean
