"""Laws of the gateway decoders: whatever comes is answered, however it is split; what is encoded comes back."""

import datetime as dt
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.protocols import gat1400, gb26875, hj212
from connectors.protocols.gat1400_objects import ENVELOPES
from connectors.protocols.gb26875_unit import encode_unit
from connectors.protocols.sm4 import EXAMPLE_KEY, seal
from connectors.protocols.stream import Bad, Splitter
from fengsui.cli.gateway import gat1400_bodies
from topics.reasons import REASONS

NOW = dt.datetime(2021, 7, 2, 9, 0, 5)
AT = "2021-07-02T09:00:04"
MOST_HELD = 60_000
HEADER = {"QN": "20240520210700000", "ST": "31", "CN": "2051", "PW": "1", "MN": "A1", "Flag": 9}
SEALED_AREA = "DataTime=20240520210600;a01011-Rtd=1.35"
HJ212 = [
    hj212.encode(HEADER, "DataTime=20240520210600;a01011-Rtd=1.35,a01011-Flag=N"),
    hj212.encode(HEADER, "i11001-Info=//清洗,管路//", "gbk"),
    hj212.encode(HEADER, "a=1")[:-2],
    hj212.encode(HEADER, "a=1").replace(b"##00", b"##01"),
    hj212.encode(HEADER, SEALED_AREA).replace(SEALED_AREA.encode(), seal(SEALED_AREA.encode(), EXAMPLE_KEY)),
    b"##0080QN=1;ST=31;CN=2051;MN=A1;Flag=9;CP=&&{0xE4,0x3E,0x15,0x9A,0xCF,0xAB,0x24,0x2C}&&1234\r\n",
]
GB26875 = [
    gb26875.encode(1, 2, unit, time=NOW, source=b"@@##@@", target=b"\x01" * 6, order=order)
    for order in ("little", "big")
    for unit in (b"", encode_unit(21, [{"status": 8, "time": AT}], order), encode_unit(28, [{"time": AT}] * 3, order))
]


def streams(frames: list[bytes], marks: list[bytes]) -> st.SearchStrategy[bytes]:
    """Frames, parts of frames, flipped frames, marks and noise, one behind the other."""
    whole = st.sampled_from(frames)
    part = st.builds(lambda frame, cut: frame[: cut % len(frame)], whole, st.integers(0, 2**16))
    flipped = st.builds(_flip, whole, st.lists(st.integers(0, 2**16), min_size=1, max_size=4))
    return st.lists(whole | part | flipped | st.sampled_from(marks) | st.binary(max_size=20), max_size=8).map(b"".join)


def _flip(frame: bytes, bits: list[int]) -> bytes:
    data = bytearray(frame)
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)


CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
HJ212_STREAMS = streams(HJ212, [b"##", b"#", b"\r\n", b"##0101", b"&&", b"&&{0x", b"##0000FFFF\r\n"])
GB26875_STREAMS = streams(GB26875, [b"@@", b"@", b"##", bytes(26), b"@@" + bytes(22) + b"\0\4"])


def read(reader: Splitter[Any], data: bytes, cuts: list[int]) -> list[Any]:
    """What a stream gives that comes in pieces of these sizes, again and again."""
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += reader.feed(data[at : at + size])
        assert reader.held <= MOST_HELD
        at, turn = at + size, turn + 1
    return found + reader.flush()


def check(protocol: Any, data: bytes, cuts: list[int]) -> None:
    whole = protocol.decode(data)
    assert read(protocol.splitter(), data, cuts) == whole
    place = 0
    for one in whole:
        if isinstance(one, Bad):
            assert one.reason in REASONS
            assert (data[one.start : one.resume], one.start >= place) == (one.raw, True)
            place = one.resume
        json.dumps(protocol.describe(one), ensure_ascii=False).encode()


@given(HJ212_STREAMS | st.binary(max_size=200), CUTS)
def test_hj212_streams(data: bytes, cuts: list[int]) -> None:
    """Any split gives the same frames and errors; each error is known and in its place; all of it can be printed."""
    check(hj212, data, cuts)


@given(GB26875_STREAMS | st.binary(max_size=200), CUTS)
def test_gb26875_streams(data: bytes, cuts: list[int]) -> None:
    """The same, and no byte is lost: frames and errors together are the stream."""
    check(gb26875, data, cuts)
    assert b"".join(one.raw for one in gb26875.decode(data)) == data


@given(st.sampled_from(HJ212[:2]), st.lists(st.integers(0, 2**16), min_size=1, max_size=6))
def test_hj212_flips(frame: bytes, bits: list[int]) -> None:
    """Flipped bits raise nothing, and a frame behind them is found."""
    found = hj212.decode(_flip(frame, bits) + frame)
    assert [one.raw for one in found if isinstance(one, hj212.Frame)][-1:] == [frame]


@given(st.sampled_from(GB26875), st.lists(st.integers(0, 2**16), min_size=1, max_size=6))
def test_gb26875_flips(frame: bytes, bits: list[int]) -> None:
    """Flipped bits raise nothing, and a frame behind them is found, unless they forge a frame that reaches into it.

    One byte of checksum is met by chance: nothing in the bytes tells such a frame from a true one.
    """
    taken = [one.raw for one in gb26875.decode(_flip(frame, bits) + frame) if isinstance(one, gb26875.Frame)]
    assert frame in taken or any(len(raw) > len(frame) for raw in taken)


VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=";,=&\r\n/#\0"), max_size=12)
CODES = st.from_regex(r"[a-z][0-9]{5}", fullmatch=True)
FIELDS = st.dictionaries(
    st.sampled_from(["Rtd", "Min", "Avg", "Max", "ZsAvg", "Flag", "EFlag", "Info"]), VALUES, min_size=1
)


@given(
    st.dictionaries(st.sampled_from(["DataTime", "PolId", "RtdInterval"]), VALUES),
    st.dictionaries(CODES, FIELDS, max_size=4),
)
def test_hj212_comes_back(cp: dict[str, str], factors: dict[str, dict[str, str]]) -> None:
    """What is encoded is decoded: header, plain items, factors, any text."""
    (frame,) = hj212.decode(hj212.encode(HEADER, hj212.encode_area(cp, factors)))
    assert isinstance(frame, hj212.Frame)
    assert (frame.header, frame.cp, frame.factors) == ({**HEADER, "Flag": "9"}, cp, factors)
    assert frame.tolerated in ([], ["long"])


BYTE, TIMES = (
    st.integers(0, 255),
    st.none()
    | st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2255, 12, 31)).map(
        lambda time: time.replace(microsecond=0).isoformat()
    ),
)
SYSTEM = {"system_type": BYTE, "system_addr": BYTE}
PART = SYSTEM | {"part_type": BYTE, "part_addr_hex": st.binary(min_size=4, max_size=4).map(bytes.hex)}
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z", "Co", "Cn")), max_size=7)
KINDS: dict[int, dict[str, st.SearchStrategy[Any]]] = {
    1: SYSTEM | {"status": st.integers(0, 65535)},
    2: PART | {"status": st.integers(0, 65535), "description": TEXTS},
    3: PART | {"analog_type": BYTE, "analog_raw": st.integers(-32768, 32767)},
    4: SYSTEM | {"operation": BYTE, "operator": BYTE},
    21: {"status": BYTE},
    24: {"operation": BYTE, "operator": BYTE},
    28: {},
}
UNITS = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.fixed_dictionaries(KINDS[kind] | {"time": TIMES}), min_size=1, max_size=4)
    )
)
ADDRESSES = st.binary(min_size=6, max_size=6)


@given(UNITS, st.integers(0, 65535), ADDRESSES, ADDRESSES, st.sampled_from(["little", "big"]))
def test_gb26875_comes_back(unit: tuple[int, Any], sequence: int, source: bytes, target: bytes, order: Any) -> None:
    """What is encoded is decoded: sequence, addresses, objects of each type, any time, in either byte order."""
    kind, objects = unit
    data = gb26875.encode(
        sequence, 2, encode_unit(kind, objects, order), time=NOW, source=source, target=target, order=order
    )
    (frame,) = gb26875.decode(data)
    assert isinstance(frame, gb26875.Frame)
    assert (frame.sequence, frame.source, frame.target, frame.order) == (sequence, source, target, order)
    assert [{name: one[name] for name in wanted} for one, wanted in zip(frame.objects, objects, strict=True)] == objects


MEMBERS = [
    "FaceObject",
    "FaceID",
    "DeviceID",
    "SubImageList",
    "SubImageInfoObject",
    "PassTime",
    "ShotTime",
    "Data",
    "Width",
]
MEMBERS += ["NotificationID", "FaceObjectList", "ImageInfo", "Image", "TriggerTime", "InfoIDs", "LeftTopX"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("20200203153415")
KEYS = st.sampled_from(MEMBERS) | st.text(max_size=5)
JSON: st.SearchStrategy[Any] = st.deferred(
    lambda: LEAVES | st.lists(JSON, max_size=3) | st.dictionaries(KEYS, JSON, max_size=4)
)
BODIES = st.dictionaries(st.sampled_from(sorted(ENVELOPES)) | st.text(max_size=12), JSON, max_size=2)


@given(st.binary(max_size=200) | BODIES.map(lambda body: json.dumps(body).encode()))
def test_gat1400_bodies(body: bytes) -> None:
    """Any body is answered, with a known reason where it is refused, and the answer can be printed; so does the command."""
    answers = [gat1400.describe(gat1400.decode(body)), *gat1400_bodies([body])]
    for answer in answers:
        assert answer["ok"] or answer["reason"] in REASONS
        json.dumps(answer, ensure_ascii=False).encode()
    message = gat1400.decode(body)
    if isinstance(message, gat1400.Message):
        gat1400.response_status_list("/VIID/Faces", message.items, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_authorization_headers(header: bytes) -> None:
    """Any header is answered."""
    for answer in gat1400_bodies([b"Digest " + header]):
        json.dumps(answer, ensure_ascii=False).encode()
