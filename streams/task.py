"""A task: one stage of one partition number, in a thread of its own, with its own transactional producer.

Per batch, one Kafka transaction holds the outputs and a progress record; kill -9 anywhere therefore leaves either all of a batch
or nothing. Owning = fence predecessors (`init_transactions`), then read progress. Recovery = newest checkpoint + silent
replay of the slices since. Any Kafka error that cannot be retried ends this life of the task: it owns anew and recovers.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from streams import metrics
from streams.align import aligned
from streams.chunk import Chunk, cut
from streams.controls import Controls
from streams.ledger import Checkpoint, Ledger, LedgerUnreachableError, Progress, blobs, ledger_partition
from streams.quarantine import Quarantine
from streams.stage import Outbox, Stage
from topics.arrays import pack, unpack

log = structlog.get_logger()

COMMIT_TIMEOUT: Final = 10.0
LONGEST_BACKOFF: Final = 5.0
ALIGN_SECONDS: Final = 0.2  # how long a batch waits for topics that have records in Kafka but none here
CHECKPOINT_SHARE: Final = 20  # a checkpoint may cost at most 1/20 of a task's time


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a task is told: librdkafka client settings, topic prefix, group, partitions, batch and checkpoint limits."""

    client: dict[str, Any]
    prefix: str
    group: str
    partitions: int
    batch_rows: int = 40_000
    queue_rows: int = 80_000
    checkpoint_seconds: float = 10.0


class Stopping(Exception):  # noqa: N818 - a signal between frames of the task's own thread
    """The task was told to stop."""


class Task:
    """See the module. `make` gives a stage with empty state; `moved(task)` is called, from the task's thread, whenever the
    task stands anew (owned again after a failure) and wants its topics read from `positions()`."""

    def __init__(
        self,
        name: str,
        partition: int,
        make: Callable[[], Stage],
        options: TaskOptions,
        controls: Controls,
        moved: Callable[["Task"], None],
        drained: Callable[["Task"], None],
        unfetched: Callable[["Task"], dict[str, int]] = lambda _: {},
    ) -> None:
        self.stage_name, self.partition, self.name = name, partition, f"{name}/{partition}"
        self._make, self._options, self._controls = make, options, controls
        self._moved, self._drained, self._unfetched = moved, drained, unfetched
        self._futile: dict[str, int] = {}
        self.stage = make()
        where = ledger_partition(name, partition, options.partitions)
        self._ledger = Ledger(options.client, options.prefix, where)
        self._ledger_partition = where
        self._queues: dict[str, deque[Chunk]] = {topic: deque() for topic in self.stage.topics}
        self._rows = 0
        self._signal = threading.Condition()
        self._stopping = False
        self._live = False
        self._owned = threading.Event()
        self._producer: Producer | None = None
        self._progress = Progress()
        self._next: dict[str, int] = {}
        self._obeyed: dict[str, int] = {}
        self._progress_offset = 0
        self._checkpoint_due = 0.0
        self._dirty = False
        self._quarantine = Quarantine()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    # -- called by the runtime -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to own, in the task's thread."""
        self._thread.start()

    def wait_owned(self, timeout: float) -> bool:
        """True once predecessors are fenced and positions are known."""
        return self._owned.wait(timeout)

    @property
    def live(self) -> bool:
        """Whether recovery is done and batches are being decided."""
        return self._live

    def positions(self) -> dict[str, int]:
        """Topic -> the offset that the next chunk must be chained to."""
        with self._signal:
            return {topic: self._next.get(topic, 0) for topic in self.stage.topics}

    def committed(self) -> dict[str, int]:
        """Topic -> offset up to which transactions are committed."""
        return dict(self._progress.ends)

    def offer(self, chunk: Chunk) -> bool:
        """Queue a chunk. False when it does not follow what was queued before: read again from `positions()`."""
        with self._signal:
            if self._stopping or not self._owned.is_set():
                return True  # whoever owns next reads from its progress
            expected = self._next.get(chunk.topic, 0)
            if chunk.end <= expected:
                return True
            if chunk.prev != expected:
                return False
            self._next[chunk.topic] = chunk.end
            self._queues[chunk.topic].append(chunk)
            self._rows += len(chunk)
            self._signal.notify_all()
            return True

    @property
    def full(self) -> bool:
        """Whether fetching should pause."""
        return self._rows >= self._options.queue_rows

    def drop_queue(self) -> None:
        """Forget chunks that wait (a rebalance: they are read again from `positions()`)."""
        with self._signal:
            for topic, queue in self._queues.items():
                if queue:
                    self._next[topic] = queue[0].prev
            self._clear()

    def stop(self) -> None:
        """Stop after the batch at hand; `join` waits for it."""
        with self._signal:
            self._stopping = True
            self._signal.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    # -- the task's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff = 0.1
        while not self._stopping:
            try:
                self._own()
                self._recover()
                backoff = 0.1
                self._live = True
                while True:
                    self._batch(self._take())
            except Stopping:
                break
            except (KafkaException, LedgerUnreachableError) as error:
                backoff = self._failed(error, "kafka", backoff)
            except Exception as error:
                log.exception("task.failed", task=self.name)
                backoff = self._failed(error, type(error).__name__, backoff)
        self._close()

    def _failed(self, error: Exception, cause: str, backoff: float) -> float:
        """Forget this life; the next one owns and recovers from Kafka."""
        metrics.TASK_FAILURES.labels(self.stage_name, cause).inc()
        log.warning("task.again", task=self.name, cause=cause, error=str(error)[:300], wait=backoff)
        self._live = False
        self._owned.clear()
        self._close()
        with self._signal:
            self._clear()
            self._signal.wait_for(lambda: self._stopping, backoff)
        return min(backoff * 2, LONGEST_BACKOFF)

    def _own(self) -> None:
        options = self._options
        self._producer = Producer(
            options.client
            | {
                "transactional.id": f"{options.prefix}{options.group}.{self.name}",
                "transaction.timeout.ms": 5_000,
                "message.timeout.ms": 5_000,
                "linger.ms": 0,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "message.max.bytes": 6 * 1024 * 1024,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._retry(lambda: self._made().init_transactions(COMMIT_TIMEOUT))
        self._progress = self._ledger.last()
        self.stage = self._make()
        self._obeyed = {}
        with self._signal:
            self._clear()
            self._next = dict(self._progress.ends)
        self._owned.set()
        self._moved(self)

    def _made(self) -> Producer:
        if self._producer is None:
            raise Stopping
        return self._producer

    def _recover(self) -> None:
        """Restore the newest checkpoint, then replay in silence up to progress."""
        began = time.monotonic()
        checkpoint = self._progress.checkpoint
        if not self._controls.wait_ready(60):
            raise LedgerUnreachableError("control topics do not answer")
        if checkpoint is not None:
            self._restore(checkpoint)
        batches = self._ledger.since(checkpoint) if self._progress.seq else []
        self._replay(batches)
        self._ledger.close()
        if not self._progress.controls:
            self._obey(self._controls.ends())
        self._checkpoint_due = time.monotonic() + self._options.checkpoint_seconds
        self._progress_offset = checkpoint.progress if checkpoint else 0
        metrics.RECOVERY_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
        log.info(
            "task.live",
            seconds=round(time.monotonic() - began, 2),
            task=self.name,
            seq=self._progress.seq,
            replayed=len(batches),
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays = unpack(self._ledger.checkpoint(checkpoint), limit=8 * 2**30)
        obeyed = {t: int(arrays.pop(f"_obeyed:{t}")[()]) for t in self.stage.controls if f"_obeyed:{t}" in arrays}
        self._obey(obeyed)
        self.stage.restore(arrays)

    def _replay(self, batches: list[Progress]) -> None:
        firsts: dict[str, int] = {}
        for topic, first, _ in (piece for progress in batches for piece in progress.slices):
            firsts.setdefault(topic, first)
        replay = self._ledger.replay(self.partition, firsts)
        try:
            for progress in batches:
                if self._stopping:
                    raise Stopping
                self._obey(progress.controls)
                for topic, first, end in progress.slices:
                    chunk = replay.slice(topic, first, end)
                    if chunk is not None:
                        self.stage.step(chunk, Outbox())
                self.stage.report(live=False)
        finally:
            replay.close()

    def _obey(self, ends: dict[str, int]) -> None:
        """Hand the stage the control records up to `ends`."""
        wanted = {t: e for t, e in ends.items() if t in self.stage.controls and e > self._obeyed.get(t, 0)}
        if wanted and not self._controls.wait_for(wanted, 60):
            raise LedgerUnreachableError(f"control topics stand behind {wanted}")
        for topic, end in wanted.items():
            records = self._controls.between(topic, self._obeyed.get(topic, 0), end)
            if records:
                self.stage.control(topic, records)
            self._obeyed[topic] = end

    def _take(self) -> list[Chunk]:
        """Chunks of one batch, in arrival order. Empty when it is time for a checkpoint. Raises Stopping."""
        with self._signal:
            wait = max(0.0, self._checkpoint_due - time.monotonic()) if self._dirty else None
            self._signal.wait_for(lambda: self._stopping or self._rows > 0, wait)
            if self._rows and len(self._queues) > 1:
                self._wait_for_slower_topics()
            if self._stopping:
                raise Stopping
            was_full = self.full
            chunks = aligned(self._queues, self._unfetched(self), self._options.batch_rows) if self._rows else []
            for part in chunks:
                self._advance(part)
            if was_full and not self.full:
                self._drained(self)
        return chunks

    def _wait_for_slower_topics(self) -> None:
        """A topic whose records are still in Kafka may hold earlier ones: wait a little, once for each of its positions."""

        def slower() -> dict[str, int]:
            ends = self._unfetched(self)
            return {t: e for t, e in ends.items() if not self._queues[t] and self._futile.get(t) != e}

        if slower():
            self._signal.wait_for(lambda: self._stopping or self.full or not slower(), ALIGN_SECONDS)
            self._futile |= slower()

    def _advance(self, part: Chunk) -> None:
        """Take a part off the head of its topic's queue."""
        queue = self._queues[part.topic]
        head = queue.popleft()
        if part.end < head.end:
            queue.appendleft(cut(head, int(np.searchsorted(head.offsets, part.end)), len(head)))
        self._rows -= len(part)

    def _clear(self) -> None:
        for queue in self._queues.values():
            queue.clear()
        self._rows = 0

    def _batch(self, chunks: list[Chunk]) -> None:
        if chunks:
            began = time.monotonic()
            self._obey(self._controls.ends())
            out, slices = Outbox(), []
            for chunk in chunks:
                slices += self._step(chunk, out)
            metrics.STEP_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
            metrics.BATCH_ROWS.labels(self.stage_name).observe(sum(map(len, chunks)))
            self._commit(out, self._after(chunks, slices))
            self._dirty = True
        if self._dirty and time.monotonic() >= self._checkpoint_due:
            self._save()

    def _step(self, chunk: Chunk, out: Outbox) -> list[tuple[str, int, int]]:
        """Decide a chunk; returns the slices that a replay must decide again (a poisonous row is not among them)."""
        slices = []
        for part, poisonous in self._quarantine.split(chunk):
            if poisonous:
                out.reject(self.stage_name, part, 0, "processing-failed")
                continue
            try:
                self.stage.step(part, out)
            except Exception:
                self._quarantine.suspect(part)
                raise
            slices.append((part.topic, part.prev, part.end))
        return slices

    def _after(self, chunks: list[Chunk], slices: list[tuple[str, int, int]]) -> Progress:
        ends = dict(self._progress.ends) | {c.topic: c.end for c in chunks}
        return replace(
            self._progress, seq=self._progress.seq + 1, slices=slices, ends=ends, controls=dict(self._obeyed)
        )

    def _commit(self, out: Outbox, progress: Progress) -> None:
        """One transaction: outputs and progress."""
        began = time.monotonic()
        producer = self._made()
        producer.begin_transaction()
        for topic, records in out.records.items():
            self._produce(self._options.prefix + topic, records)
        self._finish(progress)
        metrics.COMMIT_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
        self.stage.report(live=True)

    def _finish(self, progress: Progress) -> None:
        self._made().produce(
            self._options.prefix + "progress",
            progress.encode(self.name),
            self.name.encode(),
            partition=self._ledger_partition,
            on_delivery=self._delivered,
        )
        self._retry(lambda: self._made().commit_transaction(COMMIT_TIMEOUT))
        self._progress = progress

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._progress_offset = message.offset() + 1

    def _produce(self, topic: str, records: list[tuple[bytes, bytes, int]]) -> None:
        producer = self._made()
        for key, value, partition in records:
            while True:
                try:
                    producer.produce(topic, value, key, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.05)

    def _save(self) -> None:
        """A checkpoint: its parts and a progress record that points to them, in one transaction."""
        began = time.monotonic()
        arrays = self.stage.snapshot() | {f"_obeyed:{t}": np.array(e, np.int64) for t, e in self._obeyed.items()}
        body = pack(arrays)
        producer = self._made()
        offsets: list[int] = []

        def placed(error: KafkaError | None, message: Any) -> None:
            if error is None:
                offsets.append(message.offset())

        seq, before = self._progress.seq, self._progress_offset
        producer.begin_transaction()
        for key, value in blobs(self.name, seq, body):
            producer.produce(
                self._options.prefix + "checkpoints", value, key, partition=self._ledger_partition, on_delivery=placed
            )
        self._retry(lambda: producer.flush(COMMIT_TIMEOUT))
        if not offsets:
            raise LedgerUnreachableError("checkpoint was not acknowledged")
        where = Checkpoint(seq, min(offsets), max(offsets) + 1, before)
        self._finish(replace(self._progress, slices=[], checkpoint=where))
        self._dirty = False
        metrics.CHECKPOINT_BYTES.labels(self.name).set(len(body))
        cost = time.monotonic() - began
        self._checkpoint_due = time.monotonic() + max(self._options.checkpoint_seconds, CHECKPOINT_SHARE * cost)

    def _retry(self, call: Callable[[], Any]) -> None:
        """Call until it succeeds, while Kafka says that the same call may be made again."""
        backoff = 0.05
        while True:
            try:
                call()
                return
            except KafkaException as error:
                if self._stopping:
                    raise Stopping from error
                if not error.args[0].retriable():
                    raise
                metrics.KAFKA_WAITS.labels(self.stage_name).inc()
                with self._signal:
                    self._signal.wait_for(lambda: self._stopping, backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)

    def _close(self) -> None:
        self._live = False
        self._ledger.close()
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):  # an open transaction dies with its producer anyway
                producer.abort_transaction(2)
            producer.purge()
