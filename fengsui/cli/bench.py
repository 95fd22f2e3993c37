"""`fengsui bench`."""

import statistics
from typing import Annotated, Literal

from cyclopts import Parameter

from fengsui.cli.common import say, say_json
from fengsui.settings import load


def bench(
    workload: Literal["W1"],
    *,
    peer: Literal["faust", "confluent-loop"] | None = None,
    events: int = 1_000_000,
    rounds: int = 3,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """吞吐量对比 (throughput beside a peer): the same events, the same broker, alternating rounds, medians."""
    from bench.latency import measure
    from bench.workloads import Stand, compare
    from fengsui.embedded import services

    with services(load()) as running:
        stand = Stand(running.settings, events)
        stand.prepare()
        results = compare(stand, peer, rounds)
        waits = measure(stand)
    ours = statistics.median(r.rate for r, _ in results)
    theirs = statistics.median(p.rate for _, p in results if p) if peer else None
    report = {
        "workload": workload,
        "events": events,
        "events_per_second": round(ours),
        "peer": peer,
        "peer_events_per_second": round(theirs) if theirs else None,
        "ratio": round(ours / theirs, 2) if theirs else None,
        "rounds": [
            {
                "ours": round(r.rate),
                "peer": round(p.rate) if p else None,
                "hits": r.hits,
                "peer_hits": p.hits if p else None,
            }
            for r, p in results
        ],
        "peak_memory_mb": round(max(r.peak_memory_mb for r, _ in results)),
        "latency_ms": {"p50": waits["p50"], "p99": waits["p99"]},
        "cpu_seconds_per_million": round(statistics.median(r.cpu_seconds / r.events * 1e6 for r, _ in results), 2),
    }
    say(
        f"{workload}: {ours:,.0f} 事件/秒 (events/s)"
        + (f"; {peer} {theirs:,.0f}; {ours / theirs:.1f}x" if theirs else "")
    )
    if json:
        say_json(report)
