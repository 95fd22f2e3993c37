"""The data segment of an HJ 212 frame: text -> header, plain items and factors, with what senders do otherwise.

>>> frame = read(b"ST=32;CN=2011;MN=A1;CP=&&DataTime=20210305003817;w01018-Rtd=2.2,w01018-Flag=N&&", b"0000", b"")
>>> frame.header["MN"], frame.cp["DataTime"], frame.factors
('A1', '20210305003817', {'w01018': {'Rtd': '2.2', 'Flag': 'N'}})
"""

import re
from dataclasses import dataclass, field
from typing import Final

from .stream import Fault

HEADER: Final = ("QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "RF")
HEADER_MOST: Final = 512  # what stands before CP is under 150 characters
LONG: Final = 1024  # the standard's limit; longer segments are seen
DIGITS: Final = 4  # of length and checksum
BYTE: Final = 256
NUMBER_MOST: Final = 9  # digits

_SLASHED: Final = re.compile(r"=//((?:(?!//).)*)//", re.DOTALL)
_PUT_AWAY: Final = re.compile(r"\0(\d+)\0")
_NAMES: Final = frozenset(HEADER)
_CANONICAL: Final = {name.upper(): name for name in HEADER}


@dataclass(frozen=True, slots=True)
class Flag:
    """The bits of `Flag`: edition (0: 2005, 1: 2017, 2: 2025), numbered packets, reply wanted."""

    value: int

    @property
    def version(self) -> int:
        """Bits 7 to 2."""
        return self.value >> 2

    @property
    def has_pno(self) -> bool:
        """Bit 1: PNUM and PNO are there."""
        return bool(self.value & 2)

    @property
    def wants_reply(self) -> bool:
        """Bit 0."""
        return bool(self.value & 1)


@dataclass(slots=True)
class Frame:
    """One frame whose length and checksum are right. Texts are as sent; `factors` is code -> field -> value."""

    length: int
    crc: str
    header: dict[str, str]
    cp: dict[str, str]
    factors: dict[str, dict[str, str]]
    encoding: str
    raw: bytes
    encrypted: bool = False
    duplicates: bool = False
    tolerated: list[str] = field(default_factory=list)

    @property
    def flag(self) -> Flag | None:
        """What `Flag` says; None where it is missing or no number from 0 to 255."""
        value = _number(self.header.get("Flag", ""))
        return Flag(value) if value is not None and value < BYTE else None

    @property
    def resent(self) -> bool:
        """Whether the device says that it sends the data again (2025: RF=1)."""
        return self.header.get("RF", self.cp.get("RF")) == "1"

    @property
    def packet(self) -> tuple[int, int] | None:
        """How many packets the message was split into, and which this is, from 1; None where it is whole."""
        count, number = (_number(self.header.get(name, "")) for name in ("PNUM", "PNO"))
        return None if count is None or number is None else (count, number)

    @property
    def group(self) -> tuple[str, ...]:
        """What the packets of one message have in common: MN, ST, CN, DataTime, PNUM. QN differs between them."""
        names = (self.header.get("MN", ""), self.header.get("ST", ""), self.header.get("CN", ""))
        return (*names, self.cp.get("DataTime", ""), str(self.packet[0]) if self.packet else "")


def read(segment: bytes, given: bytes, raw: bytes, *, encrypted: bool = False) -> Frame | Fault:
    """The frame of a data segment. `given`: its checksum as sent, hexadecimal; `raw`: all of the frame's bytes."""
    text, encoding = _text(segment)
    head, found, area = text.partition("CP=")
    if len(head) > HEADER_MOST:
        return Fault("bad-segment", f"{len(head)} characters before CP")
    checksum = given.decode("ascii").upper().rjust(DIGITS, "0")
    frame = Frame(len(segment), checksum, {}, {}, {}, encoding, raw, encrypted)
    if len(given) < DIGITS:
        frame.tolerated.append("short-crc")
    if len(segment) > LONG:
        frame.tolerated.append("long")
    _read_header(head, frame)
    if not found or "CN" not in frame.header:
        return Fault("bad-segment", "no CP" if "CN" in frame.header else "no CN")
    if area.startswith("&&"):
        inner, closing, after = area[2:].rpartition("&&")
        area = inner if closing else after
        if not closing:
            frame.tolerated.append("no-closing")
    _read_area(area, frame)
    return frame


def _text(segment: bytes) -> tuple[str, str]:
    """Text and its encoding. UTF-8 by the standard, GBK by many devices; a text in neither spoils no figures."""
    if segment.isascii():
        return segment.decode("ascii"), "ascii"
    for encoding in ("utf-8", "gb18030"):
        try:
            return segment.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return segment.decode("gb18030", "backslashreplace"), "unknown"


def _read_header(head: str, frame: Frame) -> None:
    header = frame.header
    for item in head.replace(",", ";").split(";"):
        name, equals, value = item.partition("=")
        if name in _NAMES and equals:
            header[name] = value
        elif item.strip():
            _read_odd_item(name.strip(), value if equals else None, frame)


def _read_odd_item(name: str, value: str | None, frame: Frame) -> None:
    """FLAG, Mn: kept as sent and under the standard's name too. A name that the standard does not know is kept."""
    standard = _CANONICAL.get(name.upper())
    if value is None or not name:
        frame.tolerated.append("stray")
        return
    frame.header[name] = value
    if standard is not None and standard != name:
        frame.header.setdefault(standard, value)
        frame.tolerated.append("header-case")


def _read_area(area: str, frame: Frame) -> None:
    """The data area: `DataTime=…;w01018-Rtd=2.2,w01018-Flag=N`. Keys with a dash are fields of a factor."""
    cp, factors = frame.cp, frame.factors
    for item in _items(area) if "//" in area else area.replace(";", ",").split(","):
        key, equals, value = item.partition("=")
        if not equals:
            if item.strip() and "stray" not in frame.tolerated:
                frame.tolerated.append("stray")
            continue
        code, dash, name = key.partition("-")
        if not dash:
            cp[code.strip()] = value
            continue
        fields = factors.get(code)
        if fields is None:
            fields = factors[code] = {}
        elif name in fields:
            frame.duplicates = True
        fields[name] = value


def _items(area: str) -> list[str]:
    """The items of an area in which texts as `//…//` may hold separators."""
    if "\0" in area:
        return area.replace(";", ",").split(",")
    texts: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        texts.append(match[1])
        return f"=\0{len(texts) - 1}\0"

    items = _SLASHED.sub(put_away, area).replace(";", ",").split(",")
    return [_PUT_AWAY.sub(lambda match: f"//{texts[int(match[1])]}//", item) for item in items]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_MOST else None
