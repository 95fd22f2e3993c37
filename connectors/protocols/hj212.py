"""HJ 212 (污染物在线监控系统数据传输标准): frames of the editions 2005, 2017 and 2025, decoded and encoded.

`##`, four digits L, a data segment of L bytes, four hexadecimal digits of checksum, CR LF. What senders in the field are known
to do otherwise is taken and named in `Frame.tolerated`; what cannot be trusted is refused with a named reason.

>>> frame = splitter().feed(b"##0078QN=20201008154743635;ST=91;CN=9014;PW=123456;MN=SD000001;Flag=9;CP=&&QnRtn=1&&71c0\\r\\n")[0]
>>> frame.header["MN"], frame.cp, frame.flag.wants_reply
('SD000001', {'QnRtn': '1'}, True)
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .crc import crc
from .hj212_segment import DIGITS, Flag, Frame, read
from .sm4 import EXAMPLE_KEY, unseal
from .stream import PIECE, UNKNOWN, Bad, Fault, Framing, Splitter

__all__ = ["Flag", "Frame", "answer", "decode", "describe", "encode", "encode_area", "reply", "splitter", "wrap"]

MARK: Final = b"##"
TAIL: Final = b"\r\n"
REPLIES: Final = {"9011": "QnRtn", "9012": "ExeRtn", "9013": "", "9014": ""}  # 请求应答, 执行结果, 通知应答, 数据应答
NOTICES: Final = frozenset({"1013"})  # 现场机时间校准请求: a notice, not data
MOST: Final = 9999  # what four digits can say
SEALED: Final = b"&&{0x"
SEALED_MOST: Final = 5 * MOST + 64  # five characters for each byte, braces
KeyOf = Callable[[str], bytes | None]

_BEGINNING: Final = re.compile(rb"##[0-9]{4}")
_CRC_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]{0,4}")
_START: Final = 6  # mark and length
_MN: Final = re.compile(rb"(?:^|[;,])MN=([^;,]*)")


@dataclass(frozen=True, slots=True)
class _Options:
    key_of: KeyOf
    lenient: bool


def _example(_mn: str) -> bytes:
    return EXAMPLE_KEY


def splitter(key_of: KeyOf = _example, *, lenient: bool = False) -> Splitter[Frame]:
    """A splitter of a stream into frames.

    `key_of`: MN -> SM4 key of 16 bytes, or None where there is none; without it the key of the standard's example. `lenient`:
    a length that counts characters instead of bytes is forgiven where the checksum fits up to CR LF.

    >>> found = splitter().feed(b"noise##0075QN=1##")
    >>> [(bad.reason, bad.start, bad.resume) for bad in found]
    [('garbage', 0, 5)]
    """
    options = _Options(key_of, lenient)

    def scan(held: bytes, at: int, last: bool) -> tuple[int, Frame | Fault] | None:
        return _scan(held, at, last, options)

    return Splitter(Framing(scan, MARK, _BEGINNING, _START, TAIL, b" \t\r\n\x00"))


def decode(data: bytes, key_of: KeyOf = _example, *, lenient: bool = False) -> list[Frame | Bad]:
    """Frames and errors of bytes that are all there."""
    reader = splitter(key_of, lenient=lenient)
    return reader.feed(data) + reader.flush()


def _scan(held: bytes, at: int, last: bool, options: _Options) -> tuple[int, Frame | Fault] | None:
    digits = held[at + 2 : at + _START]
    if len(digits) < DIGITS:
        return (UNKNOWN, Fault("truncated", "ends within the length")) if last else None
    if not digits.isdigit():
        return UNKNOWN, Fault("bad-length", f"length {digits!r} is not four digits")
    body = at + _START
    end = body + int(digits)
    cut = held.find(TAIL, body, end + DIGITS + 2)
    inner = _begins(held, body, min(cut, end) if cut >= 0 else end)
    if inner >= 0:
        return inner, Fault("truncated", f"another frame begins after {inner - body} of {end - body} bytes")
    if cut >= 0:
        right = cut >= end
        one = _checked(held, at, end, cut, cut + 2, options) if right else _wrong_length(held, at, end, cut, options)
        return cut + 2, one
    return _scan_on(held, at, end, last, options)


def _scan_on(held: bytes, at: int, end: int, last: bool, options: _Options) -> tuple[int, Frame | Fault] | None:
    """No CR LF up to where it is due."""
    body = at + _START
    if len(held) < end:
        return (UNKNOWN, Fault("truncated", f"{len(held) - body} of {end - body} bytes")) if last else None
    if held.find(SEALED, body, end) >= 0:
        return _scan_sealed(held, at, end, last, options)
    return _scan_tailless(held, at, end, last, options)


def _begins(held: bytes, start: int, end: int) -> int:
    """Where a frame begins between two places, or -1. No segment holds a mark and four digits: a frame that seems to was cut off.

    Without this, a flood of starts would be read over and over, each as far as its length says.
    """
    mark = held.find(MARK, start, end)
    match = _BEGINNING.search(held, mark, end) if mark >= 0 else None
    return match.start() if match else -1


def _scan_sealed(held: bytes, at: int, end: int, last: bool, options: _Options) -> tuple[int, Frame | Fault] | None:
    """An encrypted frame: length and checksum are those of the plain segment, so that only CR LF says where it ends."""
    cut = held.find(TAIL, end, at + SEALED_MOST)
    inner = _begins(held, end, cut if cut >= 0 else at + SEALED_MOST)
    if inner >= 0:
        return inner, _unsealed(held, at, end, inner, inner, options)
    if cut >= 0:
        return cut + 2, _unsealed(held, at, end, cut, cut + 2, options)
    if len(held) >= at + SEALED_MOST:
        return UNKNOWN, Fault("bad-length", "an encrypted segment without CR LF")
    if not last:
        return None
    cut = len(held) - held.endswith(b"\r")
    one = _unsealed(held, at, end, cut, cut, options)
    return (UNKNOWN if isinstance(one, Fault) else cut), one


def _unsealed(held: bytes, at: int, end: int, cut: int, stop: int, options: _Options) -> Frame | Fault:
    """The encrypted frame whose checksum ends at `cut`, all of it at `stop`; the same place where CR LF is missing."""
    body, given = at + _START, held[cut - DIGITS : cut]
    segment = _opened(held[body : cut - DIGITS], options)
    if isinstance(segment, bytes) and len(segment) == end - body and _same(given, segment):
        frame = read(segment, given, held[at:stop], encrypted=True)
        if stop == cut and isinstance(frame, Frame):
            frame.tolerated.append("no-tail")
        return frame
    if stop == cut:
        return Fault("truncated", "ends within an encrypted segment")
    if isinstance(segment, Fault):
        return segment
    return Fault("bad-key", "decrypted, neither length nor checksum fit: another key, or damaged")


def _opened(sealed: bytes, options: _Options) -> bytes | Fault:
    """The plain segment of an encrypted one."""
    head, _, area = sealed.partition(b"CP=&&")
    inner, closing, _ = area.rpartition(b"&&")
    mn = _MN.search(head)
    key = options.key_of(mn[1].decode("ascii", "replace") if mn else "")
    if key is None:
        return Fault("no-key", "encrypted, and no key is known for this MN")
    plain = unseal(inner, key) if closing else None
    if plain is None:
        return Fault("bad-segment", "an encrypted data area is {0x..,0x..}, whole blocks of 16 bytes")
    return head + b"CP=&&" + plain + b"&&"


def _scan_tailless(held: bytes, at: int, end: int, last: bool, options: _Options) -> tuple[int, Frame | Fault] | None:
    """No CR LF where it is due: taken when the next frame, or nothing, follows the checksum."""
    match = _CRC_DIGITS.match(held, end)
    cut = match.end() if match else end
    rest = held[cut : cut + 2]
    if len(rest) < len(MARK) and not last:
        return None
    if cut > end and (rest == MARK or (last and rest in (b"", b"\r"))):
        frame = _checked(held, at, end, cut, cut, options)
        if isinstance(frame, Frame):
            frame.tolerated.append("no-tail")
        return cut, frame
    if cut - end == DIGITS and _same(held[end:cut], held[at + _START : end]):
        return UNKNOWN, Fault("bad-tail", f"{rest!r} where CR LF is due")
    return _scan_misplaced(held, at, end, last, options)


def _scan_misplaced(held: bytes, at: int, end: int, last: bool, options: _Options) -> tuple[int, Frame | Fault] | None:
    """No checksum where the length says: the frame ends with the next CR LF, or where another begins."""
    stop = held.find(TAIL, end, end + PIECE)
    inner = _begins(held, end, stop if stop >= 0 else end + PIECE)
    if inner >= 0:
        return inner, Fault("bad-length", f"no checksum after {end - at - _START} bytes, then another frame begins")
    if stop >= 0:
        return stop + 2, _wrong_length(held, at, end, stop, options)
    if len(held) < end + PIECE and not last:
        return None
    return UNKNOWN, Fault("bad-length", "no checksum where the length says it is, and no CR LF after it")


def _checked(held: bytes, at: int, end: int, cut: int, stop: int, options: _Options) -> Frame | Fault:
    """The frame whose segment ends at `end`, its checksum at `cut`, all of it at `stop`; or what is wrong with it."""
    body = at + _START
    segment, given = held[body:end], held[end:cut]
    if given and _same(given, segment):
        if SEALED not in segment:
            return read(segment, given, held[at:stop])
        opened = _opened(segment, options)  # a sender that counts what it sends, not what it means
        return opened if isinstance(opened, Fault) else read(opened, given, held[at:stop], encrypted=True)
    there = held[body : cut - DIGITS]
    if there != segment and (_same(held[cut - DIGITS : cut], there) or there.endswith(b"&&") > segment.endswith(b"&&")):
        return _wrong_length(held, at, end, cut, options)
    facts = {"crc": given.decode("ascii", "replace").upper(), "crc_computed": f"{crc(segment):04X}"}
    return Fault("bad-crc", f"{facts['crc'] or 'none'} given, {facts['crc_computed']} computed", facts)


def _wrong_length(held: bytes, at: int, end: int, cut: int, options: _Options) -> Frame | Fault:
    """A frame that ends elsewhere than its length says; `recoverable` when the checksum fits what is really there."""
    body = at + _START
    segment, given = held[body : cut - DIGITS], held[cut - DIGITS : cut]
    fits = bool(segment) and _same(given, segment)
    characters = {len(segment.decode(code, "replace")) for code in ("gb18030", "utf-8")} if options.lenient else ()
    if fits and end - body in characters:
        frame = read(segment, given, held[at : cut + 2])
        if isinstance(frame, Frame):
            frame.tolerated.append("length-in-characters")
        return frame
    facts = {"length": end - body, "actual_length": len(segment), "recoverable": fits}
    detail = f"{end - body} declared, {len(segment)} found, checksum {'fits' if fits else 'wrong'}"
    return Fault("bad-length", detail, facts)


def _same(given: bytes, segment: bytes) -> bool:
    """Whether the digits as sent (either case, perhaps without leading zeros) are the segment's checksum."""
    return given.upper().rjust(DIGITS, b"0") == b"%04X" % crc(segment)


def encode(header: Mapping[str, object], area: str = "", encoding: str = "utf-8") -> bytes:
    """A frame: header items in the order given, then `CP=&&area&&`. Raises ValueError above 9999 bytes.

    >>> encode({"QN": "20240601085857223", "ST": 32, "CN": 1011, "PW": 123456, "MN": "010000A8900016F000169DC0", "Flag": 9})
    b'##0087QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;Flag=9;CP=&&&&2200\\r\\n'
    """
    items = "".join(f"{name}={value};" for name, value in header.items())
    return wrap(f"{items}CP=&&{area}&&".encode(encoding))


def wrap(segment: bytes) -> bytes:
    """A data segment with length, checksum and tail. Raises ValueError above 9999 bytes."""
    if len(segment) > MOST:
        raise ValueError(f"a segment of {len(segment)} bytes does not fit in four digits")
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc(segment))


def encode_area(cp: Mapping[str, object], factors: Mapping[str, Mapping[str, object]]) -> str:
    """A data area of plain items and factors.

    >>> encode_area({"DataTime": "20160801085857"}, {"w01018": {"Rtd": 2.2, "Flag": "N"}})
    'DataTime=20160801085857;w01018-Rtd=2.2,w01018-Flag=N'
    """
    items = [f"{name}={value}" for name, value in cp.items()]
    items += [",".join(f"{code}-{name}={value}" for name, value in fields.items()) for code, fields in factors.items()]
    return ";".join(items)


def reply(frame: Frame, cn: str, result: int = 1) -> bytes:
    """The answer to a frame, with its QN, PW, MN and edition: 9011 and 9012 with a result, 9013 and 9014 without.

    Results (HJ 212-2017 6.6.5): QnRtn 1 ready, 2 refused, 3 wrong PW …; ExeRtn 1 done, 2 failed …. Raises KeyError on another CN.
    """
    flag = frame.flag
    header = {name: frame.header[name] for name in ("QN",) if name in frame.header} | {"ST": "91", "CN": cn}
    header |= {name: frame.header[name] for name in ("PW", "MN") if name in frame.header}
    header["Flag"] = str((flag.version if flag else 1) << 2)
    name = REPLIES[cn]
    return encode(header, f"{name}={result}" if name else "")


def answer(frame: Frame) -> bytes | None:
    """The reply that `Flag` asks for: 9013 to a notice, 9011 to a request, 9014 to data and heartbeat; none to a reply."""
    cn = frame.header["CN"]
    if frame.flag is None or not frame.flag.wants_reply or cn in REPLIES:
        return None
    if cn in NOTICES:
        return reply(frame, "9013")
    return reply(frame, "9011" if cn.startswith("1") else "9014")


def describe(one: Frame | Bad) -> dict[str, Any]:
    """A frame or an error as one JSON object, as `fengsui decode hj212` prints it."""
    if isinstance(one, Bad):
        return one.describe()
    flag, packet, reply_due = one.flag, one.packet, answer(one)
    about: dict[str, Any] = {"ok": True, "length": one.length, "crc": one.crc, "header": one.header, "flag": None}
    if flag is not None:
        bits = {"version": flag.version, "has_pno": flag.has_pno, "need_ack": flag.wants_reply}
        about["flag"] = {"value": flag.value} | bits
    about |= {"cp": one.cp, "factors": one.factors, "text_encoding": one.encoding, "resent": one.resent}
    about |= {"encrypted": one.encrypted, "duplicate_factor_key": one.duplicates, "tolerated": one.tolerated}
    if packet is not None:
        about |= {"pnum": packet[0], "pno": packet[1], "group": "/".join(one.group)}
    if reply_due is not None:
        about["ack"] = reply_due.decode("utf-8", "replace")
    return about
