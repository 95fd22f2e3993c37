"""What a task's topics have brought and it has not decided yet, and in which order it takes it.

Chunks are chained (`Chunk.prev`): one that does not follow what came before is refused, and read again. The event loop puts, the
task's thread takes; whoever waits is woken by what comes. In order of arrival as far as is known (`streams.align`); topics of the
stage's `patient` come last: not before all that had arrived is here.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.align import aligned
from streams.chunk import Chunk, cut, merged, weight

ALIGN_SECONDS: Final = 0.2  # how long a batch waits for topics that have records in Kafka but none here


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows and bytes of one batch, and from which on no more should be fetched."""

    batch_rows: int = 40_000
    queue_rows: int = 80_000
    batch_bytes: int = 16 * 2**20
    queue_bytes: int = 64 * 2**20


class Inbox:
    """Closed until `open` says where each topic stands. `unread`: topics of which there are records that were not put yet, and up
    to where (`streams.fetched`); `drained`: called by the taking thread when it is no longer full."""

    def __init__(
        self,
        topics: Collection[str],
        patient: Collection[str],
        limits: Limits,
        unread: Callable[[], Mapping[str, int]],
        drained: Callable[[], None],
    ) -> None:
        self._queues: dict[str, deque[Chunk]] = {topic: deque() for topic in topics}
        self._patient, self._limits, self._unread, self._drained = frozenset(patient), limits, unread, drained
        self._next: dict[str, int] = {}
        self._futile: dict[str, int] = {}
        self._rows = self._filling = self._bytes = 0
        self._open = False
        self._signal = threading.Condition()
        self.stopping = False

    def open(self, ends: Mapping[str, int]) -> None:
        """Take what comes from these offsets on."""
        with self._signal:
            self._clear()
            self._next, self._open = dict(ends), True

    def close(self) -> None:
        """Forget what is here, and take nothing."""
        with self._signal:
            self._clear()
            self._open = False

    def stop(self) -> None:
        """For good: whoever waits goes on."""
        with self._signal:
            self.stopping = True
            self._signal.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        with self._signal:
            self._signal.wait_for(lambda: self.stopping, seconds)

    def positions(self) -> dict[str, int]:
        """Topic -> the offset that the next chunk must be chained to."""
        with self._signal:
            return {topic: self._next.get(topic, 0) for topic in self._queues}

    def put(self, chunk: Chunk) -> bool:
        """Queue a chunk. False when it does not follow what was queued before: read again from `positions()`."""
        with self._signal:
            if self.stopping or not self._open:
                return True  # whoever owns next reads from its progress
            expected = self._next.get(chunk.topic, 0)
            if chunk.end <= expected:
                return True
            if chunk.prev != expected:
                return False
            self._next[chunk.topic] = chunk.end
            self._queues[chunk.topic].append(chunk)
            self._count(chunk, 1)
            self._signal.notify_all()
            return True

    @property
    def full(self) -> bool:
        """Whether fetching should pause."""
        return self._filling >= self._limits.queue_rows or self._bytes >= self._limits.queue_bytes

    def drop(self) -> None:
        """Forget chunks that wait (a rebalance: they are read again from `positions()`)."""
        with self._signal:
            for topic, queue in self._queues.items():
                if queue:
                    self._next[topic] = queue[0].prev
            self._clear()

    def take(self, patience: float | None) -> list[Chunk]:
        """Chunks of one batch; none when nothing came in so many seconds (None: wait on), or when it is told to stop."""
        with self._signal:
            self._signal.wait_for(lambda: self.stopping or self._rows > 0, patience)
            if self._rows and len(self._queues) > 1:
                self._wait_for_slower_topics()
            if self.stopping or not self._rows:
                return []
            was_full = self.full
            chunks = self._aligned()
            if not chunks:  # only patient topics have something, and what arrived before is on its way
                self._signal.wait_for(lambda: self.stopping or bool(self._aligned()), ALIGN_SECONDS)
            for part in chunks:
                self._advance(part)
            if was_full and not self.full:
                self._drained()
        return merged(chunks)

    def _aligned(self) -> list[Chunk]:
        unread = self._unread()
        queues: Mapping[str, deque[Chunk]] = self._queues
        if any(not self._queues[topic] for topic in unread.keys() - self._patient):
            queues = {topic: queue for topic, queue in queues.items() if topic not in self._patient}
        return aligned(queues, unread, self._limits.batch_rows, self._limits.batch_bytes)

    def _wait_for_slower_topics(self) -> None:
        """A topic whose records are not here yet may hold earlier ones: wait a little, once for each of its positions."""

        def slower() -> dict[str, int]:
            missing = {t: end for t, end in self._unread().items() if not self._queues[t] and t not in self._patient}
            return {t: end for t, end in missing.items() if self._futile.get(t) != end}

        if slower():
            self._signal.wait_for(lambda: self.stopping or self.full or not slower(), ALIGN_SECONDS)
            self._futile |= slower()

    def _advance(self, part: Chunk) -> None:
        """Take a part off the head of its topic's queue."""
        queue = self._queues[part.topic]
        head = queue.popleft()
        if part.end < head.end:
            queue.appendleft(cut(head, int(np.searchsorted(head.offsets, part.end)), len(head)))
        self._count(part, -1)

    def _count(self, chunk: Chunk, sign: int) -> None:
        """Patient topics fill nothing: they may have to wait for what would then not be fetched."""
        self._rows += sign * len(chunk)
        if chunk.topic not in self._patient:
            self._filling += sign * len(chunk)
            self._bytes += sign * weight(chunk)

    def _clear(self) -> None:
        for queue in self._queues.values():
            queue.clear()
        self._rows = self._filling = self._bytes = 0
