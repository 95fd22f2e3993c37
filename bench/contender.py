"""What every contender reports: how many events in how many seconds, with how much processor time and memory."""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Result:
    """One run of one contender."""

    events: int
    seconds: float
    hits: int
    cpu_seconds: float
    peak_memory_mb: float

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
            self._began, self._cpu = time.perf_counter(), time.process_time()

    def done(self, events: int, hits: int) -> None:
        """All events are decided and their outputs are committed or acknowledged."""
        seconds = time.perf_counter() - self._began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result = Result(events, seconds, hits, time.process_time() - self._cpu, peak)
        sys.stdout.write("RESULT " + json.dumps(asdict(result)) + "\n")
        sys.stdout.flush()


def result_of(output: str) -> Result:
    """The result in a contender's output. Raises RuntimeError with the end of the output when there is none."""
    for line in reversed(output.splitlines()):
        if "RESULT {" in line:  # Faust puts its own words before what is printed
            return Result(**json.JSONDecoder().raw_decode(line[line.index("{") :])[0])
    raise RuntimeError(f"the contender gave no result:\n{output[-2000:]}")
