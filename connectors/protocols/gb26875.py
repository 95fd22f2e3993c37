"""GB/T 26875.3-2011 (城市消防远程监控系统 报警传输网络通信协议): frames and their information objects, decoded and encoded.

`@@`, control unit of 25 bytes, application unit of L bytes (at most 1024), checksum, `##`: 30 + L bytes. Numbers are little
endian; vendors that send big endian are told by a length that fits only so. Data may hold any byte: nothing is split at marks.

>>> moment = dt.datetime(2021, 7, 2, 9, 0, 5)
>>> unit = encode_unit(21, [{"status": 8, "time": "2021-07-02T09:00:04"}])
>>> (frame,) = decode(encode(2, SEND, unit, time=moment, source=b"\\x01" * 6, target=b"\\x02" * 6))
>>> frame.sequence, frame.objects
(2, [{'status': 8, 'time': '2021-07-02T09:00:04'}])
>>> decode(confirm(frame, moment))[0].command == CONFIRM
True
"""

import datetime as dt
import re
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Literal

from .gb26875_unit import Unit, encode_unit, iso, read_unit, stamp
from .stream import UNKNOWN, Bad, Fault, Framing, Splitter

__all__ = ["Frame", "confirm", "decode", "deny", "describe", "encode", "encode_unit", "splitter"]

MARK: Final = b"@@"
TAIL: Final = b"##"
CONTROL, SEND, CONFIRM, REQUEST, ANSWER, DENY = range(1, 7)  # 控制, 发送, 确认, 请求, 应答, 否认
LONGEST: Final = 1024
FIXED: Final = 30  # bytes of a frame without its application unit
Order = Literal["little", "big"]

_HEAD: Final = {"little": Struct("<2xHBB6s6s6sHB"), "big": Struct(">2xHBB6s6s6sHB")}
_LENGTH: Final = 24  # where the length stands
_UNIT: Final = 27  # where the application unit begins
# A start whose length is possible, in either byte order: at most 0x0400.
_PLAUSIBLE: Final = re.compile(rb"@@(?=.{22}(?:.[\x00-\x03]|\x00\x04|[\x00-\x03].|\x04\x00))", re.DOTALL)


@dataclass(slots=True)
class Frame:
    """One frame whose length, checksum and tail are right. Addresses and `time` are the bytes as sent."""

    sequence: int
    version: tuple[int, int]
    time: bytes
    source: bytes
    target: bytes
    command: int
    checksum: int
    order: Order
    unit: Unit | None
    raw: bytes

    @property
    def length(self) -> int:
        """Bytes of the application unit."""
        return len(self.raw) - FIXED

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The information objects, of the types that are decoded; else none."""
        return self.unit.objects if self.unit else []


def splitter() -> Splitter[Frame]:
    """A splitter of a stream into frames.

    >>> [(bad.reason, bad.start, bad.resume) for bad in splitter().feed(b"noise" + b"@@" + bytes(50))]
    [('garbage', 0, 5)]
    """
    return Splitter(Framing(_scan, MARK, _PLAUSIBLE, _LENGTH + 2))


def decode(data: bytes) -> list[Frame | Bad]:
    """Frames and errors of bytes that are all there, such as a datagram."""
    reader = splitter()
    return reader.feed(data) + reader.flush()


def _scan(held: bytes, at: int, last: bool) -> tuple[int, Frame | Fault] | None:
    here = len(held) - at
    if here < _LENGTH + 2:
        return (UNKNOWN, Fault("truncated", f"{here} bytes of a control unit")) if last else None
    first, second = held[at + _LENGTH], held[at + _LENGTH + 1]
    little, big = first | second << 8, first << 8 | second
    if big < little and big <= LONGEST:  # the shorter reading first, so that nobody waits for the longer one in vain
        if here < FIXED + big and not last:
            return None
        if _fault(held, at, big) is None:
            return at + FIXED + big, _frame(held, at, big, "big")
    if little <= LONGEST and here < FIXED + little and not last:
        return None
    return _judged(held, at, little, big)


def _judged(held: bytes, at: int, little: int, big: int) -> tuple[int, Frame | Fault]:
    """What the little-endian reading says, now that the big-endian one holds no frame."""
    length = little if little <= LONGEST else big
    fault = _fault(held, at, length) if length <= LONGEST else Fault("bad-length")
    if fault is None:
        return at + FIXED + length, _frame(held, at, length, "little")
    if fault.reason == "bad-checksum":
        return at + FIXED + length, fault
    if little > LONGEST:
        fault = Fault("bad-length", f"{little} bytes of at most {LONGEST}", {"length": little})
    elif len(held) - at < FIXED + little:
        fault = Fault("truncated", f"{len(held) - at} of {FIXED + little} bytes")
    return UNKNOWN, fault


def _fault(held: bytes, at: int, length: int) -> Fault | None:
    end = at + FIXED + length
    if held[end - 2 : end] != TAIL:
        return Fault("bad-tail", f"{held[end - 2 : end].hex()} where 2323 is due")
    given, computed = held[end - 3], sum(held[at + 2 : end - 3]) & 0xFF
    if given == computed:
        return None
    facts = {"checksum": f"{given:02X}", "checksum_computed": f"{computed:02X}"}
    return Fault("bad-checksum", f"{given:02X} given, {computed:02X} computed", facts)


def _frame(held: bytes, at: int, length: int, order: Order) -> Frame:
    sequence, main, user, time, source, target, _, command = _HEAD[order].unpack_from(held, at)
    end = at + FIXED + length
    unit = read_unit(held[at + _UNIT : end - 3], order) if length else None
    return Frame(sequence, (main, user), time, source, target, command, held[end - 3], order, unit, held[at:end])


def encode(
    sequence: int,
    command: int,
    unit: bytes = b"",
    *,
    time: dt.datetime,
    source: bytes,
    target: bytes,
    version: tuple[int, int] = (1, 0),
    order: Order = "little",
) -> bytes:
    """A frame. `time`: the sender's local time, 2000 to 2255; addresses: 6 bytes. Raises ValueError on what does not fit."""
    if len(unit) > LONGEST or len(source) != len(target) or len(source) != 6:  # noqa: PLR2004 - bytes of an address
        raise ValueError("a unit has at most 1024 bytes, an address 6")
    head = _HEAD[order].pack(sequence & 0xFFFF, *version, stamp(time), source, target, len(unit), command)[2:]
    body = head + unit
    return MARK + body + bytes((sum(body) & 0xFF,)) + TAIL


def confirm(frame: Frame, time: dt.datetime, command: int = CONFIRM) -> bytes:
    """The confirmation of a frame: its sequence, version and byte order, from its target to its source, no application unit."""
    return encode(
        frame.sequence,
        command,
        time=time,
        source=frame.target,
        target=frame.source,
        version=frame.version,
        order=frame.order,
    )


def deny(frame: Frame, time: dt.datetime) -> bytes:
    """The denial (否认) of a frame that cannot be taken."""
    return confirm(frame, time, DENY)


def describe(one: Frame | Bad) -> dict[str, Any]:
    """A frame or an error as one JSON object, as `fengsui decode gb26875` prints it."""
    if isinstance(one, Bad):
        return one.describe()
    about: dict[str, Any] = {
        "ok": True,
        "seq": one.sequence,
        "version": list(one.version),
        "timestamp": iso(one.time),
        "source": one.source.hex(),
        "source_int": int.from_bytes(one.source, one.order),
        "target": one.target.hex(),
        "target_int": int.from_bytes(one.target, one.order),
        "length": one.length,
        "command": one.command,
        "checksum": f"{one.checksum:02X}",
        "byte_order": one.order,
    }
    if about["timestamp"] is None:
        about["timestamp_hex"] = one.time.hex()
    return about | (one.unit.describe() if one.unit else {})
