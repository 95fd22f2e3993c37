"""The pipe of a gateway: messages of devices -> events, in batches -> Kafka -> the answer to the device.

A message is answered only when Kafka has acknowledged all that came of it. What an unknown device says is parked, what cannot be
an event is a dead letter; both count as kept. While Kafka is away messages wait here and their senders are not read from: what
waits is bounded by frames and bytes.

Cost, at 10,000 messages of one reading a second: 78 us of CPU a message, decoding, sockets and Kafka's client included
(`python -m bench.gateway_load`).
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
import structlog

from connectors.devices.device import Device
from connectors.devices.registry import Devices, may_send_from
from connectors.devices.rows import Keep, Row, Rows, kind_of, make
from connectors.gateway.episodes import Episodes
from connectors.gateway.item import ACCEPTED, Item
from connectors.gateway.limits import Bucket, Limits
from connectors.gateway.recent import Recent
from connectors.metrics import GatewayMetrics, shared
from connectors.producing import REJECTED_TOPIC, BrokerGone, EventWriter, Pair, QueueFull, dead_letter
from topics.records import PARKED
from topics.wire import encode

log = structlog.get_logger(__name__)
PARKING: Final = "parking"
LINGER_SECONDS: Final = 0.02
BATCH: Final = 2_000
MOST_FRAMES: Final = 20_000
MOST_BYTES: Final = 64 * 1024 * 1024
PARKED_BYTES: Final = 64 * 1024 * 1024  # at once, of all unknown devices, and then
PARKED_BYTES_PER_SECOND: Final = 256 * 1024
_SHORTEST_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 5.0
_PARKERS: Final = 10_000  # unknown devices that are told from each other


@dataclass(slots=True)
class _Made:
    """What came of a batch: records by topic, each message's outcome, and the rows that are among the records."""

    records: dict[str, list[Pair]]
    outcomes: list[str]
    rows: list[Row] = field(default_factory=list)


class Pipe:
    """One event loop's pipe. `offer` and `reject` are for callbacks of that loop; `run` does the work until it is cancelled."""

    def __init__(
        self,
        writer: EventWriter,
        devices: Devices,
        limits: Limits | None = None,
        *,
        recent: Recent | None = None,
        episodes: Episodes | None = None,
        metrics: GatewayMetrics | None = None,
        dry_run: bool = False,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """`dry_run`: judge and count everything, write nothing, answer as if it were written."""
        self._writer, self._devices, self._limits = writer, devices, limits or Limits()
        self._recent, self._episodes = recent or Recent(), episodes or Episodes()
        self._metrics = metrics or shared()
        self._dry_run, self._linger = dry_run, linger
        self._waiting: list[Item] = []
        self._letters: list[bytes] = []
        self._letter_bytes = 0  # of them, in `_bytes`
        self._frames = self._bytes = 0
        self._wake = asyncio.Event()
        self._last: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._room: dict[Callable[[], None], None] = {}
        self._parkers: OrderedDict[str, Bucket] = OrderedDict()
        self._parking = Bucket(PARKED_BYTES_PER_SECOND, PARKED_BYTES)  # of all unknown devices together

    @property
    def writer(self) -> EventWriter:
        """The way to Kafka."""
        return self._writer

    @property
    def devices(self) -> Devices:
        """The register."""
        return self._devices

    @property
    def full(self) -> bool:
        """Whether nothing more should be read: too much waits for Kafka."""
        return self._frames >= MOST_FRAMES or self._bytes >= MOST_BYTES

    @property
    def outstanding(self) -> int:
        """Messages that Kafka does not have yet."""
        return self._frames

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once as soon as there is room again."""
        self._room[callback] = None

    def forget(self, callback: Callable[[], None]) -> None:
        """Nobody waits for room any more."""
        self._room.pop(callback, None)

    def offer(self, item: Item) -> None:
        """Take a message; its `done` is called later."""
        self._waiting.append(item)
        self._frames += 1
        self._bytes += len(item.raw)
        self._wake.set()

    async def outcome(self, item: Item) -> str:
        """Take a message; its outcome once it has one. Whoever gives up waiting takes nothing back."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        item.done = lambda outcome: None if answer.done() else answer.set_result(outcome)
        self.offer(item)
        return await answer

    def reject(self, gateway: str, reason: str, detail: str, raw: bytes, at: int, *, keep: bool = True) -> None:
        """Count bytes that are no message; keep them as a dead letter, if there is room for it."""
        self._metrics.rejected(gateway, reason)
        if keep and not self.full:
            self._bytes += len(raw)
            self._letter_bytes += len(raw)
            self._letters.append(dead_letter(reason, detail, f"gateway-{gateway}", raw, at=at))
            self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            if len(self._waiting) < BATCH:
                await asyncio.sleep(self._linger)  # for company: a batch costs as much as a hundred messages
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            letters, self._letters = self._letters, []
            held, self._letter_bytes = self._letter_bytes, 0
            if not self._waiting:
                self._wake.clear()
            self._begin(batch, letters, held)

    async def drain(self) -> None:
        """Until everything that was offered is answered. `run` must go on meanwhile."""
        while self._waiting or self._letters or self._tasks:
            await asyncio.sleep(self._linger) if not self._tasks else await asyncio.wait(self._tasks, timeout=1)

    def _begin(self, batch: list[Item], letters: list[bytes], held: int) -> None:
        task = asyncio.create_task(self._finish(batch, self._surely(batch, letters), self._last, held))
        self._last = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _surely(self, batch: list[Item], letters: list[bytes]) -> _Made:
        """What comes of a batch, whatever happens: of a message that nobody can make anything of, a dead letter. Where our
        surroundings failed (memory, disk), nothing is answered: its device sends it again."""
        self._recent.mark()
        self._episodes.mark()
        kept = list(letters)
        try:
            return self._make(batch, letters)
        except Exception as error:
            self._recent.undo()
            self._episodes.undo()
            if len(batch) > 1:
                parts = [self._surely([item], kept if i == 0 else []) for i, item in enumerate(batch)]
                records: dict[str, list[Pair]] = {}
                for topic, pairs in ((topic, pairs) for part in parts for topic, pairs in part.records.items()):
                    records.setdefault(topic, []).extend(pairs)
                rows = [row for part in parts for row in part.rows]
                return _Made(records, [part.outcomes[0] for part in parts], rows)
            log.exception("gateway.message", gateway=batch[0].protocol.name if batch else "")
            blamed = not isinstance(error, MemoryError | OSError | ImportError)
            return _Made(*self._failed(batch, kept, type(error).__name__, blamed=blamed))

    def _failed(
        self, batch: list[Item], letters: list[bytes], why: str, *, blamed: bool
    ) -> tuple[dict[str, list[Pair]], list[str]]:
        """Records and outcomes of at most one message that could not be worked on."""
        outcomes = []
        for item in batch:
            self._metrics.rejected(item.protocol.name, "processing-failed")
            outcomes.append(ACCEPTED if blamed else "processing-failed")
            if blamed:
                letters.append(_letter(item, "processing-failed", f"{item.key} {why}"))
        records: dict[str, list[Pair]] = {}
        if letters and not self._dry_run:
            records[REJECTED_TOPIC] = [(None, letter) for letter in letters]
        return records, outcomes

    def _make(self, batch: list[Item], letters: list[bytes]) -> _Made:
        rows, outcomes = Rows(), [ACCEPTED] * len(batch)
        parked: list[Pair] = []
        seen: Counter[str] = Counter()
        skew: dict[str, int] = {}
        told: Counter[tuple[str, str]] = Counter()
        for number, item in enumerate(batch):
            device = self._devices.get(item.key) if item.key else None
            outcome = self._admit(item, device)
            if device is None and outcome == ACCEPTED:
                parked.append(_parked(item))
                told[item.protocol.name, "parked"] += 1
                continue
            if device is None or outcome != ACCEPTED:
                outcomes[number] = outcome
                told[item.protocol.name, "refused"] += 1
                self._refuse(item, outcome, letters)
                continue
            told[item.protocol.name, "replayed" if item.replayed else "accepted"] += 1
            seen[device.key] += 1
            sent = None if item.replayed else item.protocol.sent_at(item.frame)
            if sent is not None:
                skew[device.key] = sent - item.arrived
            rows.owner = number
            item.protocol.events(device, item.frame, item.arrived, rows)
        records = self._columns(batch, rows, letters)
        self._metrics.devices(seen, skew)
        self._metrics.frames(told)
        if parked:
            records[PARKING] = parked
        if letters:
            records[REJECTED_TOPIC] = [(None, letter) for letter in letters]
        return _Made({} if self._dry_run else records, outcomes, [row for found in rows.rows.values() for row in found])

    def _admit(self, item: Item, device: Device | None) -> str:
        """Whether a message may come in: ACCEPTED or a named reason."""
        if item.refused or not item.key:
            return item.refused or "no-device"
        if device is None:
            if item.replayed:
                return "unknown-device"
            room = self._may_park(item.key) and self._parking.allow(len(item.park or item.raw))
            return ACCEPTED if room else "parking-full"
        if item.peer and not may_send_from(device, item.peer):
            return "bad-source"
        if item.proved or device.secret is None:
            return ACCEPTED
        password = item.protocol.password(item.frame)
        peer = None if item.replayed else item.peer  # what is replayed is nobody's guess
        right = password is not None and self._devices.proves(device, password, peer)
        return ACCEPTED if right else "bad-credentials"

    def _may_park(self, key: str) -> bool:
        """Each unknown device has its own measure; of too many, those that were silent longest are forgotten."""
        bucket = self._parkers.get(key)
        if bucket is None:
            limits = self._limits
            bucket = self._parkers[key] = Bucket(limits.parked_per_minute / 60, limits.parked_burst)
            if len(self._parkers) > _PARKERS:
                self._parkers.popitem(last=False)
        else:
            self._parkers.move_to_end(key)
        return bucket.allow()

    def _refuse(self, item: Item, reason: str, letters: list[bytes]) -> None:
        name = item.protocol.name
        self._metrics.rejected(name, reason)
        self._metrics.device_refused(item.key if self._devices.get(item.key) else "", reason)
        if item.replayed and reason == "unknown-device":
            return  # it stays parked
        if reason != "parking-full" and (item.replayed or self._may_park(f"letter of {item.peer or name}")):
            letters.append(_letter(item, reason, item.about or item.key[:128]))

    def _columns(self, batch: Sequence[Item], rows: Rows, letters: list[bytes]) -> dict[str, list[Pair]]:
        """Records by topic of all rows that were not seen before; letters of what is refused, one a message and reason."""
        records: dict[str, list[Pair]] = {}
        refused = list(rows.refused)
        for shape, found in rows.rows.items():
            new, owners = self._recent.new(found, rows.owners[shape])
            if len(new) < len(found):
                self._metrics.repeated.inc(len(found) - len(new))
            if not new:
                continue
            arrived = max(batch[owner].arrived for owner in owners)
            keep = self._unfolded(batch) if kind_of(shape).code == "video" else None
            made = make(shape, new, owners, arrived, keep)
            self._recent.written(new)
            self._recent.forget(new[i] for i in made.bad)  # mended, or no longer ahead of time, it may come again
            refused += made.refused
            self._metrics.folded.inc(len(made.folded))
            if made.pairs:
                kind = kind_of(shape)
                records.setdefault(kind.topic, []).extend(made.pairs)
                gateways = Counter(batch[owner].protocol.name for owner in owners)
                gateways.subtract(batch[owner].protocol.name for owner, _, _ in made.refused)
                gateways.subtract(batch[owner].protocol.name for owner in made.folded)
                for gateway, count in gateways.items():
                    self._metrics.accepted(gateway, kind.code, count)
        first: dict[tuple[int, str], str] = {}
        for owner, reason, detail in refused:
            first.setdefault((owner, reason), detail)
        for (owner, reason), detail in first.items():  # one letter holds the whole message
            item = batch[owner]
            item.told.append(reason)
            self._metrics.rejected(item.protocol.name, reason)
            self._metrics.device_refused(item.key, reason)
            letters.append(_letter(item, reason, f"{item.about or item.key} {detail}"))
        return records

    def _unfolded(self, batch: Sequence[Item]) -> Keep:
        """Asked of camera events that are good: which of them open an episode of their device and label."""

        def keep(frame: pl.DataFrame, owners: list[int]) -> list[bool]:
            seen = frame.select("device_id", "label", "occurred_at").iter_rows()
            devices = (self._devices.get(batch[owner].key) for owner in owners)
            return [
                self._episodes.opens(camera, label, at, device.episode_seconds if device is not None else 0)
                for (camera, label, at), device in zip(seen, devices, strict=True)
            ]

        return keep

    async def _finish(self, batch: list[Item], made: _Made, before: asyncio.Task[None] | None, letters: int) -> None:
        """Write, then answer: after those that came before, so that a repeat is not answered before its first."""
        try:
            outcomes = made.outcomes
            try:
                if made.records:
                    await asyncio.gather(*(self._write(topic, pairs) for topic, pairs in made.records.items()))
            except Exception:  # whether Kafka has them is not known: not answered, and new when they come again
                log.exception("gateway.write")
                self._recent.forget(made.rows)
                outcomes = ["processing-failed"] * len(batch)
            if before is not None:
                await asyncio.wait([before])
            for item, outcome in zip(batch, outcomes, strict=True):
                _call(item.done, outcome)
        finally:
            self._frames -= len(batch)
            self._bytes -= sum(len(item.raw) for item in batch) + letters
            self._metrics.outstanding.set(self._frames)
            if self._room and not self.full:
                room, self._room = self._room, {}
                for callback in room:
                    _call(callback)

    async def _write(self, topic: str, pairs: list[Pair]) -> None:
        """Until Kafka has them. Records that are written twice have the same event ids, which the engine drops."""
        wait = _SHORTEST_SECONDS
        while True:
            try:
                await self._writer.send(topic, pairs)
                return
            except (BrokerGone, QueueFull) as error:
                self._metrics.waits.inc()
                log.warning("gateway.waiting", topic=topic, records=len(pairs), error=str(error)[:200], again_in=wait)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_SECONDS)


def _call(callback: Callable[..., None], *given: Any) -> None:
    """A callback that fails harms no other."""
    try:
        callback(*given)
    except Exception:
        log.exception("gateway.callback")


def _letter(item: Item, reason: str, detail: str) -> bytes:
    return dead_letter(reason, detail, f"gateway-{item.protocol.name}", item.raw, at=item.arrived)


def _parked(item: Item) -> Pair:
    record: dict[str, Any] = {
        "device_id": item.key,
        "protocol": item.protocol.name,
        "received_at": item.arrived,
        "body": item.park or item.raw,
        "peer": item.peer or None,
        "proved": item.proved,
    }
    return item.key.encode(), encode(PARKED, record)
