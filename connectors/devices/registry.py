"""The device register as a gateway sees it: one reader of the compacted topic `devices`, kept in memory.

Cost: a look-up is one dict access; about 2 kB a device.
"""

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from connectors.devices.device import Device, DeviceError, parse
from connectors.devices.proofs import Proofs
from connectors.following import Follower
from connectors.metrics import shared
from topics.wire import Refused, decode

log = structlog.get_logger(__name__)
TOPIC: Final = "devices"


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
        self._end = 0
        self._registered = shared().registered
        quiet = {**client, "log_level": 0}  # a broker that is gone is told once, not by a line a second
        self._follower = Follower(quiet, prefix, TOPIC, lambda: {TOPIC: self._end}, self._take, self._move)

    def start(self) -> None:
        """Begin to read."""
        self._follower.start()

    def stop(self) -> None:
        """Stop reading."""
        self._follower.stop()

    def wait_ready(self, seconds: float) -> bool:
        """True once all that stood in the topic at start has been read."""
        return self._follower.wait_ready(seconds)

    def _move(self, _topic: str, end: int) -> None:
        self._end = max(self._end, end)

    def _take(self, _topic: str, offset: int, raw_key: bytes, value: bytes | None) -> None:
        """An entry that cannot be read is told and left out: the device counts as unknown, its messages are parked."""
        self._end = offset + 1
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
