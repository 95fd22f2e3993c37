"""HJ 212 frames -> sensor readings.

A reading's identity is what the standard identifies it by: device, CN, DataTime, factor. Data sent again (after a reconnect, or
with RF=1) has the same event id, whatever its QN. Without DataTime it is the frame and the minute it came in. `occurred_at` is
DataTime, or the end of the interval that begins there; `observed_at` is QN, when the device sent it by its own clock.
"""

import hashlib
from typing import Final

from connectors.devices.clock import compact
from connectors.devices.device import Device, is_key
from connectors.devices.factors import EQUIPMENT, KINDS, factor
from connectors.devices.rows import NO_CHANNEL, Rows
from connectors.protocols import hj212

GATEWAY: Final = "hj212"
_FLAG_CHARS: Final = 8
_MINUTE: Final = 60_000
_QN: Final = 17


def key_of(frame: hj212.Frame) -> str:
    """The register's key of the device that a frame is from; "" where it names none that could be registered."""
    key = f"{GATEWAY}:{frame.header.get('MN', '')}"
    return key if is_key(key) and key.isprintable() else ""


def sent_at(frame: hj212.Frame) -> int | None:
    """When the device sent the frame by its own clock, ms UTC."""
    return compact(frame.header.get("QN", ""))


def events(device: Device, frame: hj212.Frame, arrived: int, rows: Rows) -> None:
    """Add a frame's readings. Frames that hold none (replies, heartbeats, logs) add nothing."""
    cn = frame.header["CN"]
    own = device.clock == "device"
    observed = (sent_at(frame) if own else None) or arrived
    stamp = frame.cp.get("DataTime", "")
    began = compact(stamp) if own else None
    if own and stamp and began is None:
        rows.refuse("bad-time", f"DataTime {stamp[:20]}")
        return
    identity = f"{device.key}/{cn}/{stamp if own and stamp else _moment(frame, arrived)}"
    if cn in KINDS:
        name, suffix, length = KINDS[cn]
        length = device.interval_minutes * _MINUTE if length < 0 else length
        times = (observed if began is None else began + length, observed)
        _factors(device, frame, (name, suffix), (identity, times), rows)
    elif cn in ("2021", "2041"):
        times = (observed if began is None else began, observed)
        _equipment(device, frame, (identity, times), rows)
    elif cn == "2081":
        restarted = compact(frame.cp.get("RestartTime", "")) if own else None
        times = (restarted or observed, observed)
        rows.reading(device, NO_CHANNEL, identity, times, GATEWAY, ("device_restart", 1.0, None, None))


def _moment(frame: hj212.Frame, arrived: int) -> str:
    """What tells a frame from others where DataTime is missing, or of a clock that does not go: its bytes, and when it came. The
    checksum would not do: it has 256 values."""
    qn = frame.header.get("QN", "")
    return f"{qn[:_QN]}.{hashlib.sha256(frame.raw).hexdigest()[:16]}-{arrived // _MINUTE}"


def _factors(
    device: Device, frame: hj212.Frame, what: tuple[str, str], whole: tuple[str, tuple[int, int]], rows: Rows
) -> None:
    (name, suffix), (identity, times) = what, whole
    channels = device.channels
    for code, fields in frame.factors.items():
        text = fields.get(name)
        if text is None and not suffix:
            text = fields.get("Avg")  # seen: averages sent as real-time data
        if text is None:
            continue  # converted or cumulated values only
        value = _number(text)
        if value is None:
            rows.refuse("bad-value", f"{code[:40]}-{name}={text[:40]}")
            continue
        metric, unit = factor(code)
        measured = (metric + suffix, value, unit, _flag(fields))
        rows.reading(device, channels.get(code, NO_CHANNEL), f"{identity}/{code}", times, GATEWAY, measured)


def _equipment(device: Device, frame: hj212.Frame, whole: tuple[str, tuple[int, int]], rows: Rows) -> None:
    """States and running hours: `SB1-RS=1`, `SB1-RT=1.5`."""
    identity, times = whole
    for code, fields in frame.factors.items():
        for name, text in fields.items():
            if name not in EQUIPMENT:
                continue
            value = _number(text)
            if value is None:
                rows.refuse("bad-value", f"{code[:40]}-{name}={text[:40]}")
                continue
            metric, unit = EQUIPMENT[name]
            channel = device.channels.get(f"{code}-{name}", NO_CHANNEL)
            measured = (f"{metric}_{code.lower()}", value, unit, _flag(fields))
            rows.reading(device, channel, f"{identity}/{code}-{name}", times, GATEWAY, measured)


def _flag(fields: dict[str, str]) -> str | None:
    flag = fields.get("Flag") or fields.get("EFlag")
    return flag[:_FLAG_CHARS] if flag else None


def _number(text: str) -> float | None:
    """A number as devices write it: digits, sign, point, exponent. NaN and infinities are left to the checks of events."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
