"""Faust's Kafka transport, handing a fetched chunk of one partition to its task; positions are ours, not the group's.

Why not through Faust's streams: one event at a time costs 60 us, a chunk at a time still 0.7 ms; its commit passes over messages
still running (issue 606) and counts a gap as done, and transactional topics always have gaps. So Faust gives the group, the
assignment and the fetching, and chunks are chained (`Chunk.prev`): a task that misses one notices.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams import fetched, metrics
from streams.chunk import Chunk
from streams.fetched import Fetched

_FETCH_SECONDS: Final = 1.0
_LONG_GAP: Final = 100  # offsets without a record for readers after which it is worth asking where the log begins

log = structlog.get_logger()


class Owner(Protocol):
    """Who owns partitions: takes chunks, tells where reading starts, and which offsets to show to lag tools."""

    chunk_rows: int

    def offer(self, chunk: Chunk) -> None:
        """Take a chunk."""

    async def positions(self, tps: set[TP]) -> dict[TP, int]:
        """Own these partitions (all others are given up) and say where to read from."""

    def seen(self) -> dict[TP, int]:
        """Offsets covered by committed transactions."""


class ReadCommittedThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread; it reads committed records only (Faust does so only under its own exactly_once)."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = 250
        return consumer

    async def _fetch_records(self, *args: Any, max_records: Any = None, **kwargs: Any) -> Any:
        """Faust's, without its limit of records: what was fetched of a partition is given out whole (`streams.fetched`)."""
        return await super()._fetch_records(*args, **kwargs)


class Consumer(driver.Consumer):
    """Seeks where the owner says, between two fetches only, so that no stale record slips through."""

    owner: Owner
    prefix: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._chain: dict[TP, int] = {}
        self._wanted: dict[TP, int] = {}
        self._seeks = 0
        self._broken: set[TP] = set()
        self._resumed = asyncio.Event()

    def _new_consumer_thread(self) -> ReadCommittedThread:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    def want(self, positions: Mapping[TP, int]) -> None:
        """Ask for a seek before the next fetch."""
        self._wanted.update(positions)
        self._resumed.set()

    def throttle(self, tp: TP) -> None:
        """Fetch no more of a partition until `unthrottle`."""
        self.pause_partitions({tp})

    def unthrottle(self, tp: TP) -> None:
        """Fetch a partition again."""
        if tp in self._chain and tp in self.assignment():  # it may just have been revoked
            self.resume_partitions({tp})
            self._resumed.set()

    def unread(self, tp: TP, taken: int) -> int | None:
        """See `fetched.unread`; of a partition that is not ours nothing is known, and there may be more."""
        try:
            state = self._thread._ensure_consumer()._subscription.subscription.assignment.state_value(tp)
        except Exception:  # not assigned (any more), or not started: aiokafka has a type of its own for each
            return taken
        return taken if state is None else fetched.unread(state, taken)

    async def seek_to_committed(self) -> dict[TP, int]:
        """Where to read from, by the owner's own progress records. A fetch that began at any time before the seek was done is
        stale: what it brings lies elsewhere, and would be taken for what follows the new position (a gap is mostly markers)."""
        self._seeks += 1
        tps = {tp for tp in self.assignment() if tp.topic.startswith(self.prefix)}
        positions = await self.owner.positions(tps)
        self._wanted.clear()
        self._chain = dict(positions)
        self._broken &= positions.keys()
        try:
            await self.seek_wait(positions)
        finally:
            self._seeks += 1
        return positions

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's loop between fetching and streams; here chunks go straight to their tasks."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._pass_on()
                await asyncio.sleep(0)  # others of this loop have their turn, whatever the fetch cost
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise

    async def _pass_on(self) -> None:
        """One fetch of all partitions, to their tasks."""
        if self.flow_active:
            await self._seek_wanted()
        seeks = self._seeks
        records = await self._next(_FETCH_SECONDS)
        if records is None or self.should_stop or not self.flow_active:
            return
        if seeks != self._seeks:  # a seek overtook this fetch: its records are stale, read them again
            self._wanted.update({tp: self._chain[tp] for tp in records if tp in self._chain})
            return
        jumps = {tp: (self._chain[tp], int(rows.offsets[0])) for tp, rows in records.items() if tp in self._chain}
        for tp in jumps:
            rows = records[tp]
            for first in range(0, len(rows), self.owner.chunk_rows):
                self.owner.offer(self._chunk(tp, rows.cut(first, first + self.owner.chunk_rows)))
        for tp, (stood, first) in jumps.items():
            await self._look_for_break(tp, stood, first)

    async def _look_for_break(self, tp: TP, stood: int, first: int) -> None:
        """Say so, once, where a log is not the one that its task stands in. aiokafka begins at the start of what is left, in
        silence (as Faust does: issue 318). A gap is mostly transaction markers, so Kafka is asked only at long ones."""
        what = "restarted" if first < stood else ""
        if first - stood > _LONG_GAP and (await self.earliest_offsets(tp)).get(tp, 0) > stood:
            what = "expired"
        if what and tp not in self._broken:
            self._broken.add(tp)
            topic = tp.topic.removeprefix(self.prefix)
            metrics.LOG_BREAKS.labels(topic, what).inc()
            log.error("log.break", topic=topic, partition=tp.partition, what=what, stood=stood, first=first)

    def _chunk(self, tp: TP, rows: Fetched) -> Chunk:
        prev, end = self._chain[tp], int(rows.offsets[-1]) + 1
        self._chain[tp] = end
        topic = tp.topic.removeprefix(self.prefix)
        return Chunk(topic, tp.partition, prev, end, rows.offsets, rows.timestamps, rows.keys, rows.values)

    async def _next(self, timeout: float) -> Any:  # noqa: ASYNC109 - the same
        """Faust's wait, but with every partition throttled it waits for the first resume instead of a second."""
        if self.flow_active and not self._get_active_partitions():
            self._resumed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._resumed.wait(), timeout)
            return None
        records, _ = await self._wait_next_records(timeout)
        return records

    async def _seek_wanted(self) -> None:
        assigned = self.assignment()
        wanted = {tp: offset for tp, offset in self._wanted.items() if tp in assigned}
        self._wanted.clear()
        if wanted:
            seeks = self._seeks
            await self.seek_wait(wanted)
            if seeks == self._seeks:  # else positions are others by now
                self._chain.update(wanted)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Faust's commit is left out: progress is in our transactions. The group's offsets are only for lag tools."""
        seen = {tp: offset for tp, offset in self.owner.seen().items() if tp in self.assignment()}
        return bool(await self._commit(seen)) if seen else False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's watch over streams and acknowledgements, of which there are none; see our own lag metric."""


def transport_for(owner: Owner, prefix: str) -> type:
    """A Faust transport whose consumer answers to `owner`."""
    fetched.install()
    consumer = type("OwnedConsumer", (Consumer,), {"owner": owner, "prefix": prefix})
    return type("OwnedTransport", (driver.Transport,), {"Consumer": consumer})
