"""In which order a task takes what its topics have queued: by arrival (log time), as far as the queues tell.

Rules across kinds need cause before effect: a complaint that arrived before an inspection should be judged before it, though
they are on two topics. Within a slot of log time the topics' own order decides. The order taken is written into progress, so
it is the same in every replay; taking it is best effort, repeating it is exact.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.chunk import Chunk, cut, weight

SLOT_MS: Final = 100


def aligned(
    queues: Mapping[str, Sequence[Chunk]], behind: Collection[str], most_rows: int, most_bytes: int = 2**62
) -> list[Chunk]:
    """The chunks (or parts) to decide next, from the heads of the queues. `queues`: topic -> chunks, in the topics' order;
    `behind`: topics whose queue does not hold all that is in Kafka. At least one part, then at most `most_rows` and
    `most_bytes`; nothing when the queues are empty."""
    filled = {topic: chunks for topic, chunks in queues.items() if chunks}
    if len(filled) <= 1:
        return _head(next(iter(filled.values()), ()), most_rows, most_bytes)
    times = {topic: _never_falling(chunks) for topic, chunks in filled.items()}
    ends = [int(parts[-1][-1]) for topic, parts in times.items() if topic in behind]
    first = min(int(parts[0][0]) for parts in times.values())
    horizon = max(min(ends), first) if ends else np.iinfo(np.int64).max
    slots: dict[tuple[int, int], list[Chunk]] = {}
    for rank, (topic, chunks) in enumerate(filled.items()):
        for chunk, at in zip(chunks, times[topic], strict=True):
            for a, b in _runs(at, horizon):
                slots.setdefault((int(at[a]) // SLOT_MS, rank), []).append(cut(chunk, a, b))
    return _head([part for _, parts in sorted(slots.items()) for part in parts], most_rows, most_bytes)


def _never_falling(chunks: Sequence[Chunk]) -> list[npt.NDArray[np.int64]]:
    """Log times of each chunk, none below one before it in its topic: a broker's clock may step back, offsets never do."""
    times, least = [], np.iinfo(np.int64).min
    for chunk in chunks:
        at = np.maximum.accumulate(np.maximum(chunk.timestamps, least))
        times.append(at)
        least = at[-1]
    return times


def _runs(at: npt.NDArray[np.int64], horizon: int) -> list[tuple[int, int]]:
    """Row ranges of equal slot, up to the horizon."""
    n = int(np.searchsorted(at, horizon, "right"))
    edges = np.flatnonzero(np.diff(at[:n] // SLOT_MS)) + 1
    bounds = [0, *edges.tolist(), n]
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]


def _head(chunks: Sequence[Chunk], most_rows: int, most_bytes: int) -> list[Chunk]:
    taken: list[Chunk] = []
    rows = size = 0
    for chunk in chunks:
        rows, size = rows + len(chunk), size + weight(chunk)
        if taken and (rows > most_rows or size > most_bytes):
            break
        taken.append(chunk)
    return taken
