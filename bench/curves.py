"""What a window feature costs: by keys, by readings in the window, by rules that share it; and what lateness changes.

`python -m bench.curves` prints the tables that `make bench` puts into docs/benchmarks.md. No broker: store and judge alone.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from bench.events import frame_of, subjects
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
    """(keys, us an event, bytes a reading held), of ten readings in each key's window."""
    for keys in (1_000, 10_000, 100_000, 1_000_000):
        store, cost = _filled(keys, 10, 2_000_000)
        yield keys, cost, _held_bytes(store) / store.rows


def by_density() -> Iterator[tuple[int, float]]:
    """(readings in a key's window, us an event)."""
    for dense in (1, 10, 100, 1_000, 10_000):
        yield dense, _filled(max(1, 20_000 // dense), dense, 10 * ROWS)[1]


def _filled(keys: int, dense: int, measured: int) -> tuple[WindowStore, float]:
    """A store whose windows of an hour hold `dense` readings of each key, and what each of `measured` further ones cost, us."""
    store, rng = WindowStore([HOUR], lateness=0), np.random.default_rng(1)
    names, yes = np.array([f"site:{i:07d}" for i in range(keys)]), np.ones(ROWS, np.bool_)
    step, spent, before = HOUR / (dense * keys), 0.0, dense * keys
    for first in range(0, before + measured, ROWS):
        keyed, at = pl.Series(names[rng.integers(0, keys, ROWS)]), ((first + np.arange(ROWS)) * step).astype(np.int64)
        batch = Batch(keyed, at, at, yes, pl.Series(rng.normal(4.0, 2.0, ROWS)), yes, yes)
        began = time.perf_counter()
        store.update(batch)
        spent += time.perf_counter() - began if first >= before else 0.0
    return store, spent / measured * 1e6


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
            frame = _readings(names, batch, rng)
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
            chunk = _chunk(_readings(names, batch, rng), share, batch * ROWS)
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


def _held_bytes(store: WindowStore) -> int:
    """Of rows and heads; the table of keys comes on top, by keys and not by rows."""
    return store._times.nbytes + store._values.nbytes + store._heads.nbytes


def _readings(names: np.ndarray, batch: int, rng: np.random.Generator) -> pl.DataFrame:
    """A batch as it arrives, each event when it occurred."""
    frame = frame_of(rng, names, 1_790_000_000_000, batch * ROWS, ROWS)
    return frame.with_columns(_ts="occurred_at", _offset=pl.int_range(batch * ROWS, (batch + 1) * ROWS, dtype=pl.Int64))


def _table(head: str, rows: Iterable[Sequence[str]]) -> list[str]:
    return ["", f"| {head} |", "|---" * (head.count("|") + 1) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def tables() -> str:
    """All of it as Markdown."""
    keys = ((f"{n:,}", f"{us:.2f}", f"{held:.0f}") for n, us, held in by_keys())
    lines = [
        "## Cost of window features",
        "",
        "The store alone (count, sum, extremes, last, rate of one hour), one core.",
        *_table("keys | us an event | bytes a reading held", keys),
        *_table("readings in a key's window | us an event", ((f"{n:,}", f"{us:.2f}") for n, us in by_density())),
        "",
        "The whole judgement, by rules that share three features of an hour:",
        *_table("rules | us an event", ((str(n), f"{us:.2f}") for n, us in by_rules())),
        "",
        "The detect stage on W1's events, by the share of bad records in each chunk:",
        *_table("bad | us an event", ((f"{share:.0%}", f"{us:.2f}") for share, us in by_bad())),
        "",
        "## Late events",
        "",
        _LATE.format(**late()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    warm_up()
    sys.stdout.write(tables())
