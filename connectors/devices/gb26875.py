"""GB/T 26875.3 frames -> sensor readings: analogue values, and states as 1 or 0 by bit.

A reading's identity is device, part, what it is and when it happened by the object's own time: a frame sent again because no
confirmation came has the same event ids, whatever its sequence number.
"""

import hashlib
from typing import Any, Final

from connectors.devices.clock import iso_ms
from connectors.devices.device import Channel, Device
from connectors.devices.factors import (
    AMPERE_METRICS,
    ANALOGUE,
    DEVICE_STATES,
    OPERATIONS,
    PART_STATES,
    SYSTEM_STATES,
)
from connectors.devices.rows import NO_CHANNEL, Rows
from connectors.protocols import gb26875
from connectors.protocols.gb26875_unit import iso

GATEWAY: Final = "gb26875"
STATES, PARTS, ANALOGUES, OPERATED, TRANSMITTER, TRANSMITTER_OPERATED = 1, 2, 3, 4, 21, 24


def key_of(frame: gb26875.Frame) -> str:
    """The register's key of the transmission device that a frame is from: its address, hexadecimal, as sent."""
    return f"{GATEWAY}:{frame.source.hex()}"


def sent_at(frame: gb26875.Frame) -> int | None:
    """When the device sent the frame by its own clock, ms UTC; None where it has none."""
    return iso_ms(iso(frame.time))


def events(device: Device, frame: gb26875.Frame, arrived: int, rows: Rows) -> None:
    """Add a frame's readings. Frames without information objects, and clocks, add nothing."""
    unit = frame.unit
    if unit is None:
        return
    if not unit.known:
        rows.refuse("unknown-unit", f"type {unit.type}")
        return
    objects = unit.objects or unit.untimed
    if unit.mismatch and not objects:
        rows.refuse("bad-segment", f"type {unit.type}: {unit.count} objects in {len(unit.content)} bytes")
        return
    own = device.clock == "device"
    observed = (sent_at(frame) if own else None) or arrived
    for number, one in enumerate(objects):
        occurred = (iso_ms(one.get("time")) if own else None) or observed
        when = (one.get("time") if own else None) or f"{_moment(frame, own, arrived)}.{number}"
        _object(device, unit.type, one, (str(when), (occurred, observed)), rows)


def _moment(frame: gb26875.Frame, own: bool, arrived: int) -> str:
    """What tells an object without a usable time from the next: the frame it came in, and when that was sent, or came."""
    sent = iso(frame.time) if own else None
    if sent is not None:
        return f"{sent}#{frame.sequence}"
    return f"{hashlib.sha256(frame.raw).hexdigest()[:16]}-{arrived // 60_000}"


def _object(device: Device, kind: int, one: dict[str, Any], whole: tuple[str, tuple[int, int]], rows: Rows) -> None:
    if kind == ANALOGUES:
        _analogue(device, one, whole, rows)
    elif kind == PARTS:
        _bits(device, part_of(one), int(one["status"]), PART_STATES, whole, rows)
    elif kind == STATES:
        _bits(device, system_of(one), int(one["status"]), SYSTEM_STATES, whole, rows)
    elif kind == TRANSMITTER:
        _bits(device, "", int(one["status"]), DEVICE_STATES, whole, rows)
    elif kind in (OPERATED, TRANSMITTER_OPERATED):
        part = system_of(one) if kind == OPERATED else ""
        _bits(device, part, int(one["operation"]), OPERATIONS, whole, rows, only_set=True)


def system_of(one: dict[str, Any]) -> str:
    """A system as channels are named: type and address.

    >>> system_of({"system_type": 1, "system_addr": 2})
    '1-2'
    """
    return f"{one['system_type']}-{one['system_addr']}"


def part_of(one: dict[str, Any]) -> str:
    """A part as channels are named: its system, its type, its address as sent.

    >>> part_of({"system_type": 1, "system_addr": 2, "part_type": 40, "part_addr_hex": "01000000"})
    '1-2-40-01000000'
    """
    return f"{system_of(one)}-{one['part_type']}-{one['part_addr_hex']}"


def _analogue(device: Device, one: dict[str, Any], whole: tuple[str, tuple[int, int]], rows: Rows) -> None:
    (when, times), part, code = whole, part_of(one), int(one["analog_type"])
    if "value" not in one:
        rows.refuse("unknown-unit", f"analogue type {code}")
        return
    metric, value, unit = ANALOGUE[code], float(one["value"]), str(one["unit"]) or None
    if unit == "A" and metric in AMPERE_METRICS:
        unit, factor = AMPERE_METRICS[metric]
        value *= factor
    elif unit == "kPa" and metric == "water_pressure":
        unit, value = "MPa", value / 1000
    identity = f"{device.key}/3/{part}/{code}/{when}"
    rows.reading(device, _channel(device, part, metric), identity, times, GATEWAY, (metric, value, unit, None), part)


def _bits(
    device: Device,
    part: str,
    status: int,
    names: dict[int, str],
    whole: tuple[str, tuple[int, int]],
    rows: Rows,
    *,
    only_set: bool = False,
) -> None:
    """One reading a bit that is set; and of the alarm also when it is not, so that rules see it end."""
    when, times = whole
    for bit, metric in names.items():
        on = bool(status >> bit & 1)
        if on or (metric == "fire_alarm" and not only_set):
            identity = f"{device.key}/{part}/{metric}/{when}/{int(on)}"
            measured = (metric, float(on), None, None)
            rows.reading(device, _channel(device, part, metric), identity, times, GATEWAY, measured, part)


def _channel(device: Device, part: str, metric: str) -> Channel:
    """The most particular entry: the part's, else the metric's."""
    return device.channels.get(part) or device.channels.get(metric) or NO_CHANNEL
