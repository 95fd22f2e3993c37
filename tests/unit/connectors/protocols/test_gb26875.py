"""GB/T 26875.3: the known frames, odd vendors, and what must be refused."""

import datetime as dt
from typing import Any

import pytest

from connectors.protocols import gb26875
from connectors.protocols.gb26875 import (
    CONFIRM,
    DENY,
    SEND,
    Frame,
    confirm,
    decode,
    deny,
    describe,
    encode,
    encode_unit,
)
from connectors.protocols.stream import Bad
from tests.unit.connectors.protocols import vectors

NOW = dt.datetime(2021, 7, 2, 9, 0, 5)
AT = "2021-07-02T09:00:04"
PART = {"system_type": 1, "system_addr": 3, "part_type": 40, "part_addr_hex": "d9000600"}
OBJECTS: dict[int, dict[str, Any]] = {
    1: {"system_type": 1, "system_addr": 2, "status": 516, "time": AT},
    2: PART | {"part_addr": 393433, "status": 2, "description": "Ａ区１层呷哺走廊", "time": AT},
    3: PART
    | {"part_addr": 393433, "analog_type": 3, "analog_raw": -105, "metric": "temperature", "time": AT}
    | {"value": -10.5, "unit": "℃"},
    4: {"system_type": 1, "system_addr": 2, "operation": 3, "operator": 9, "time": AT},
    21: {"status": 8, "time": AT},
    24: {"operation": 128, "operator": 1, "time": AT},
    28: {"time": AT},
}


def frame_of(unit: bytes = b"", **changes: Any) -> bytes:
    given: dict[str, Any] = {"time": NOW, "source": b"\5\4\3\2\1\0", "target": b"\x0b\x0a\x09\x08\x07\x06"}
    return encode(2, SEND, unit, **given | changes)


def one(data: bytes) -> Frame:
    (frame,) = decode(data)
    assert isinstance(frame, Frame), frame
    return frame


@vectors.needed
def test_vectors() -> None:
    """Each known frame gives its expected values, each bad one is refused with the reason that fits."""
    assert list(vectors.described(gb26875, "gb26875"))


@vectors.needed
def test_stream_vectors() -> None:
    """An odd mark byte before a frame, then half a frame."""
    for vector in vectors.load("gb26875"):
        if vector["kind"] == "stream":
            reader, wanted = gb26875.splitter(), vector["expected"]
            frames = [frame for frame in reader.feed(vector["data"]) if isinstance(frame, Frame)]
            assert [frame.unit.type for frame in frames if frame.unit] == wanted["types"]
            assert (len(frames), reader.held) == (wanted["frames"], wanted["keep"])


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("order", ["little", "big"])
def test_each_type(kind: int, order: Any) -> None:
    """Each type comes back as it was encoded, several objects in one unit, in either byte order."""
    wanted = OBJECTS[kind] | ({"part_addr": 0xD9000600} if order == "big" and kind in (2, 3) else {})
    unit = encode_unit(kind, [wanted, wanted], order)
    frame = one(frame_of(unit, order=order))
    assert frame.objects == [wanted, wanted]
    assert frame.unit is not None
    assert (frame.unit.type, frame.unit.count, frame.unit.mismatch) == (kind, 2, False)
    assert (frame.order, frame.sequence) == (order, 2)


def test_sizes_of_objects() -> None:
    """As the standard gives them."""
    sizes = {kind: len(encode_unit(kind, [wanted])) - 2 for kind, wanted in OBJECTS.items()}
    assert sizes == {1: 10, 2: 46, 3: 16, 4: 10, 21: 7, 24: 8, 28: 6}


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 21, 24])
def test_objects_without_time(kind: int) -> None:
    """Nothing is made up: no objects, the bytes, and what they would say."""
    without = {name: value for name, value in OBJECTS[kind].items() if name != "time"}
    unit = encode_unit(kind, [OBJECTS[kind]])[:-6]
    about = describe(one(frame_of(unit)))
    assert (about["objects"], about["untimed"], about["object_size_mismatch"]) == ([], [without], True)
    assert about["objects_hex"] == unit[2:].hex()


@pytest.mark.parametrize("unit", [b"\x01", b"\x01\x05", b"\x15\x01", b"\x1c\x02" + bytes(6), b"\x02\x01" + bytes(45)])
def test_sizes_that_do_not_fit(unit: bytes) -> None:
    """A unit shorter or longer than its count says is told, not guessed at."""
    about = describe(one(frame_of(unit)))
    assert (about["ok"], about["objects"], about["object_size_mismatch"]) == (True, [], True)


def test_other_types_keep_their_bytes() -> None:
    """Types that are not decoded."""
    about = describe(one(frame_of(b"\x59\x01\x00")))
    assert (about["type"], about["count"], about["objects"], about["objects_hex"]) == (0x59, 1, [], "00")
    assert "object_size_mismatch" not in about


@pytest.mark.parametrize("stamp", [bytes(6), bytes([5, 0, 9, 31, 2, 21]), bytes([60, 0, 9, 1, 1, 21]), b"\xff" * 6])
def test_times_that_are_none(stamp: bytes) -> None:
    """Zeros and impossible dates give no time, and the frame is taken."""
    data = bytearray(frame_of(b"\x15\x01\x08" + stamp))
    data[6:12] = stamp
    data[-3] = sum(data[2:-3]) & 0xFF
    about = describe(one(bytes(data)))
    assert (about["timestamp"], about["timestamp_hex"], about["objects"][0]["time"]) == (None, stamp.hex(), None)


def test_descriptions() -> None:
    """NUL ends them; a character that the 31 bytes cut off is dropped."""
    text = ("走" * 15).encode("gb18030") + b"\xd7"
    unit = encode_unit(2, [OBJECTS[2]])
    cut = unit.replace("Ａ区１层呷哺走廊".encode("gb18030").ljust(31, b"\0"), text)
    assert one(frame_of(cut)).objects[0]["description"] == "走" * 15
    with pytest.raises(ValueError, match="does not fit"):
        encode_unit(2, [OBJECTS[2] | {"description": "走" * 16}])


def test_any_single_wrong_bit_is_found() -> None:
    """No frame with one bit flipped is taken."""
    good = frame_of(encode_unit(2, [OBJECTS[2]]))
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        assert not any(isinstance(found, Frame) for found in decode(bytes(data))), bit


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-3] + bytes((data[-3] ^ 1,)) + b"##", "bad-checksum"),
        (lambda data: data[:-1] + b"\x13", "bad-tail"),
        (lambda data: data[:24] + b"\x00\x04" + data[26:], "truncated"),
        (lambda data: data[:24] + b"\xff\xff" + data[26:], "bad-length"),
        (lambda data: data[:20], "truncated"),
        (lambda data: data[:-4], "truncated"),
        (lambda data: data[1:], "garbage"),
    ],
)
def test_what_is_refused(change: Any, reason: str) -> None:
    """Each with its own reason; the frames behind it are found."""
    good = frame_of(encode_unit(21, [OBJECTS[21]]))
    found = decode(change(good))
    assert isinstance(found[0], Bad)
    assert found[0].reason == reason
    assert not any(isinstance(one, Frame) for one in found)
    after = decode(change(good) + good * 40)
    assert sum(isinstance(one, Frame) for one in after) == 40


def test_marks_inside_a_frame() -> None:
    """Data may hold the marks."""
    unit = encode_unit(4, [{"system_type": 0x40, "system_addr": 0x40, "operation": 0x23, "operator": 0x23, "time": AT}])
    good = frame_of(unit, source=b"@@@@##", target=b"##@@@@")
    assert [type(found) for found in decode(good * 3)] == [Frame] * 3


def test_a_stray_mark_byte_costs_nothing() -> None:
    """Reading goes on one byte later, not two."""
    good = frame_of(encode_unit(21, [OBJECTS[21]]))
    for count in range(1, 6):
        found = decode(b"@" * count + good)
        assert isinstance(found[-1], Frame)
        assert b"".join(bad.raw for bad in found if isinstance(bad, Bad)) == b"@" * count


def test_replies() -> None:
    """A confirmation has the sequence and version of its frame, the addresses exchanged, and 30 bytes."""
    frame = one(frame_of(encode_unit(21, [OBJECTS[21]]), version=(1, 7)))
    for answer, command in ((confirm(frame, NOW), CONFIRM), (deny(frame, NOW), DENY)):
        back = one(answer)
        assert (len(answer), back.command, back.sequence, back.version) == (30, command, 2, (1, 7))
        assert (back.source, back.target, back.unit) == (frame.target, frame.source, None)
    big = one(frame_of(encode_unit(21, [OBJECTS[21]], "big"), order="big"))
    assert confirm(big, NOW)[2:4] == b"\0\2"


def test_encoding_has_limits() -> None:
    """1024 bytes of a unit, 6 of an address."""
    with pytest.raises(ValueError, match="1024"):
        frame_of(bytes(1025))
    with pytest.raises(ValueError, match="address"):
        frame_of(source=b"1")
    assert one(frame_of(b"\x59" + bytes(1023))).length == 1024
