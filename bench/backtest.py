"""How fast rules are tried on the archive: 50 rules (40 thresholds, 10 on windows that share two features) over readings.

`python -m bench.backtest [EVENTS]` writes an archive, judges it in a process of its own and prints a line; `make bench` puts it
into docs/benchmarks.md. No broker: the files are those that the archiver writes.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.contender import peak_mb
from bench.events import PARTITIONS, STEP, frame_of, subjects
from bench.workloads import threshold
from connectors.archive.shelf import Shelf
from connectors.archive.table import Record
from fengsui.backtest import backtest
from fengsui.crew import MEMORY
from fengsui.settings import load
from rules import Rule, parse_rule
from topics.columns import encode_frame
from topics.events import KINDS
from topics.keys import partitions_of

EVENTS: Final = 20_000_000
_FILE: Final = 500_000  # events of one file of each partition, as the archiver writes them on a busy day
_THRESHOLDS: Final = 40
_FIRST: Final = 16.0  # a threshold's clue in two thousand readings: a rule worth trying is not noisier
_START: Final = 1_780_000_000_000

_WINDOWS = """
id: windows-{i:02d}
title: 一小时均值偏高 {i}
sector: food-drug
status: draft
on: iot
features:
  n_1h:   {{agg: count, within: 1h, where: "metric = 'cold_store_temp'"}}
  avg_1h: {{agg: avg, of: value, within: 1h, where: "metric = 'cold_store_temp'"}}
when: "metric = 'cold_store_temp' AND n_1h >= 10 AND avg_1h > {limit}"
severity: orange
episode: {{quiet: 1h}}
department: market-supervision
explain: "{{subject_name}} 近一小时 {{n_1h}} 次读数,均值 {{avg_1h:.1f}}"
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One back-test: events, clues, seconds (reading included), peak memory of its process in MiB."""

    events: int
    clues: int
    seconds: float
    memory: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def fifty() -> list[Rule]:
    """The rules."""
    texts = [threshold(i, round(_FIRST + STEP * i, 2)) for i in range(_THRESHOLDS)]
    texts += [_WINDOWS.format(i=i, limit=6 + 0.1 * i) for i in range(10)]
    return [parse_rule(text, "bench") for text in texts]


def write(root: Path, events: int, seed: int = 3) -> None:
    """An archive of readings of 100,000 subjects, one a millisecond."""
    rng, names = np.random.default_rng(seed), np.array(subjects())
    shelves = [Shelf(root, KINDS["iot"].topic, partition) for partition in range(PARTITIONS)]
    assert all(shelf.try_lock() for shelf in shelves)
    held: list[list[Record]] = [[] for _ in shelves]
    offsets = [0] * PARTITIONS
    for first in range(0, events, _FILE):
        frame = frame_of(rng, names, _START, first, min(_FILE, events - first))
        values, keys = encode_frame(KINDS["iot"].schema, frame), frame["subject"].to_list()
        times = frame["occurred_at"].to_list()
        for value, key, at, partition in zip(
            values, keys, times, partitions_of(keys, PARTITIONS).tolist(), strict=True
        ):
            held[partition].append(Record(offsets[partition], at, key.encode(), value))
            offsets[partition] += 1
        if sum(map(len, held)) >= PARTITIONS * _FILE or first + _FILE >= events:
            for shelf, records in zip(shelves, held, strict=True):
                for _ in shelf.write(records):
                    pass
                records.clear()
    for shelf in shelves:
        shelf.release()


def measure(events: int) -> Tried:
    """Write an archive, and judge it in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fengsui-bench-") as folder:
        write(Path(folder), events)
        return judge(Path(folder))


def judge(root: Path) -> Tried:
    """One back-test of an archive in a process of its own."""
    argv = [sys.executable, "-m", "bench.backtest", "judge", str(root)]
    done = subprocess.run(argv, env=MEMORY | dict(os.environ), stdout=subprocess.PIPE, text=True, check=True)
    return Tried(**json.loads(done.stdout.splitlines()[-1]))


def _judge(root: Path) -> None:
    found = backtest(fifty(), root, lateness=load().allowed_lateness_ms)
    sys.stdout.write(json.dumps(asdict(Tried(found.events, found.clues.height, found.seconds, peak_mb()))) + "\n")


def main(words: list[str]) -> None:
    """From a shell."""
    if words[:1] == ["judge"]:
        _judge(Path(words[1]))
        return
    found = measure(int(words[0]) if words else EVENTS)
    sys.stdout.write(json.dumps(asdict(found) | {"events_per_second": round(found.per_second)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
