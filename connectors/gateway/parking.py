"""The parking topic: what unknown devices said, replayed into the pipe once their device is registered.

The topic itself says what is still parked: a record without a protocol says in its body before which offset all of its device was
replayed. A gateway that dies in between replays again, with the same event ids. Members of one group share the partitions out.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.devices.registry import Devices
from connectors.gateway.item import Item
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
            except KafkaException as error:
                log.warning("parking.wait", error=str(error)[:200])
                self._stopping.wait(1)

    def _watch(self) -> None:
        consumer = Consumer(self._config(self._group))
        self._parked.clear()
        consumer.subscribe([self._topic], on_assign=_from_the_beginning, on_revoke=self._revoked)
        try:
            while not self._stopping.is_set():
                for message in consumer.consume(_BATCH, _POLL_SECONDS):
                    if message.error() is None:
                        self._note(message)
                for key in self._due():
                    self._replay(key)
        finally:
            consumer.close()

    def _config(self, group: str) -> dict[str, Any]:
        return {
            **self._client,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 0,
        }

    def _revoked(self, _consumer: Any, partitions: list[Any]) -> None:
        gone = {one.partition for one in partitions}
        self._parked = {key: parked for key, parked in self._parked.items() if parked.partition not in gone}

    def _note(self, message: Any) -> None:
        try:
            record = decode(message.value() or b"")[1]
        except Refused as refused:
            log.warning("parking.record", offset=message.offset(), error=str(refused)[:200])
            return
        key, parked = record["device_id"], self._parked.get(record["device_id"])
        if record["protocol"]:
            if parked is None:
                parked = self._parked[key] = _Parked(message.partition(), message.offset(), message.offset())
                self.registered(key)  # it may have been registered before this was read
            parked.last = message.offset()
        elif parked is not None:
            parked.first = max(parked.first, int(record["body"]))
            if parked.last < parked.first:
                del self._parked[key]

    def _due(self) -> list[str]:
        """Devices that are registered and have something parked."""
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        return [key for key in wanted if key in self._parked and self._devices.get(key) is not None]

    def _replay(self, key: str) -> None:
        """Read a device's parked messages once more, put them into the pipe, and say in the topic that this was done."""
        parked = self._parked.pop(key)
        consumer = Consumer(self._config(f"{self._group}-replay"))
        try:
            replayed, end = self._again(consumer, key, parked)
            self._writer.submit(PARKING, [_replayed(key, end)], _REPLAY_SECONDS).result(_REPLAY_SECONDS)
            log.info("parking.replayed", device=key, messages=replayed)
        except (KafkaException, BrokerGone, QueueFull, TimeoutError) as error:
            log.warning("parking.replay", device=key, error=str(error)[:200])
            self._parked[key] = parked
            self.registered(key)
            self._stopping.wait(1)
        finally:
            consumer.close()

    def _again(self, consumer: Consumer, key: str, parked: _Parked) -> tuple[int, int]:
        """How many messages went into the pipe and were taken, and the offset before which there are no more."""
        consumer.assign([TopicPartition(self._topic, parked.partition, parked.first)])
        waiting: list[Future[str]] = []
        count = 0
        while not self._stopping.is_set():
            for message in consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        _settle(waiting)
                        return count, int(message.offset() or 0)
                    raise KafkaException(error)
                if message.key() == key.encode() and message.value():
                    waiting += self._offer(message.value() or b"")
                    count += 1
            _settle(waiting)
        raise TimeoutError("stopping")

    def _offer(self, value: bytes) -> list[Future[str]]:
        """One parked record into the pipe, in the pipe's loop."""
        try:
            record = decode(value)[1]
            if not record["protocol"]:
                return []
            wire = self._wires[record["protocol"]]
            found = list(wire.again(record["body"]))
        except (Refused, KeyError) as error:
            log.warning("parking.record", error=str(error)[:200])
            return []
        futures: list[Future[str]] = []
        for key, frame in found:
            future: Future[str] = Future()
            item = Item(wire, key, frame, record["body"], record["received_at"], replayed=True)
            item.done = future.set_result
            self._loop.call_soon_threadsafe(self._pipe.offer, item)
            futures.append(future)
        return futures


def _replayed(key: str, end: int) -> Pair:
    """The record that says: all of this device before that offset was replayed."""
    told = {"device_id": key, "protocol": "", "received_at": time.time_ns() // 1_000_000, "body": str(end).encode()}
    return key.encode(), encode(PARKED, told)


def _settle(waiting: list[Future[str]]) -> None:
    deadline = time.monotonic() + _REPLAY_SECONDS
    for future in waiting:
        with contextlib.suppress(asyncio.CancelledError):
            future.result(max(0.0, deadline - time.monotonic()))
    waiting.clear()


def _from_the_beginning(consumer: Any, partitions: list[Any]) -> None:
    for one in partitions:
        one.offset = OFFSET_BEGINNING
    consumer.assign(partitions)
