"""HJ 212: the known frames, what senders do otherwise, and what must be refused."""

from functools import reduce
from typing import Any

import pytest

from connectors.protocols import hj212
from connectors.protocols.crc import crc
from connectors.protocols.hj212 import Frame, decode, describe, encode, encode_area, reply, wrap
from connectors.protocols.sm4 import seal
from connectors.protocols.stream import Bad
from tests.unit.connectors.protocols import vectors

HEADER = {
    "QN": "20240520210700000",
    "ST": "31",
    "CN": "2051",
    "PW": "123456",
    "MN": "010000A8900016F000169DC0",
    "Flag": 9,
}
AREA = (
    "DataTime=20240520210600;a01011-Min=1.35,a01011-Avg=1.35,a01011-Max=1.35,a01011-Flag=N;"
    "a01014-Min=3.20,a01014-Avg=3.20,a01014-Max=3.20,a01014-Flag=N"
)
SEGMENT = b"QN=20160801085857223;ST=32;CN=2011;PW=1;MN=A1;Flag=5;CP=&&DataTime=20160801085857;w01018-Rtd=2.2&&"


def one(data: bytes, **options: Any) -> Frame:
    (frame,) = decode(data, **options)
    assert isinstance(frame, Frame), frame
    return frame


def refused(data: bytes, **options: Any) -> list[str]:
    found = decode(data, **options)
    assert all(isinstance(bad, Bad) for bad in found)
    return [bad.reason for bad in found if isinstance(bad, Bad)]


def by_the_book(segment: bytes) -> int:
    """The checksum as appendix A of the standard writes it, bit by bit."""

    def step(register: int, byte: int) -> int:
        register = (register >> 8) ^ byte
        for _ in range(8):
            register, fell_out = register >> 1, register & 1
            if fell_out:
                register ^= 0xA001
        return register

    return reduce(step, segment, 0xFFFF)


@vectors.needed
def test_vectors() -> None:
    """Each known frame gives its expected values, each bad one is refused with the reason that fits."""
    found = list(vectors.described(hj212, "hj212"))
    for vector, about in found:
        if not vector["valid"]:
            wanted = vector["expected"]
            shown = {
                name: wanted[name] for name in ("crc", "crc_computed", "actual_length", "recoverable") if name in wanted
            }
            assert wanted["error"] == "length" or vectors.contains(shown, about), vector["source"]
    assert found


@vectors.needed
def test_stream_vectors() -> None:
    """Sticky frames, noise, half a frame, a bad frame before a good one, a frame without CR LF."""
    for vector in vectors.load("hj212"):
        if vector["kind"] != "stream":
            continue
        reader, wanted = hj212.splitter(), vector["expected"]
        found = reader.feed(vector["data"])
        frames = [frame for frame in found if isinstance(frame, Frame)]
        assert len(frames) == wanted.get("frames", wanted.get("frames_tolerant"))
        assert [frame.header["CN"] for frame in frames][: len(wanted.get("cns", []))] == wanted.get("cns", [])
        if "keep" in wanted:
            assert reader.held == wanted["keep"]
        if "errors" in wanted:
            assert [bad.reason for bad in found if isinstance(bad, Bad)] == [
                f"bad-{error}" for error in wanted["errors"]
            ]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 1024, 9999])
def test_checksum(size: int) -> None:
    """Folding gives what the standard's loop gives, for every length."""
    segment = bytes((i * 37 + size) % 256 for i in range(size))
    assert crc(segment) == by_the_book(segment)


def test_any_single_wrong_bit_is_found() -> None:
    """No frame with one bit flipped is taken for a frame that says something else."""
    good = wrap(SEGMENT)
    text = one(good).header | one(good).cp | one(good).factors
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        for found in decode(bytes(data)):
            assert isinstance(found, Bad) or text == found.header | found.cp | found.factors


@pytest.mark.parametrize(
    ("data", "tolerated"),
    [
        (wrap(SEGMENT)[:-2], ["no-tail"]),
        (wrap(SEGMENT)[:-1], ["no-tail"]),
        (wrap(SEGMENT).replace(b"&&%04X" % crc(SEGMENT), b"&&%04x" % crc(SEGMENT)), []),
        (wrap(SEGMENT.replace(b"Flag=5", b"FLAG=5")), ["header-case"]),
        (wrap(SEGMENT.replace(b"PW=1;", b"PW=1;,;")), []),
        (wrap(SEGMENT.replace(b"2.2&&", b"2.2,;,&&")), []),
        (wrap(SEGMENT.replace(b"PW=1;", b"PW=1;lost;")), ["stray"]),
        (wrap(SEGMENT[:-2]), ["no-closing"]),
        (wrap(SEGMENT.replace(b"CP=&&", b"CP=&&Info=" + b"x" * 1000 + b";")), ["long"]),
    ],
)
def test_what_senders_do_otherwise(data: bytes, tolerated: list[str]) -> None:
    """It is taken, named, and reads as it should."""
    frame = one(data)
    assert frame.tolerated == tolerated
    assert frame.flag is not None
    assert (frame.flag.value, frame.header["MN"], frame.factors) == (5, "A1", {"w01018": {"Rtd": "2.2"}})


def test_checksum_without_leading_zeros() -> None:
    """Some senders write 0140 as 140."""
    data = b"##0075QN=20260706103512345;ST=91;CN=9014;PW=123456;MN=A110000_0001;Flag=8;CP=&&&&140\r\n"
    assert (one(data).crc, one(data).tolerated) == ("0140", ["short-crc"])
    assert one(data[:-2] + wrap(SEGMENT)[:0]).tolerated == ["short-crc", "no-tail"]


def test_packets() -> None:
    """PNO before PNUM, padded; the packets of one message share MN, ST, CN, DataTime and PNUM."""
    frame = one(encode({"ST": 31, "CN": 2051, "MN": "A1", "PNO": "0001", "PNUM": "0002"}, "DataTime=20230327090000"))
    assert (frame.packet, frame.flag) == ((2, 1), None)
    assert frame.group == ("A1", "31", "2051", "20230327090000", "2")
    about = describe(frame)
    assert (about["pnum"], about["pno"], about["group"]) == (2, 1, "A1/31/2051/20230327090000/2")
    assert describe(one(wrap(SEGMENT))).keys().isdisjoint({"pnum", "pno", "group"})


def test_texts() -> None:
    """UTF-8 as the standard says, GBK as many send; a text between slashes may hold separators; broken text spoils nothing."""
    area = "i11001-Info=//清洗;管路,ok//,i11001-Code=1"
    for encoding, named in (("utf-8", "utf-8"), ("gbk", "gb18030")):
        frame = one(encode(HEADER, area, encoding))
        assert (frame.encoding, frame.factors) == (named, {"i11001": {"Info": "//清洗;管路,ok//", "Code": "1"}})
    broken = one(wrap(b"CN=3020;CP=&&a-Info=\xff\xff;b-Rtd=1&&"))
    assert (broken.encoding, broken.factors["b"]) == ("unknown", {"Rtd": "1"})


def test_odd_areas() -> None:
    """Fields of different factors in one item, repeated fields, equals signs in values, nothing at all."""
    frame = one(encode(HEADER, "DataTime=1,a-Rtd=1,b-Rtd=2;a-Rtd=3;U=x=y"))
    assert (frame.factors, frame.cp, frame.duplicates) == (
        {"a": {"Rtd": "3"}, "b": {"Rtd": "2"}},
        {"DataTime": "1", "U": "x=y"},
        True,
    )
    assert (one(encode(HEADER)).cp, one(encode(HEADER)).factors) == ({}, {})
    assert one(encode(HEADER, "\0" + "0\0=//x//")).factors == {}


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (wrap(SEGMENT).replace(b"2.2", b"2.3"), ["bad-crc"]),
        (wrap(SEGMENT).replace(b"##00", b"##0x"), ["bad-length"]),
        (wrap(SEGMENT).replace(b"PW=1", b"PW=123456"), ["bad-length"]),
        (wrap(SEGMENT).replace(b"PW=1", b"PW="), ["bad-length"]),
        (wrap(SEGMENT)[:-2] + b"zz", ["bad-tail"]),
        (wrap(SEGMENT)[:-6] + b"\r\n", ["bad-crc"]),
        (wrap(SEGMENT)[:-6] + b"wxyz\r\n", ["bad-crc"]),
        (wrap(SEGMENT)[:40], ["truncated"]),
        (b"##00", ["truncated"]),
        (b"noise", ["garbage"]),
        (wrap(b"QN=1;ST=32;MN=A1;CP=&&&&"), ["bad-segment"]),
        (wrap(b"QN=1;ST=32;CN=2011;MN=A1"), ["bad-segment"]),
        (wrap(b"PW=" + b"x" * 600 + b";CN=2011;CP=&&&&"), ["bad-segment"]),
        (wrap(b""), ["bad-segment"]),
    ],
)
def test_what_is_refused(data: bytes, reasons: list[str]) -> None:
    """Each with its own reason; a good frame behind it is found."""
    assert refused(data) == reasons
    after = decode(data + wrap(SEGMENT))
    assert isinstance(after[-1], Frame)
    assert sum(isinstance(found, Frame) for found in after) == 1


def test_blanks_between_frames_are_no_error() -> None:
    """Line ends that a terminal or a file adds."""
    assert [type(found) for found in decode(b"\r\n" + wrap(SEGMENT) + b"\r\n\n" + wrap(SEGMENT) + b"\n")] == [
        Frame,
        Frame,
    ]


def test_a_frame_inside_a_cut_one_is_found() -> None:
    """A connection that broke within a frame costs that frame only."""
    whole = wrap(SEGMENT)
    for cut in range(3, len(whole) - 7):
        found = decode(whole[:cut] + whole)
        assert [type(one) for one in found] == [Bad, Frame], cut
        assert isinstance(found[0], Bad)
        assert (found[0].start, found[0].resume) == (0, cut)


def test_length_in_characters() -> None:
    """Refused, and named recoverable; taken where leniency is asked for, but never with a wrong checksum."""
    segment = "CN=3020;MN=A1;CP=&&i1-Info=//清洗//&&".encode("gbk")
    data = wrap(segment).replace(b"##%04d" % len(segment), b"##%04d" % len(segment.decode("gbk")))
    assert refused(data) == ["bad-length"]
    assert describe(decode(data)[0])["recoverable"] is True
    assert one(data, lenient=True).tolerated == ["length-in-characters"]
    assert refused(data.replace(b"CN=3020", b"CN=3021"), lenient=True) == ["bad-length"]


def sealed(key: bytes) -> bytes:
    plain = encode(HEADER, AREA)
    return plain.replace(AREA.encode(), seal(AREA.encode(), key))


def test_encrypted() -> None:
    """2025: whole blocks by SM4-ECB, length and checksum of the plain text; key by MN; the standard's example, block by block."""
    data = sealed(b"0" * 16)
    assert data[:6] == b"##0234"
    assert b"{0xE4,0x3E,0x15,0x9A,0xCF,0xAB,0x24,0x2C" in data
    assert data.endswith(b",0x0D,0x03,0xA4}g=N&&B541\r\n")
    frame, plain = one(data), one(encode(HEADER, AREA))
    assert frame.encrypted
    assert (frame.cp, frame.factors, frame.crc) == (plain.cp, plain.factors, "B541")
    own = sealed(b"k" * 16)
    assert one(own, key_of={HEADER["MN"]: b"k" * 16}.get).factors == plain.factors
    assert refused(own) == ["bad-key"]
    assert refused(own, key_of=lambda _mn: None) == ["no-key"]
    assert refused(data.replace(b",0xA4}", b"}")) == ["bad-segment"]
    assert refused(data[:300]) == ["truncated"]
    for behind, count in ((b"", 1), (b"\r", 1), (data, 2)):  # CR LF is missing here too
        assert [one.tolerated for one in decode(data[:-2] + behind) if isinstance(one, Frame)] == [["no-tail"], []][
            :count
        ]
    assert refused(data[:300] + data[:300]) == ["truncated", "truncated"]
    counted = wrap(data[6:-6])  # a sender that counts the bytes that it sends
    assert one(counted).factors == plain.factors


def test_replies() -> None:
    """Data is answered with 9014, a request with 9011, a clock notice with 9013, a reply with nothing; in the frame's edition."""
    whole = one(wrap(SEGMENT))
    assert hj212.answer(whole) == wrap(b"QN=20160801085857223;ST=91;CN=9014;PW=1;MN=A1;Flag=4;CP=&&&&")
    assert reply(whole, "9012", 2) == wrap(b"QN=20160801085857223;ST=91;CN=9012;PW=1;MN=A1;Flag=4;CP=&&ExeRtn=2&&")
    answers = {cn: hj212.answer(one(encode(HEADER | {"CN": cn}))) for cn in ("9015", "1013", "1011", "9014", "3020")}
    answered = {cn: one(data).header["CN"] if data else None for cn, data in answers.items()}
    assert answered == {"9015": "9014", "1013": "9013", "1011": "9011", "9014": None, "3020": "9014"}
    assert hj212.answer(one(encode(HEADER | {"Flag": 8}))) is None
    assert hj212.answer(one(encode({"CN": 2011}))) is None
    with pytest.raises(KeyError):
        reply(whole, "2011")


def test_resent() -> None:
    """2025: RF=1 says that the data comes again; without it, it does not."""
    assert one(encode(HEADER | {"RF": 1})).resent
    assert not one(encode(HEADER)).resent


def test_encoding_has_a_limit() -> None:
    """Four digits of length."""
    with pytest.raises(ValueError, match="does not fit"):
        encode(HEADER, encode_area({"Info": "x" * 9999}, {}))
