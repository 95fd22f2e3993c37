"""`make bench`: every workload beside every peer, on a broker of its own; writes docs/benchmarks.md."""

import datetime as dt
import platform
import statistics
import sys
from pathlib import Path

import psutil

from bench.contender import Result
from bench.latency import measure
from bench.workloads import PEERS, Stand, compare
from fengsui.embedded import services
from fengsui.settings import load

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
WHAT = {
    "ours": "this engine: intake, 50 rules, clues; one transaction a batch, exactly once",
    "faust": "stock Faust: one event at a time, at least once",
    "confluent-loop": "a plain confluent-kafka loop with fastavro: no engine, no state, at least once",
}


def main(events: int = 1_000_000, rounds: int = 3) -> None:
    """Run, print, write. From a shell: `python -m bench [EVENTS [ROUNDS]]`."""
    with services(load()) as running:
        stand = Stand(running.settings, events)
        stand.prepare()
        waits = measure(Stand(running.settings, 0))
        results = {peer: compare(stand, peer, rounds) for peer in PEERS}
    rows = [_row(peer, results[peer]) for peer in PEERS]
    PAGE.write_text(_page(rows, events, rounds, waits), "utf-8")
    print("\n".join(rows))


def _row(peer: str, rounds: list[tuple[Result, Result | None]]) -> str:
    ours = statistics.median(r.rate for r, _ in rounds)
    theirs = statistics.median(p.rate for _, p in rounds if p)
    memory = max(r.peak_memory_mb for r, _ in rounds)
    cpu = statistics.median(r.cpu_seconds / r.events * 1e6 for r, _ in rounds)
    hits = {r.hits for r, _ in rounds} | {p.hits for _, p in rounds if p}
    if len(hits) != 1:
        raise RuntimeError(f"the contenders disagree on the clues: {hits}")
    return f"| W1 | {ours:,.0f} | {peer} | {theirs:,.0f} | {ours / theirs:.1f} | {cpu:.1f} | {memory:,.0f} |"


def _page(rows: list[str], events: int, rounds: int, waits: dict[str, float]) -> str:
    today = dt.datetime.now(dt.UTC).date()
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    head = [
        "# Benchmarks",
        "",
        "Made by `make bench`. W1: decode, 50 threshold rules, clues out; 100,000 subjects, 4 partitions, one worker, Apache",
        f"Kafka on the same machine. {events:,} events, the same for all; alternating rounds in one run, medians of {rounds}.",
        "The machines are noisy: compare only within one run, by the ratio.",
        "",
        f"{today}, {cores} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}.",
        "",
        "| workload | ours, events/s | peer | peer, events/s | ratio | our CPU s per million | our peak MB |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Latency from produce to a read-committed reader at {waits['events_per_second']:,.0f} events/s, exactly once: "
        f"p50 {waits['p50']:.0f} ms, p99 {waits['p99']:.0f} ms.",
        "",
        *(f"- **{name}**: {what}" for name, what in WHAT.items()),
        "",
        "All contenders raise the same number of clues; the run stops with an error when they do not.",
    ]
    return "\n".join(head) + "\n"


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
