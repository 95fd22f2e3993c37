"""The parking topic: what unknown devices said, replayed into the pipe once their device is registered.

The topic itself says what is still parked: a record without a protocol says in its body before which offset all of its device was
replayed. A gateway that dies in between replays again, with the same event ids. Members of one group share the partitions out.
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.devices.registry import Devices
from connectors.gateway.item import NOT_KEPT, Item
from connectors.gateway.pipe import PARKING, Pipe
from connectors.producing import BrokerGone, EventWriter, Pair, QueueFull
from topics.records import PARKED
from topics.wire import Refused, decode, encode

log = structlog.get_logger(__name__)
GROUP: Final = "fengsui-parking"
_POLL_SECONDS: Final = 0.2
_BATCH: Final = 500
_REPLAY_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Parked:
    """Where a device's parked messages begin and end."""

    partition: int
    first: int
    last: int


class Parking:
    """Watches the parking topic in a thread, and replays what registered devices have there."""

    def __init__(
        self,
        client: Mapping[str, Any],
        prefix: str,
        devices: Devices,
        pipe: tuple[Pipe, asyncio.AbstractEventLoop],
        wires: Mapping[str, Any],
        writer: EventWriter,
        group: str = GROUP,
    ) -> None:
        """`pipe`: the pipe and its loop; `wires`: protocols by name."""
        self._client, self._topic = dict(client), prefix + PARKING
        self._devices, self._wires, self._writer = devices, wires, writer
        self._pipe, self._loop = pipe
        self._group = group
        self._parked: dict[str, _Parked] = {}
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parking", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def registered(self, key: str) -> None:
        """A device came to the register, or changed there. Safe from any thread."""
        with self._lock:
            self._wanted.add(key)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except Exception as error:  # nothing may end this thread: what is parked would stay so
                log.warning("parking.wait", error=f"{type(error).__name__}: {error}"[:200])
                self._stopping.wait(1)

    def _watch(self) -> None:
        consumer = Consumer(self._config())
        self._parked.clear()
        consumer.subscribe([self._topic], on_assign=_from_the_beginning, on_revoke=self._revoked)
        try:
            while not self._stopping.is_set():
                for message in consumer.consume(_BATCH, _POLL_SECONDS):
                    if message.error() is None:
                        self._note(message)
                for partition, due in self._due().items():
                    self._replay(partition, due)
        finally:
            consumer.close()

    def _config(self) -> dict[str, Any]:
        return {
            **self._client,
            "group.id": self._group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "max.poll.interval.ms": 3_600_000,  # a replay may take long, and must not move the partition
            "log_level": 0,
        }

    def _revoked(self, _consumer: Any, partitions: list[Any]) -> None:
        gone = {one.partition for one in partitions}
        self._parked = {key: parked for key, parked in self._parked.items() if parked.partition not in gone}

    def _note(self, message: Any) -> None:
        record = _read(message.value())
        if record is None:
            log.warning("parking.record", offset=message.offset())
            return
        key, parked = record["device_id"], self._parked.get(record["device_id"])
        if record["protocol"]:
            if parked is None:
                parked = self._parked[key] = _Parked(message.partition(), message.offset(), message.offset())
                self.registered(key)  # it may have been registered before this was read
            parked.last = message.offset()
        elif parked is not None and record["body"].isdigit():
            parked.first = max(parked.first, int(record["body"]))
            if parked.last < parked.first:
                del self._parked[key]

    def _due(self) -> dict[int, set[str]]:
        """Partition -> devices that are registered and have something parked there."""
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        found: dict[int, set[str]] = {}
        for key in wanted:
            if key in self._parked and self._devices.get(key) is not None:
                found.setdefault(self._parked[key].partition, set()).add(key)
        return found

    def _replay(self, partition: int, due: set[str]) -> None:
        """Read these devices' parked messages once more, put them into the pipe, and say in the topic for whom that was done."""
        parked = {key: self._parked.pop(key) for key in due}
        consumer = Consumer(self._config())
        try:
            first = min(one.first for one in parked.values())
            left, end = self._again(consumer, TopicPartition(self._topic, partition, first), parked)
            done = [key for key in due if key not in left]
            self._writer.submit(PARKING, [_replayed(key, end) for key in done], _REPLAY_SECONDS).result(_REPLAY_SECONDS)
            log.info("parking.replayed", devices=len(done), left=len(left))
            for key in left:  # not all could be taken here: kept for another time, or another gateway
                self._parked[key] = parked[key]
        except (KafkaException, BrokerGone, QueueFull, TimeoutError) as error:
            log.warning("parking.replay", devices=len(due), error=str(error)[:200])
            self._parked |= parked
            for key in due:
                self.registered(key)
            self._stopping.wait(1)
        finally:
            consumer.close()

    def _again(self, consumer: Consumer, place: TopicPartition, parked: Mapping[str, _Parked]) -> tuple[set[str], int]:
        """The devices of which something could not be taken, and the offset before which there is no more of any of them."""
        consumer.assign([place])
        waiting: list[tuple[str, Future[str]]] = []
        left: set[str] = set()
        while not self._stopping.is_set():
            for message in consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is None:
                    self._offer(message, parked, waiting, left)
                elif error.code() == KafkaError._PARTITION_EOF:
                    _settle(waiting, left)
                    return left, int(message.offset() or 0)
                else:
                    raise KafkaException(error)
            _settle(waiting, left)
        raise TimeoutError("stopping")

    def _offer(
        self, message: Any, parked: Mapping[str, _Parked], waiting: list[tuple[str, Future[str]]], left: set[str]
    ) -> None:
        """One parked record into the pipe, in the pipe's loop, if it is of one of these devices."""
        record = _read(message.value())
        if record is None or not record["protocol"] or record["device_id"] not in parked:
            return
        key = record["device_id"]
        if message.offset() < parked[key].first:
            return
        try:
            wire = self._wires[record["protocol"]]
            found = [frame for _, frame in wire.again(record["body"])]
        except Exception as error:  # of a protocol, or with a key, that this gateway does not have
            log.warning("parking.record", device=key, error=f"{type(error).__name__}: {error}"[:200])
            found = []
        if not found:
            left.add(key)
        for frame in found:
            future: Future[str] = Future()
            item = Item(wire, key, frame, record["body"], record["received_at"], replayed=True)
            item.peer, item.proved = record["peer"] or "", bool(record["proved"])
            item.done = future.set_result
            self._loop.call_soon_threadsafe(self._pipe.offer, item)
            waiting.append((key, future))


def _read(value: bytes | None) -> dict[str, Any] | None:
    """A record of the parking topic; None where it is none."""
    try:
        name, record = decode(value or b"")
    except Refused:
        return None
    return record if name == PARKED.name else None


def _replayed(key: str, end: int) -> Pair:
    """The record that says: all of this device before that offset was replayed."""
    told = {"device_id": key, "protocol": "", "received_at": time.time_ns() // 1_000_000, "body": str(end).encode()}
    return key.encode(), encode(PARKED, told)


def _settle(waiting: list[tuple[str, Future[str]]], left: set[str]) -> None:
    """Await what is in the pipe; devices of which something was not kept are added to `left`. Raises TimeoutError."""
    deadline = time.monotonic() + _REPLAY_SECONDS
    for key, future in waiting:
        if future.result(max(0.0, deadline - time.monotonic())) in NOT_KEPT:
            left.add(key)
    waiting.clear()


def _from_the_beginning(consumer: Any, partitions: list[Any]) -> None:
    for one in partitions:
        one.offset = OFFSET_BEGINNING
    consumer.assign(partitions)
