"""Results as figures: medians of the rounds, and the page that shows them."""

import datetime as dt
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psutil

from bench.backtest import Tried
from bench.contender import Result
from bench.latency import HOT

Rounds = Sequence[tuple[Result, Result | None]]
_HEAD: Final = """# Benchmarks

Made by `make bench`. W1: decode, 50 threshold rules, clues out. W2: W1, and count, sum and mean per subject over an hour,
with state that survives kill -9. W3: W2, and the sector's online model. 100,000 subjects, 4 partitions, Apache Kafka beside them.
All contenders of a row read the same events in the same run, in alternating rounds; medians. The machines are noisy: compare
within one row only, by the ratio. Slow peers get fewer events, and so does ours beside them.

{today}, {cores} cores, {memory:.0f} GiB, {system}, Python {python}, Java 25, Kafka 4.3.1.

| workload | events | ours, events/s | peer | peer, events/s | ratio | CPU s per million: ours, peer | peak MB: ours, peer |
|---|---|---|---|---|---|---|---|
"""
_TAIL: Final = """
Latency from produce to a read-committed reader at {rate:,.0f} events/s (W1, exactly once), medians of the runs: p50 {p50:.0f} ms,
p99 {p99:.0f} ms. The same with {hot:.0%} of all events at one subject, whose partition gets near half of them:
p50 {busy50:.0f} ms, p99 {busy99:.0f} ms for all other subjects.

- **ours**: two workers; intake, rules, exact sliding windows, clues with explanations; one transaction a batch, exactly once
- **kafka-streams**: Java 25, two threads, exactly once (v2); windows tumble, in RocksDB with changelog and cache
- **confluent-loop**: confluent-kafka and fastavro, no engine, at least once; windows tumble, in a dict that no crash survives
- **bytewax**: one worker, fastavro; windows tumble, by `stateful_map`, without a recovery store
- **quix**: Quix Streams, at least once (its default), fastavro; windows tumble, in RocksDB with changelog
- **faust**: stock Faust, one event at a time, at least once, fastavro; windows tumble, in a table with changelog

All contenders raise the same number of clues by the threshold rules; the run stops with an error when they do not. Time runs
from the first event (groups have joined, Java has started) to the last commit; Java compiles its code while it works, ours has
done so before. Peak MB is of one process.

## Where the time goes

W2, one detect stage alone, chunks of 20,000 events (cProfile, by hand): 1.3 us an event. Clues 0.5 (26 in a thousand events
there, 20 us a clue: the last Python for each of something), the window store 0.3 (the kernel 0.2, codes of keys 0.1), repeated
ids 0.3 while their table grows (0.05 after), Avro to columns 0.15, checks 0.1, first pass of all conditions 0.1. W1 is 0.85.
Beside it a worker spends 0.5 to 0.7 us an event on fetching (lz4, record batches to columns) and on its transactions. At 20,000
events/s the fixed cost counts (perf, by hand): about 1.2 ms a batch for deciding, 1 for its transaction, and 2 in the broker.
"""
_TRIED: Final = """
## Back-test

50 rules (40 thresholds, 10 on windows that share two features) over {events:,} archived readings: {rate:,.0f} events/s,
{clues:,} clues, {memory:,.0f} MiB at most (`fengsui.backtest`, all cores, reading included).
"""
_BAR: Final = 40


def report(workload: str, peer: str | None, rounds: Rounds, waits: Mapping[str, float] | None) -> dict[str, Any]:
    """What `fengsui bench --json` prints. Raises RuntimeError when the contenders disagree on the threshold rules' clues."""
    hits = {r.hits for r, _ in rounds} | {p.hits for _, p in rounds if p}
    if len(hits) != 1:
        raise RuntimeError(f"the contenders disagree on the clues: {sorted(hits)}")
    ours = statistics.median(r.rate for r, _ in rounds)
    theirs = statistics.median(p.rate for _, p in rounds if p) if peer else None
    return {
        "workload": workload,
        "events": rounds[0][0].events,
        "events_per_second": round(ours),
        "peer": peer,
        "peer_events_per_second": round(theirs) if theirs else None,
        "ratio": round(ours / theirs, 2) if theirs else None,
        "rounds": [_round(*pair) for pair in rounds],
        "peak_memory_mb": round(max(r.peak_memory_mb for r, _ in rounds)),
        "cpu_seconds_per_million": _cpu(r for r, _ in rounds),
        "peer_peak_memory_mb": round(max(p.peak_memory_mb for _, p in rounds if p)) if peer else None,
        "peer_cpu_seconds_per_million": _cpu(p for _, p in rounds if p) if peer else None,
        "latency_ms": {"p50": waits["p50"], "p99": waits["p99"]} if waits else None,
    }


def _round(ours: Result, peer: Result | None) -> dict[str, int | None]:
    return {
        "ours": round(ours.rate),
        "peer": round(peer.rate) if peer else None,
        "hits": ours.hits,
        "peer_hits": peer.hits if peer else None,
    }


def _cpu(results: Iterable[Result]) -> float:
    return round(statistics.median(r.cpu_seconds / r.events * 1e6 for r in results), 2)


def page(
    found: Sequence[Mapping[str, Any]], waits: Mapping[str, float], busy: Mapping[str, float], costs: str, tried: Tried
) -> str:
    """docs/benchmarks.md; `busy`: waits of the others beside a hot subject, `costs`: tables of `bench.curves`, `tried`: a
    back-test."""
    head = _HEAD.format(
        today=dt.datetime.now(dt.UTC).date(), cores=psutil.cpu_count(), memory=psutil.virtual_memory().total / 2**30,
        system=platform.system(), python=platform.python_version(),
    )  # fmt: skip
    tail = _TAIL.format(
        rate=waits["events_per_second"], p50=waits["p50"], p99=waits["p99"],
        hot=HOT, busy50=busy["p50"], busy99=busy["p99"],
    )  # fmt: skip
    chart = "\n".join(["", "```", *_chart(found), "```", ""])
    of_rules = _TRIED.format(events=tried.events, rate=tried.per_second, clues=tried.clues, memory=tried.memory)
    return head + "\n".join(map(_row, found)) + "\n" + chart + tail + "\n" + costs + of_rules


def _row(one: Mapping[str, Any]) -> str:
    peer = one["peer"] is not None
    cells = (
        one["workload"],
        f"{one['events']:,}",
        f"{one['events_per_second']:,}",
        one["peer"] or "",
        f"{one['peer_events_per_second']:,}" if peer else "",
        f"{one['ratio']:.2f}" if peer else "",
        f"{one['cpu_seconds_per_million']:.1f}" + (f", {one['peer_cpu_seconds_per_million']:.1f}" if peer else ""),
        f"{one['peak_memory_mb']:,}" + (f", {one['peer_peak_memory_mb']:,}" if peer else ""),
    )
    return "| " + " | ".join(cells) + " |"


def _chart(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Bars of events a second, the fastest of a workload at full length; ours is the mean over its rows."""
    lines: list[str] = []
    for workload in dict.fromkeys(one["workload"] for one in found):
        rows = [one for one in found if one["workload"] == workload]
        rates = {"ours": statistics.mean(one["events_per_second"] for one in rows)}
        rates |= {one["peer"]: one["peer_events_per_second"] for one in rows if one["peer"]}
        most = max(rates.values())
        for name, rate in sorted(rates.items(), key=lambda pair: -pair[1]):
            lines.append(f"{workload} {name:15} {'█' * max(1, round(_BAR * rate / most))} {rate:,.0f}")
    return lines
