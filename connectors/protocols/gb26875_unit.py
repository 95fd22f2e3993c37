"""The application unit of a GB/T 26875.3 frame: type, count, information objects, each with its time.

>>> read_unit(bytes.fromhex("1501" "08" "040009020715"), "little").objects
[{'status': 8, 'time': '2021-07-02T09:00:04'}]
"""

import codecs
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final, Literal

Order = Literal["little", "big"]
Object = dict[str, Any]
TIME: Final = 6
TEXT: Final = 31

# Type of analogue value -> metric, unit, how many of the raw value are one (table 模拟量类型 of the standard).
ANALOGUE: Final[dict[int, tuple[str, str, int]]] = {
    1: ("count", "", 1),
    2: ("height", "m", 100),
    3: ("temperature", "℃", 10),
    4: ("pressure", "MPa", 10),
    5: ("pressure", "kPa", 10),
    6: ("gas", "%LEL", 10),
    7: ("time", "s", 1),
    8: ("voltage", "V", 10),
    9: ("current", "A", 10),
    10: ("flow", "L/s", 10),
    11: ("air-flow", "m³/min", 10),
    12: ("wind-speed", "m/s", 1),
}


@dataclass(slots=True)
class Unit:
    """Type, count, objects. `content`: their bytes as sent; `mismatch`: they are not as many bytes as type and count say.

    `untimed`: the objects of senders that leave the times out; `objects` is empty then.
    """

    type: int
    count: int
    objects: list[Object]
    content: bytes
    known: bool
    mismatch: bool = False
    untimed: list[Object] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """As members of a JSON object."""
        about: dict[str, Any] = {"type": self.type, "count": self.count, "objects": self.objects}
        if self.mismatch:
            about |= {"object_size_mismatch": True, "untimed": self.untimed}
        if self.mismatch or not self.known:
            about["objects_hex"] = self.content.hex()
        return about


def iso(stamp: bytes) -> str | None:
    """Second, minute, hour, day, month, year - 2000 as local time; None where it is no time, as six zeros are not.

    >>> iso(bytes([5, 0, 9, 2, 7, 21])), iso(bytes(6))
    ('2021-07-02T09:00:05', None)
    """
    second, minute, hour, day, month, year = stamp
    try:
        return dt.datetime(2000 + year, month, day, hour, minute, second).isoformat()
    except ValueError:
        return None


def stamp(time: dt.datetime | None) -> bytes:
    """The six bytes of a local time, 2000 to 2255; zeros for None."""
    if time is None:
        return bytes(TIME)
    return bytes((time.second, time.minute, time.hour, time.day, time.month, time.year - 2000))


def text_of(field_bytes: bytes) -> str:
    """A GB 18030 text padded with NUL. A character cut off at the end is dropped, a broken one inside replaced.

    >>> text_of("走廊".encode("gb18030") + b"\\xd7" + bytes(26))
    '走廊'
    """
    return codecs.getincrementaldecoder("gb18030")("replace").decode(field_bytes.split(b"\0", 1)[0]).rstrip()


def _part(address: bytes, order: Order) -> Object:
    return {"part_addr": int.from_bytes(address, order), "part_addr_hex": address.hex()}


def _system_state(values: tuple[Any, ...], _order: Order) -> Object:
    return {"system_type": values[0], "system_addr": values[1], "status": values[2]}


def _part_state(values: tuple[Any, ...], order: Order) -> Object:
    head = {"system_type": values[0], "system_addr": values[1], "part_type": values[2]} | _part(values[3], order)
    return head | {"status": values[4], "description": text_of(values[5])}


def _analogue(values: tuple[Any, ...], order: Order) -> Object:
    head = {"system_type": values[0], "system_addr": values[1], "part_type": values[2]} | _part(values[3], order)
    one: Object = head | {"analog_type": values[4], "analog_raw": values[5]}
    if values[4] in ANALOGUE:
        metric, unit, scale = ANALOGUE[values[4]]
        one |= {"metric": metric, "value": values[5] / scale, "unit": unit}
    return one


def _operation(values: tuple[Any, ...], _order: Order) -> Object:
    return {"system_type": values[0], "system_addr": values[1], "operation": values[2], "operator": values[3]}


def _device_state(values: tuple[Any, ...], _order: Order) -> Object:
    return {"status": values[0]}


def _device_operation(values: tuple[Any, ...], _order: Order) -> Object:
    return {"operation": values[0], "operator": values[1]}


def _clock(_values: tuple[Any, ...], _order: Order) -> Object:
    return {}


Reader = Callable[[tuple[Any, ...], Order], Object]
# Type -> layout of an object before its time, and what its values mean; for writing, the names in order.
LAYOUTS: Final[dict[int, tuple[str, Reader, tuple[str, ...]]]] = {
    1: ("BBH", _system_state, ("system_type", "system_addr", "status")),
    2: (
        "BBB4sH31s",
        _part_state,
        ("system_type", "system_addr", "part_type", "part_addr_hex", "status", "description"),
    ),
    3: (
        "BBB4sBh",
        _analogue,
        ("system_type", "system_addr", "part_type", "part_addr_hex", "analog_type", "analog_raw"),
    ),
    4: ("BBBB", _operation, ("system_type", "system_addr", "operation", "operator")),
    21: ("B", _device_state, ("status",)),
    24: ("BB", _device_operation, ("operation", "operator")),
    28: ("", _clock, ()),
}
_STRUCTS: Final = {
    (kind, order): (Struct(f"{sign}{layout}6s"), Struct(f"{sign}{layout}"), reader)
    for kind, (layout, reader, _) in LAYOUTS.items()
    for order, sign in (("little", "<"), ("big", ">"))
}


def read_unit(unit: bytes, order: Order) -> Unit:
    """An application unit of at least one byte. Types that are not decoded keep their bytes; so does what does not fit."""
    kind, content = unit[0], unit[2:]
    count = unit[1] if len(unit) > 1 else 0
    found = _STRUCTS.get((kind, order))
    if found is None:
        return Unit(kind, count, [], content, known=False)
    timed, untimed, reader = found
    if len(content) == count * timed.size and len(unit) > 1:
        objects = []
        for values in timed.iter_unpack(content):
            one = reader(values, order)
            one["time"] = iso(values[-1])
            objects.append(one)
        return Unit(kind, count, objects, content, known=True)
    without = []
    if untimed.size and len(content) == count * untimed.size:
        without = [reader(values, order) for values in untimed.iter_unpack(content)]
    return Unit(kind, count, [], content, known=True, mismatch=True, untimed=without)


def encode_unit(kind: int, objects: Sequence[Mapping[str, Any]], order: Order = "little") -> bytes:
    """An application unit of one of the types 1, 2, 3, 4, 21, 24, 28: objects with the keys that decoding gives.

    Raises KeyError on another type or a missing key, `struct.error` and ValueError on values that do not fit.
    """
    names = LAYOUTS[kind][2]
    layout = _STRUCTS[kind, order][0]
    packed = [layout.pack(*(_raw(name, one[name]) for name in names), stamp(_time(one["time"]))) for one in objects]
    return bytes((kind, len(packed))) + b"".join(packed)


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _raw(name: str, value: Any) -> Any:
    if name == "part_addr_hex":
        return bytes.fromhex(value)
    if name != "description":
        return value
    text = value.encode("gb18030")
    if len(text) > TEXT:
        raise ValueError(f"a description of {len(text)} bytes does not fit in {TEXT}")
    return text
