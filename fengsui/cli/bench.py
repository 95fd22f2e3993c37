"""`fengsui bench`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from fengsui.cli.common import say, say_json
from fengsui.settings import load


def bench(
    workload: Literal["W1", "W2", "W3"],
    *,
    peer: Literal["kafka-streams", "quix", "bytewax", "faust", "confluent-loop"] | None = None,
    events: int = 1_000_000,
    rounds: int = 3,
    workers: int = 2,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """吞吐量对比 (throughput beside a peer): the same events, the same broker, alternating rounds, medians; then the latency."""
    from bench.latency import FULL, SECONDS, SMOKE_SECONDS, measure
    from bench.report import report
    from bench.workloads import Stand, broker, compare
    from fengsui.embedded import services

    with services(broker(load())) as running:
        stand = Stand(running.settings, events, workload, workers)
        stand.prepare()
        results = compare(stand, peer, rounds)
        waits = measure(stand, seconds=SECONDS if events >= FULL else SMOKE_SECONDS)
    found = report(workload, peer, results, waits)
    say(
        f"{workload}: {found['events_per_second']:,} 事件/秒 (events/s)"
        + (f"; {peer} {found['peer_events_per_second']:,}; {found['ratio']}x" if peer else "")
    )
    if json:
        say_json(found)
