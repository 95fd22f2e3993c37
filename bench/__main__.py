"""`make bench`: every workload beside every peer, on a broker of its own; writes docs/benchmarks.md."""

import sys
from pathlib import Path
from typing import Final

from bench import backtest
from bench.curves import tables
from bench.latency import HOT, typical
from bench.report import page, report
from bench.workloads import Stand, Workload, broker, compare
from fengsui.embedded import services
from fengsui.settings import load

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
# workload, peer, share of the events (slow peers would take minutes)
PLAN: Final[tuple[tuple[Workload, str | None, float], ...]] = (
    ("W1", "kafka-streams", 1.0),
    ("W1", "confluent-loop", 1.0),
    ("W1", "bytewax", 0.3),
    ("W1", "quix", 0.3),
    ("W1", "faust", 0.1),
    ("W2", "kafka-streams", 1.0),
    ("W2", "confluent-loop", 1.0),
    ("W2", "bytewax", 0.3),
    ("W2", "quix", 0.2),
    ("W2", "faust", 0.1),
    ("W3", None, 1.0),
)


def main(events: int = 1_000_000, rounds: int = 3) -> None:
    """Run, print, write. From a shell: `python -m bench [EVENTS [ROUNDS]]`."""
    found = []
    with services(broker(load())) as running:
        for workload, peer, share in PLAN:
            stand = Stand(running.settings, int(events * share), workload)
            stand.prepare()
            found.append(report(workload, peer, compare(stand, peer, rounds), None))
            sys.stdout.write(f"{found[-1]}\n")
            sys.stdout.flush()
        waits, busy = typical(running.settings, rounds), typical(running.settings, rounds, hot=HOT)
        sys.stdout.write(f"{waits}\n{busy}\n")
    tried = backtest.measure(20 * events)
    sys.stdout.write(f"{tried}\n")
    PAGE.write_text(page(found, waits, busy, tables(), tried), "utf-8")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
