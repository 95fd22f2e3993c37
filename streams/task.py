"""A task: one stage of one partition number, in a thread of its own, with its own transactional producer.

Per batch, one Kafka transaction holds the outputs and a progress record; kill -9 anywhere therefore leaves either all of a batch
or nothing. Batches that call for nothing are committed with the next that does, or a little later (ADR 12): until then nobody
has seen anything of them, and whoever owns next may decide them anew. Owning = fence predecessors (`init_transactions`), then
read progress. Recovery = newest checkpoint + silent replay of the slices since. Any Kafka error that cannot be retried ends this
life of the task: it owns anew and recovers.
"""

import errno
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import structlog
from confluent_kafka import KafkaException

from streams import metrics
from streams.chunk import Chunk
from streams.controls import Controls
from streams.inbox import ALIGN_SECONDS, Inbox, Limits
from streams.ledger import OWN, Checkpoint, Ledger, LedgerUnreachableError, Progress, blobs, ledger_partition
from streams.pulse import Pulse
from streams.quarantine import Quarantine
from streams.stage import Outbox, Stage
from streams.writer import LONGEST_BACKOFF, Records, Stopping, Writer, fenced
from topics.arrays import pack, unpack
from topics.catalogue import TICKS, outputs, partitions

log = structlog.get_logger()

# A full disk, no memory, no more files: they say nothing of the record that was being decided.
_SURROUNDINGS: Final = frozenset(
    {
        errno.ENOSPC,
        errno.EFBIG,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.EAGAIN,
    }
)
CONTROL_SECONDS: Final = 60.0
HANGING_SECONDS: Final = 10.0  # in which markers should be written
FENCED_SECONDS: Final = 1.0  # a fenced task waits: most likely a rebalance has given its partition to somebody else
CHECKPOINT_SHARE: Final = 20  # a checkpoint may cost at most 1/20 of a task's time
REPLAYED_TICKS: Final = 1_000  # batches of nothing but ticks that are not worth a checkpoint
QUIET_SECONDS: Final = 0.2  # how long a batch without outputs may wait for its commit
CHECKPOINT_PARTS: Final = 4  # of half a MiB in one transaction: what a batch may have to wait for


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a task is told: librdkafka client settings, topic prefix, group, partitions, batch and checkpoint limits."""

    client: dict[str, Any]
    prefix: str
    group: str
    partitions: int
    limits: Limits = field(default_factory=Limits)
    checkpoint_seconds: float = 10.0


@dataclass(slots=True)
class _Saving:
    """A checkpoint that is being written: after which batch, where progress stood then, which set of keys, parts left, bytes,
    seconds it has cost, offsets of the parts so far."""

    seq: int
    standing: int
    slot: int
    parts: Iterator[tuple[bytes, bytes, int]]
    size: int
    cost: float
    offsets: list[int] = field(default_factory=list)


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
        unread: Callable[["Task"], dict[str, int]] = lambda _: {},
    ) -> None:
        self.stage_name, self.partition, self.name = name, partition, f"{name}/{partition}"
        self._make, self._options, self._controls = make, options, controls
        self._moved = moved
        self.stage = make()
        self.pulse = Pulse()
        where = ledger_partition(name, partition, options.partitions)
        self._ledger = Ledger(options.client, options.prefix, where, self.pulse)
        self._ledger_partition = where
        self._inbox = Inbox(
            self.stage.topics, self.stage.patient, options.limits, lambda: unread(self), lambda: drained(self)
        )
        self._live = False
        self._owned = threading.Event()
        identity = f"{options.prefix}{options.group}.{self.name}"
        self._writer = Writer(options.client, options.prefix, identity, name, self.pulse)
        self._progress = Progress()
        self._quiet: Progress | None = None  # the progress to commit, where batches without outputs wait for it
        self._quiet_due = math.inf
        self._obeyed: dict[str, int] = {}
        self._progress_offset = 0
        self._checkpoint_due = 0.0
        self._dirty = False
        self._saving: _Saving | None = None
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
        return self._live and self._thread.is_alive()

    def positions(self) -> dict[str, int]:
        """Topic -> the offset that the next chunk must be chained to."""
        return self._inbox.positions()

    def committed(self) -> dict[str, int]:
        """Topic -> offset up to which transactions are committed."""
        return dict(self._progress.ends)

    def offer(self, chunk: Chunk) -> bool:
        """See `Inbox.put`."""
        return self._inbox.put(chunk)

    @property
    def full(self) -> bool:
        """Whether fetching should pause."""
        return self._inbox.full

    def drop_queue(self) -> None:
        """See `Inbox.drop`."""
        self._inbox.drop()

    def stop(self) -> None:
        """Stop after the batch at hand; `join` waits for it."""
        self._writer.stop()
        self._inbox.stop()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    # -- the task's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff = 0.1
        while not self._inbox.stopping:
            failure = self._live_once()
            if failure is not None:  # not inside `except`: the traceback would hold on to the producer that is let go
                if self._live:
                    backoff = 0.1
                backoff = self._failed(*failure, backoff)
        self._close()

    def _live_once(self) -> tuple[str, str, float] | None:
        """Own, recover and decide until told to stop, or until a failure: its cause, its words, the least wait it asks for."""
        try:
            self._own()
            self._recover()
            self._live = True
            while True:
                self._batch(self._take())
        except Stopping:
            return None
        except (KafkaException, LedgerUnreachableError) as error:
            return "kafka", str(error), FENCED_SECONDS if fenced(error) else 0.0
        except BaseException as error:  # a panic in Rust is a BaseException: the thread must outlive it
            log.exception("task.failed", task=self.name)
            return type(error).__name__, str(error), 0.0

    def _failed(self, cause: str, words: str, least: float, backoff: float) -> float:
        """Forget this life; the next one owns and recovers from Kafka."""
        backoff = max(least, backoff)
        metrics.TASK_FAILURES.labels(self.stage_name, cause).inc()
        log.warning("task.again", task=self.name, cause=cause, error=words[:300], wait=backoff)
        self._owned.clear()
        self._inbox.close()
        self._close()
        self.pulse.beat()
        self._inbox.pause(backoff)
        return min(backoff * 2, LONGEST_BACKOFF)

    def _own(self) -> None:
        self._writer.own()
        self._end_hanging()
        self._progress = self._ledger.last()
        self.stage = self._make()
        self._obeyed, self._saving = {}, None
        self._quiet, self._quiet_due = None, math.inf
        self._inbox.open(self._progress.ends)
        self._owned.set()
        self._moved(self)

    def _end_hanging(self) -> None:
        """Owning has ended every transaction of our predecessors, as far as Kafka knows. A broker that was killed can have
        forgotten the markers (ADR 11): our next commit would then commit what was aborted."""
        if not self._ledger.unfinished():
            return
        metrics.HANGING.labels(self.stage_name).inc()
        log.error("transaction.hanging", task=self.name)
        count = self._options.partitions
        places = [
            (topic, p)
            for topic in outputs(self.stage_name)
            for p in range(partitions(topic, count))
            if topic not in OWN
        ]
        self._writer.sweep([*places, *((topic, self._ledger_partition) for topic in OWN)])
        deadline = time.monotonic() + HANGING_SECONDS
        while self._ledger.unfinished():
            if time.monotonic() > deadline:
                raise LedgerUnreachableError("a hanging transaction does not end")
            self._inbox.pause(ALIGN_SECONDS)
            if self._inbox.stopping:
                raise Stopping

    def _recover(self) -> None:
        """Restore the newest checkpoint, then replay in silence up to progress."""
        began = time.monotonic()
        checkpoint = self._progress.checkpoint
        self._await(self._controls.wait_ready, "control topics do not answer")
        if checkpoint is not None:
            self._restore(checkpoint)
        batches = self._ledger.since(self._progress)
        self._replay(batches)
        self._ledger.close()
        if not self._progress.controls:
            self._obey(self._controls.ends())
        self._checkpoint_due = time.monotonic() + self._options.checkpoint_seconds
        self._progress_offset = checkpoint.progress if checkpoint else 0
        self._dirty = bool(batches)
        metrics.RECOVERY_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
        seconds = round(time.monotonic() - began, 2)
        log.info("task.live", seconds=seconds, task=self.name, seq=self._progress.seq, replayed=len(batches))

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays = unpack(self._ledger.checkpoint(checkpoint), limit=8 * 2**30)
        obeyed = {t: int(arrays.pop(f"_obeyed:{t}")[()]) for t in self.stage.controls if f"_obeyed:{t}" in arrays}
        self._obey(obeyed, restoring=True)
        self.stage.restore(arrays)

    def _replay(self, batches: list[Progress]) -> None:
        firsts: dict[str, int] = {}
        for topic, first, _ in (piece for progress in batches for piece in progress.slices):
            firsts.setdefault(topic, first)
        replay = self._ledger.replay(self.partition, firsts)
        try:
            for progress in batches:
                self.pulse.beat()
                if self._inbox.stopping:
                    raise Stopping
                self._obey(progress.controls)
                for topic, first, end in progress.slices:
                    chunk = replay.slice(topic, first, end)
                    if chunk is not None:
                        self.stage.step(chunk, Outbox())
                self.stage.report(live=False)
        finally:
            replay.close()

    def _await(self, ready: Callable[[float], bool], otherwise: str) -> None:
        """Wait for the control topics. Raises Stopping, LedgerUnreachableError."""
        deadline = time.monotonic() + CONTROL_SECONDS
        while not ready(0.2):
            self.pulse.beat()
            if self._inbox.stopping:
                raise Stopping
            if time.monotonic() > deadline:
                raise LedgerUnreachableError(otherwise)

    def _news(self, ends: Mapping[str, int]) -> dict[str, int]:
        """Control topics that the stage has not followed up to `ends`."""
        return {t: e for t, e in ends.items() if t in self.stage.controls and e > self._obeyed.get(t, 0)}

    def _obey(self, ends: dict[str, int], restoring: bool = False) -> None:
        """Hand the stage the control records up to `ends`. A stage that is about to be restored has its models' snapshots in the
        checkpoint: it is spared all but the last of each key."""
        wanted = self._news(ends)
        if wanted:
            self._await(lambda seconds: self._controls.wait_for(wanted, seconds), f"control topics are behind {wanted}")
        for topic, end in wanted.items():
            records = self._controls.between(topic, self._obeyed.get(topic, 0), end)
            if restoring and topic == "models":
                records = sorted({record.key: record for record in records}.values(), key=lambda record: record.offset)
            if records:
                self.stage.control(topic, records)
            self._obeyed[topic] = end

    def _take(self) -> list[Chunk]:
        """Chunks of one batch. Empty when it is time for a checkpoint. Raises Stopping."""
        self.pulse.rest()
        chunks = self._inbox.take(self._patience())
        self.pulse.beat()
        if self._inbox.stopping:
            raise Stopping
        return chunks

    def _patience(self) -> float | None:
        """Seconds to wait for chunks: until a commit or a checkpoint is due, not at all while one is being written."""
        if self._saving is not None:
            return 0.0
        due = min(self._quiet_due, self._checkpoint_due if self._dirty else math.inf)
        return None if due == math.inf else max(0.0, due - time.monotonic())

    def _batch(self, chunks: list[Chunk]) -> None:
        if chunks:
            self._decide(chunks)
        if time.monotonic() >= self._quiet_due:
            self._end_quiet()
        if self._saving is None and self._dirty and time.monotonic() >= self._checkpoint_due:
            self._end_quiet()
            self._begin_save()
        if self._saving is not None:
            self._save_some(self._saving)

    def _decide(self, chunks: list[Chunk]) -> None:
        began, ends = time.monotonic(), self._controls.ends()
        if self._news(ends):
            self._end_quiet()  # one progress record, one set of rules
            self._obey(ends)
        out, slices = Outbox(), []
        for chunk in chunks:
            slices += self._step(chunk, out)
        metrics.STEP_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
        metrics.BATCH_ROWS.labels(self.stage_name).observe(sum(map(len, chunks)))
        self._dirty = self._dirty or self._worth_saving(chunks, out)
        progress = self._after(chunks, slices)
        if len(out):
            self._commit(out, progress)
            return
        if self._quiet is None:
            self._quiet_due = time.monotonic() + QUIET_SECONDS
        self._quiet = progress

    def _end_quiet(self) -> None:
        """Commit the batches that called for nothing; a checkpoint may have come in force since."""
        if self._quiet is not None:
            self._commit(Outbox(), replace(self._quiet, checkpoint=self._progress.checkpoint))

    def _worth_saving(self, chunks: list[Chunk], out: Outbox) -> bool:
        """Whether a checkpoint is due for a batch: time alone changes no state that matters, but makes replays long."""
        saved = self._progress.checkpoint.seq if self._progress.checkpoint else 0
        idle = out.counts().keys() <= set(TICKS.values()) and all(c.topic in self.stage.patient for c in chunks)
        return not idle or self._progress.seq - saved > REPLAYED_TICKS

    def _step(self, chunk: Chunk, out: Outbox) -> list[tuple[str, int, int]]:
        """Decide a chunk; returns the slices that a replay must decide again (a poisonous row is not among them)."""
        slices = []
        for part, poisonous in self._quarantine.split(chunk):
            if poisonous:
                out.reject(self.stage_name, part, 0, "processing-failed")
                metrics.REJECTED.labels(self.stage_name, "processing-failed").inc()
                continue
            before = out.counts()
            try:
                self.stage.step(part, out)
                out.check(before)
            except BaseException as error:
                if not blameless(error):
                    self._quarantine.suspect(part)
                raise
            slices.append((part.topic, part.prev, part.end))
        return slices

    def _after(self, chunks: list[Chunk], slices: list[tuple[str, int, int]]) -> Progress:
        """Where the task stands after these chunks and the batches that wait for their commit."""
        stood, last = self._quiet, self._progress
        ends = (stood or last).ends | {c.topic: c.end for c in chunks}
        slices = [*stood.slices, *slices] if stood else slices
        return replace(last, seq=last.seq + 1, slices=slices, ends=ends, controls=dict(self._obeyed))

    def _commit(self, out: Outbox, progress: Progress) -> None:
        """One transaction: outputs and progress."""
        began = time.monotonic()
        self._stand(progress, out.records)
        self._quiet, self._quiet_due = None, math.inf
        metrics.COMMIT_SECONDS.labels(self.stage_name).observe(time.monotonic() - began)
        self._quarantine.decided(progress.ends)
        self.stage.report(live=True)

    def _stand(self, progress: Progress, outputs: Mapping[str, Records]) -> None:
        """Commit outputs with the progress that they mean."""
        record = (self.name.encode(), progress.encode(self.name), self._ledger_partition)
        offsets = self._writer.write({**outputs, "progress": [record]}, "progress")
        self._progress, self._progress_offset = progress, offsets[0] + 1

    def _begin_save(self) -> None:
        """Take the state as it stands after this batch; it is written a little after each of the next batches, so that none waits
        for all of it."""
        began = time.monotonic()
        arrays = self.stage.snapshot() | {f"_obeyed:{t}": np.array(e, np.int64) for t, e in self._obeyed.items()}
        body = pack(arrays)
        seq, last = self._progress.seq, self._progress.checkpoint
        slot = 1 - last.slot if last else 0
        parts = ((k, v, self._ledger_partition) for k, v in blobs(f"{self.name}/{slot}", {"seq": seq}, body))
        self._saving = _Saving(seq, self._progress_offset, slot, parts, len(body), time.monotonic() - began)
        self._dirty = False

    def _save_some(self, saving: "_Saving") -> None:
        """The next parts of a checkpoint in one transaction; after the last, a progress record that points to all.

        Until that is committed the checkpoint before holds, whose parts are under the other set of keys.
        """
        began = time.monotonic()
        parts = list(itertools.islice(saving.parts, CHECKPOINT_PARTS))
        if parts:
            saving.offsets += self._writer.write({"checkpoints": parts}, "checkpoints")
        else:
            first, end = min(saving.offsets), max(saving.offsets) + 1
            where = Checkpoint(saving.seq, first, end, saving.standing, saving.slot)
            self._stand(replace(self._progress, slices=[], checkpoint=where), {})
            self._saving = None
            metrics.CHECKPOINT_BYTES.labels(self.name).set(saving.size)
        saving.cost += time.monotonic() - began
        self._checkpoint_due = time.monotonic() + max(self._options.checkpoint_seconds, CHECKPOINT_SHARE * saving.cost)

    def _close(self) -> None:
        self._live = False
        self._ledger.close()
        self._writer.close()


def blameless(error: BaseException) -> bool:
    """Whether a failure is the surroundings': the same record may succeed when they are well again.

    >>> blameless(OSError(errno.ENOSPC, "disk full")), blameless(OSError(errno.EOVERFLOW, "a year 10000"))
    (True, False)
    >>> blameless(ImportError("failed to map segment"))  # a library that is loaded when first needed: no memory, or an upgrade
    True
    """
    return isinstance(error, MemoryError | ImportError) or (isinstance(error, OSError) and error.errno in _SURROUNDINGS)
