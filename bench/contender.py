"""What every contender reports: how many events in how many seconds, with how much processor time and memory.

Standard library only: peers run it in an environment of their own."""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Result:
    """One run of one contender. `hits`: of the threshold rules; `began`: epoch seconds, to put several workers together."""

    events: int
    seconds: float
    hits: int
    cpu_seconds: float
    peak_memory_mb: float
    began: float = 0.0

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class Meter:
    """Counts from the first event on; `done` prints the result as one line of JSON."""

    def __init__(self) -> None:
        self._began = 0.0
        self._cpu = 0.0

    def begin(self) -> None:
        """The first event is here (later calls change nothing)."""
        if not self._began:
            self._began, self._cpu = time.time(), time.process_time()

    def done(self, events: int, hits: int | Callable[[], int]) -> None:
        """All events are decided and their outputs are committed or acknowledged. `hits` that must be asked for are asked for
        once the clock stands."""
        seconds, cpu = time.time() - self._began, time.process_time() - self._cpu
        result = Result(events, seconds, hits() if callable(hits) else hits, cpu, peak_mb(), self._began)
        sys.stdout.write("RESULT " + json.dumps(asdict(result)) + "\n")
        sys.stdout.flush()


def peak_mb() -> float:
    """This process's peak since it was started (`getrusage` would tell that of the process it was forked from)."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def result_of(output: str) -> Result:
    """The result in a contender's output. Raises RuntimeError with the end of the output when there is none."""
    for line in reversed(output.splitlines()):
        if "RESULT {" in line:  # Faust puts its own words before what is printed
            return Result(**json.JSONDecoder().raw_decode(line[line.index("{") :])[0])
    raise RuntimeError(f"the contender gave no result:\n{output[-2000:]}")


def together(results: Sequence[Result]) -> Result:
    """The result of workers that shared one run: from the first one's start to the last one's end; memory is a worker's.

    >>> together([Result(2, 1.0, 1, 0.5, 10, 100.0), Result(2, 1.0, 0, 0.5, 12, 100.5)])
    Result(events=4, seconds=1.5, hits=1, cpu_seconds=1.0, peak_memory_mb=12, began=100.0)
    """
    began = min(r.began for r in results)
    return Result(
        sum(r.events for r in results),
        max(r.began + r.seconds for r in results) - began,
        sum(r.hits for r in results),
        sum(r.cpu_seconds for r in results),
        max(r.peak_memory_mb for r in results),
        began,
    )
