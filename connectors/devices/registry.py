"""The device register as a gateway sees it: one reader of the compacted topic `devices`, kept in memory.

Cost: a look-up is one dict access; about 2 kB a device.
"""

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.devices.device import Device, DeviceError, parse
from connectors.devices.proofs import Proofs
from connectors.metrics import shared
from connectors.stalls import Place, Stalled, Watch
from topics.wire import Refused, decode

log = structlog.get_logger(__name__)
TOPIC: Final = "devices"
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
_BATCH: Final = 1000


class Devices:
    """Registered devices by key, and whether passwords and addresses are theirs. Safe to read from any thread."""

    def __init__(self, devices: Mapping[str, Device] | None = None, now: Callable[[], float] = time.time) -> None:
        self._devices: dict[str, tuple[Device, int | None]] = {
            key: (device, None) for key, device in (devices or {}).items()
        }
        self._proofs = Proofs()
        self._now = now

    def get(self, key: str) -> Device | None:
        """The device of that key; None where it is not registered, or not any more."""
        found = self._devices.get(key)
        if found is None:
            return None
        device, ends = found
        return device if ends is None or ends > self._now() * 1000 else None

    def __len__(self) -> int:
        return len(self._devices)

    def proves(self, device: Device, password: str, peer: str | None = "") -> bool:
        """Whether a password, said from an address, is the device's; a device without one needs none.

        Wrong ones are limited for each device and address: beyond that everything is wrong for a while. Not where `peer` is None:
        of what was parked the right ones must not suffer for the wrong ones, and how much is parked has its own measure.
        """
        return device.secret is None or self._proofs.judge(device.key, device.secret, password, peer)

    def put(self, key: str, device: Device | None, ends: int | None = None) -> None:
        """Register, change or (None) forget a device; `ends` in ms UTC."""
        if device is None:
            self._devices.pop(key, None)
            self._proofs.forget(key)
        else:
            self._devices[key] = (device, ends)


def may_send_from(device: Device, address: str) -> bool:
    """Whether a device may send from an address: from anywhere where its entry names no sources.

    >>> import msgspec
    >>> device = msgspec.structs.replace(parse("hj212:A", b'{"subject": "site:1", "sector": "fire"}'), sources=("10.1.0.0/16",))
    >>> may_send_from(device, "10.1.2.3"), may_send_from(device, "10.2.0.1")
    (True, False)
    """
    return not device.sources or in_networks(address, device.sources)


def in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address lies in one of some networks (or addresses); what is neither matches nothing."""
    try:
        ip = ipaddress.ip_address(address)
        return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False


class Registry:
    """Keeps a `Devices` as the topic says, in a thread. `on_change`, if set, is told the key of each device that comes."""

    def __init__(self, client: Mapping[str, Any], prefix: str) -> None:
        self.devices = Devices()
        self.on_change: Callable[[str], None] | None = None
        self._client, self._topic = dict(client), prefix + TOPIC
        self._end = 0
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._registered = shared().registered
        self._thread = threading.Thread(target=self._run, name="devices", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def wait_ready(self, seconds: float) -> bool:
        """True once all that stood in the topic at start has been read."""
        return self._ready.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except Stalled:  # it has been told
                continue
            except KafkaException as error:
                log.warning("devices.wait", error=str(error)[:200])
                self._stopping.wait(1)

    def _read(self) -> None:
        watch = Watch(self._client, "devices")
        consumer = Consumer(
            self._client
            | {
                "group.id": "fengsui-devices",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        try:
            consumer.assign([TopicPartition(self._topic, 0, self._end or self._first(consumer))])
            while not self._stopping.is_set():
                messages = consumer.consume(_BATCH, _POLL_SECONDS)
                for message in messages:
                    error = message.error()
                    if error is None:
                        self._take(message.key() or b"", message.value())
                        self._end = (message.offset() or 0) + 1
                    elif error.code() == KafkaError._PARTITION_EOF:
                        self._end = max(self._end, message.offset() or 0)
                        self._ready.set()
                    else:
                        log.warning("devices.wait", error=str(error))
                watch.look(self._stands, len(messages) < _BATCH)
        finally:
            consumer.close()

    def _first(self, consumer: Consumer) -> int:
        """Where the topic begins. Asking takes milliseconds; librdkafka's own search for the beginning a second."""
        low, _ = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=_ANSWER_SECONDS)
        return int(low)

    def _stands(self) -> dict[Place, int]:
        return {(self._topic, 0): self._end}

    def _take(self, raw_key: bytes, value: bytes | None) -> None:
        """An entry that cannot be read is told and left out: the device counts as unknown, its messages are parked."""
        key = raw_key.decode("utf-8", "replace")
        try:
            if value is None:
                self.devices.put(key, None)
            else:
                record = decode(value)[1]
                self.devices.put(key, parse(key, record["body"]), record["expires_at"])
        except (Refused, DeviceError, KeyError, json.JSONDecodeError) as error:
            log.warning("devices.entry", key=key[:128], error=str(error)[:200])
            self.devices.put(key, None)
            return
        finally:
            self._registered.set(len(self.devices))
        if self.on_change is not None:
            self.on_change(key)
