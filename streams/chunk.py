"""A fetched chunk of one partition: what Faust carries as one message and a task decides as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from topics.spans import Spans, joined


@dataclass(frozen=True, slots=True)
class Chunk:
    """n records of one partition in offset order. `prev`: where the reader stood before; `end`: where it stands after
    (offsets between may be transaction markers). `topic` is the name without prefix."""

    topic: str
    partition: int
    prev: int
    end: int
    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    keys: Spans
    values: Spans

    def __len__(self) -> int:
        return int(self.offsets.size)


def chunk_of(topic: str, partition: int, prev: int, records: Sequence[Any]) -> Chunk:
    """A chunk of records with the attributes offset, timestamp (ms), key and value; at least one."""
    n = len(records)
    return Chunk(
        topic,
        partition,
        prev,
        records[-1].offset + 1,
        np.fromiter((r.offset for r in records), np.int64, n),
        np.fromiter((r.timestamp for r in records), np.int64, n),
        Spans.of([r.key for r in records]),
        Spans.of([r.value for r in records]),
    )


def cut(chunk: Chunk, first: int, last: int) -> Chunk:
    """Rows first..last-1 of a chunk as a chunk; the covered offsets are divided without a gap."""
    prev = chunk.prev if first == 0 else int(chunk.offsets[first])
    end = chunk.end if last == len(chunk) else int(chunk.offsets[last])
    part = slice(first, last)
    return Chunk(
        chunk.topic,
        chunk.partition,
        prev,
        end,
        chunk.offsets[part],
        chunk.timestamps[part],
        chunk.keys.cut(first, last),
        chunk.values.cut(first, last),
    )


def weight(chunk: Chunk) -> int:
    """Bytes of the values of a chunk, about."""
    return int(chunk.values.sizes.sum())


def merged(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The same records with neighbours of one topic put together: a stage has a cost a chunk, whatever it holds."""
    runs: list[list[Chunk]] = []
    for chunk in chunks:
        if runs and runs[-1][-1].topic == chunk.topic and runs[-1][-1].end == chunk.prev:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return [run[0] if len(run) == 1 else _together(run) for run in runs]


def _together(run: list[Chunk]) -> Chunk:
    return Chunk(
        run[0].topic,
        run[0].partition,
        run[0].prev,
        run[-1].end,
        np.concatenate([chunk.offsets for chunk in run]),
        np.concatenate([chunk.timestamps for chunk in run]),
        joined([chunk.keys for chunk in run]),
        joined([chunk.values for chunk in run]),
    )
