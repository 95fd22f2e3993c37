"""What a window feature costs: by keys, by readings in the window, by rules that share it; and what lateness changes.

`python -m bench.curves` prints the tables that `make bench` puts into docs/benchmarks.md. No broker: store and judge alone.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from bench.events import subjects
from bench.workloads import rules
from connectors.city import City
from fengsui.settings import load
from fengsui.warmup import warm_up
from rules import Judge, load_packs, parse_rule
from rules.windows import Batch, WindowStore
from streams.chunk import Chunk
from streams.detect import Detect
from streams.stage import Outbox
from topics.columns import encode_frame
from topics.events import KINDS
from topics.spans import Spans

HOUR: Final = 3_600_000
PACKS: Final = Path(__file__).parents[1] / "rules" / "packs"
ROWS: Final = 20_000  # of a batch

_SHARING = """
id: sharing-{i:03d}
title: 一小时均值偏高 {i}
sector: food-drug
status: live
on: iot
features:
  n_1h:   {{agg: count, within: 1h}}
  avg_1h: {{agg: avg, of: value, within: 1h}}
  max_1h: {{agg: max, of: value, within: 1h}}
when: "n_1h >= 20 AND avg_1h > {limit} AND max_1h > {limit}"
severity: orange
episode: {{quiet: 1h}}
department: market-supervision
explain: "{{subject_name}} {{avg_1h:.1f}}"
basis: benchmark
source: benchmark
runbook: 无
false_positives: [无]
tests:
  - name: warm
    events: [{{from: 0m, to: 30m, every: 1m, device_id: d1, metric: cold_store_temp, value: 99.0}}]
    expect: [{{at: 19m, severity: orange}}]
  - name: cold
    events: [{{at: 0m, device_id: d1, metric: cold_store_temp, value: 1.0}}]
    expect: []
"""


_LATE: Final = """{events:,.0f} events of the city, judged as they arrive: {arrived:,.0f} clues of the starter packs.
The same events sorted by time: {sorted:,.0f}. By rule, subject and day, {same_of_arrived:.1%} of the first are among the
second, and {same_of_sorted:.1%} of the second among the first."""


def by_keys() -> Iterator[tuple[int, float, float]]:
    """(keys, us an event, bytes a reading held): 2 M readings after each key was seen, ten to a key's hour."""
    for keys in (1_000, 10_000, 100_000, 1_000_000):
        store = WindowStore([HOUR], lateness=0)
        names = np.array([f"site:{i:07d}" for i in range(keys)])
        step = HOUR / (10 * keys)  # ms between two readings, so that a key has ten an hour
        spent, before, rng = 0.0, 10 * keys, np.random.default_rng(1)
        for first in range(0, before + 2_000_000, ROWS):
            keyed = pl.Series(names[rng.integers(0, keys, ROWS)])
            seconds = _update(store, keyed, (first + np.arange(ROWS)) * step, rng)
            spent += seconds if first >= before else 0.0
        yield keys, spent / 2.0, _held_bytes(store) / store.rows


def by_density() -> Iterator[tuple[int, float]]:
    """(readings in a key's window, us an event)."""
    for dense in (1, 10, 100, 1_000, 10_000):
        store, keys = WindowStore([HOUR], lateness=0), max(1, 20_000 // dense)
        names, rng = np.array([f"site:{i:07d}" for i in range(keys)]), np.random.default_rng(1)
        step, spent, before = HOUR / (dense * keys), 0.0, dense * keys
        for first in range(0, before + 10 * ROWS, ROWS):
            seconds = _update(
                store, pl.Series(names[rng.integers(0, keys, ROWS)]), (first + np.arange(ROWS)) * step, rng
            )
            spent += seconds if first >= before else 0.0
        yield dense, spent / (10 * ROWS) * 1e6


def by_rules() -> Iterator[tuple[int, float]]:
    """(rules that share three features, us an event), the whole judgement."""
    names, rng = np.array([f"site:{i:06d}" for i in range(10_000)]), np.random.default_rng(1)
    for count in (1, 10, 50, 100):
        judge = Judge(
            [parse_rule(_SHARING.format(i=i, limit=90 + i / 10), "bench") for i in range(count)],
            scope="subject",
            lateness={},
        )
        spent = 0.0
        for batch in range(20):
            frame = _readings(names[rng.integers(0, names.size, ROWS)], batch, rng)
            began = time.perf_counter()
            judge.judge("iot", frame, topic="events.iot", partition=0)
            spent += time.perf_counter() - began if batch >= 10 else 0.0
        yield count, spent / (10 * ROWS) * 1e6


def by_bad() -> Iterator[tuple[float, float]]:
    """(share of bad records, us an event): the detect stage with the 50 threshold rules of W1. One bad record in four each is not
    Avro, has a wrong credit code, an unknown sector, a time in the future."""
    names, rng = np.array(subjects(10_000)), np.random.default_rng(1)
    for share in (0.0, 0.01, 0.05):
        stage = Detect(0, 1, {}, 1 << 20, serving=())
        stage._judge.replace([rule for rule, _ in rules("W1")], {})
        spent = 0.0
        for batch in range(12):
            chunk = _chunk(_readings(names[rng.integers(0, names.size, ROWS)], batch, rng), share, batch * ROWS)
            began = time.perf_counter()
            stage.step(chunk, Outbox())
            spent += time.perf_counter() - began if batch >= 4 else 0.0
        yield share, spent / (8 * ROWS) * 1e6


def _chunk(frame: pl.DataFrame, share: float, offset: int) -> Chunk:
    n = len(frame)
    where = np.arange(n)
    bad = (where % max(1, round(1 / share)) == 0) if share else np.zeros(n, np.bool_)
    turn = where // max(1, round(1 / share)) % 4 if share else where

    def worse(column: str, kind: int, value: object) -> pl.Expr:
        return pl.when(pl.Series(bad & (turn == kind))).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)

    at = int(frame["_ts"].to_numpy().max())
    worsened = frame.with_columns(
        worse("subject", 1, "uscc:91320100MA00000010"), worse("sector", 2, "none"), worse("occurred_at", 3, at + 10**9)
    )
    values = encode_frame(KINDS["iot"].schema, worsened)
    spans = Spans.of([b"garbage" if bad[i] and turn[i] == 0 else value for i, value in enumerate(values)])
    offsets = offset + where
    return Chunk("events.iot", 0, offset, offset + n, offsets, frame["_ts"].to_numpy(), Spans.of([b"k"] * n), spans)


def late(events: int = 100_000) -> dict[str, float]:
    """The city's events as they arrive, out of order, against the same events sorted by time: clues of the starter packs. `same`:
    clues that both raise, by rule and subject and day, as a share of either."""
    arrived = [(d.kind, d.frame) for d in City(7, events, 1_790_000_000_000).deliveries(2_000) if d.gateway != "raw"]
    sorts = {}
    for name in ("arrived", "sorted"):
        judge = Judge(load_packs(PACKS), scope="subject", lateness=load().allowed_lateness_ms)
        sorts[name] = pl.concat(list(_judged(judge, arrived if name == "arrived" else _sorted(arrived))))
    days = {name: set(_days(clues)) for name, clues in sorts.items()}
    both = len(days["arrived"] & days["sorted"])
    return {
        "events": sum(len(frame) for _, frame in arrived), "arrived": len(sorts["arrived"]), "sorted": len(sorts["sorted"]),
        "same_of_arrived": both / len(days["arrived"]), "same_of_sorted": both / len(days["sorted"]),
    }  # fmt: skip


def _days(clues: pl.DataFrame) -> Iterator[tuple[str, str, int]]:
    for rule, subject, at in clues.select("origin_id", "subject", "occurred_at").iter_rows():
        yield rule, subject, at // (24 * HOUR)


def _judged(judge: Judge, batches: Sequence[tuple[str, pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    offset = 0
    for kind, frame in batches:
        rows = frame.with_columns(
            _offset=pl.int_range(offset, offset + len(frame), dtype=pl.Int64), _ts=pl.col("_arrived")
        )
        offset += len(frame)
        yield judge.judge(kind, rows.drop("_arrived"), topic=f"events.{kind}", partition=0)


def _sorted(arrived: Sequence[tuple[str, pl.DataFrame]]) -> list[tuple[str, pl.DataFrame]]:
    """By the time at which it occurred, observed and arrived at once; in runs of one kind."""
    order = {
        kind: pl.concat([f for k, f in arrived if k == kind]).sort("occurred_at", maintain_order=True) for kind in KINDS
    }
    cuts = np.sort(np.concatenate([frame["occurred_at"].to_numpy() for frame in order.values()]))[::500]
    pieces = []
    for first, last in zip(cuts, [*cuts[1:], np.iinfo(np.int64).max], strict=True):
        for kind, frame in order.items():
            piece = frame.filter(pl.col("occurred_at").is_between(int(first), int(last), closed="left"))
            if len(piece):
                pieces.append((kind, piece.with_columns(observed_at="occurred_at", _arrived="occurred_at")))
    return pieces


def _update(store: WindowStore, keys: pl.Series, ts: np.ndarray, rng: np.random.Generator) -> float:
    at, yes = ts.astype(np.int64), np.ones(len(keys), np.bool_)
    batch = Batch(keys, at, at, yes, pl.Series(rng.normal(4.0, 2.0, len(keys))), yes, yes)
    began = time.perf_counter()
    store.update(batch)
    return time.perf_counter() - began


def _held_bytes(store: WindowStore) -> int:
    """Of rows and heads; the table of keys comes on top, by keys and not by rows."""
    return store._times.nbytes + store._values.nbytes + store._heads.nbytes


def _readings(subjects: np.ndarray, batch: int, rng: np.random.Generator) -> pl.DataFrame:
    n = subjects.size
    at = 1_790_000_000_000 + batch * 120_000 + np.arange(n) * 120_000 // n
    named = {"event_id": [f"e{batch}-{i}" for i in range(n)], "subject": subjects, "value": rng.normal(4.0, 2.0, n)}
    fixed = {
        "kind": "iot",
        "sector": "food-drug",
        "region": "320102",
        "source": "b",
        "device_id": "d",
        "metric": "cold_store_temp",
    }
    frame = pl.DataFrame(named | {"occurred_at": at, "observed_at": at, "_ts": at, "_offset": np.arange(n)})
    return frame.with_columns(**{name: pl.lit(value) for name, value in fixed.items()})


def tables() -> str:
    """All of it as Markdown."""
    lines = [
        "## Cost of window features",
        "",
        "The store alone (count, sum, extremes, last, rate of one hour), one core.",
        "",
    ]
    lines += ["| keys | us an event | bytes a reading held |", "|---|---|---|"]
    lines += [f"| {keys:,} | {us:.2f} | {held:.0f} |" for keys, us, held in by_keys()]
    lines += ["", "| readings in a key's window | us an event |", "|---|---|"]
    lines += [f"| {dense:,} | {us:.2f} |" for dense, us in by_density()]
    lines += [
        "",
        "The whole judgement, by rules that share three features of an hour:",
        "",
        "| rules | us an event |",
        "|---|---|",
    ]
    lines += [f"| {rules} | {us:.2f} |" for rules, us in by_rules()]
    lines += [
        "",
        "The detect stage on W1's events, by the share of bad records in each chunk:",
        "",
        "| bad | us an event |",
        "|---|---|",
    ]
    lines += [f"| {share:.0%} | {us:.2f} |" for share, us in by_bad()]
    found = late()
    lines += ["", "## Late events", "", _LATE.format(**found)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    warm_up()
    sys.stdout.write(tables())
