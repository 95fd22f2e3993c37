"""Intake: a chunk of one event topic -> standardised, checked columns without repeats; the rest to the dead letters.

Cost model: about 3 us an event in columns (decode 0.5 to 2, checks 0.5 to 2, repeats 0.2, partition 0.1); Python runs only for
rows that are refused or sent on.
"""

from collections import Counter

import numpy as np
import numpy.typing as npt
import polars as pl

from streams.chunk import Chunk
from streams.seen import Seen
from streams.stage import Arrays, Outbox
from topics.checks import check
from topics.columns import decode_chunk, encode_frame
from topics.events import KINDS, Kind
from topics.keys import partitions_of
from topics.spans import Spans

Bools = npt.NDArray[np.bool_]


class Intake:
    """The first half of detect. State: the ids of the last day. Counts are drained by `take_counts`."""

    def __init__(self, partitions: int, max_event_bytes: int) -> None:
        self._partitions = partitions
        self._max_bytes = max_event_bytes
        self._seen = Seen()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def take(self, chunk: Chunk, out: Outbox) -> pl.DataFrame:
        """The good events of a chunk in arrival order: the kind's columns, `_offset`, `_ts`."""
        kind = KINDS[chunk.topic.removeprefix("events.")]
        values, large = self._within_size(chunk, out)
        decoded = decode_chunk(kind, values)
        for bad in decoded.bad:
            if bad.index not in large:
                self._reject(chunk, bad.index, bad.reason, bad.detail, out)
        rows = decoded.index.to_numpy()
        where = [pl.Series("_offset", chunk.offsets[rows]), pl.Series("_ts", chunk.timestamps[rows])]
        checked = check(kind, decoded.frame.hstack(where), "_ts")
        frame = checked.frame
        if not checked.clean:
            good = checked.good.to_numpy()
            for i in np.flatnonzero(~good):
                self._reject(chunk, int(rows[i]), str(checked.reason[int(i)]), "", out)
            frame = frame.filter(pl.Series(good))
        return self._first_seen(kind, self._at_home(kind, chunk, frame, out))

    def take_counts(self) -> Counter[tuple[str, ...]]:
        """What was counted since the last call: ("rejected", reason), ("duplicates", kind), ("rerouted", kind)."""
        counts, self._counts = self._counts, Counter()
        return counts

    def snapshot(self) -> Arrays:
        """The ids of the last day."""
        return self._seen.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Become the state of a snapshot."""
        self._seen.restore(arrays)

    def __len__(self) -> int:
        return len(self._seen)

    def _within_size(self, chunk: Chunk, out: Outbox) -> tuple[Spans, frozenset[int]]:
        """The values with null where one is too large, and which those are: they are rejected here, with their own reason."""
        sizes = chunk.values.sizes
        large = sizes > self._max_bytes
        if not large.any():
            return chunk.values, frozenset()
        rows = np.flatnonzero(large).tolist()
        for row in rows:
            self._reject(chunk, row, "too-large", f"{sizes[row]} bytes", out)
        return chunk.values.without(large), frozenset(rows)

    def _reject(self, chunk: Chunk, row: int, reason: str, detail: str, out: Outbox) -> None:
        self._counts["rejected", reason] += 1
        out.reject("intake", chunk, row, reason, detail)

    def _at_home(self, kind: Kind, chunk: Chunk, frame: pl.DataFrame, out: Outbox) -> pl.DataFrame:
        """Events whose subject belongs to another partition (a dirty key, a foreign partitioner) are sent on to it, so that
        all events of a subject are judged in one place."""
        home = partitions_of(frame["subject"], self._partitions) == chunk.partition
        if home.all():
            return frame
        away = frame.filter(pl.Series(~home))
        keys = [subject.encode() for subject in away["subject"].to_list()]
        out.put_many(chunk.topic, keys, encode_frame(kind.schema, away))
        self._counts["rerouted", kind.code] += len(away)
        return frame.filter(pl.Series(home))

    def _first_seen(self, kind: Kind, frame: pl.DataFrame) -> pl.DataFrame:
        repeated = self._seen.repeats(frame["event_id"], frame["_ts"].to_numpy())
        if not repeated.any():
            return frame
        self._counts["duplicates", kind.code] += int(repeated.sum())
        return frame[np.flatnonzero(~repeated)]
