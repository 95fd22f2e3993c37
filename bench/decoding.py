"""How fast the gateway decoders are on one core: `python -m bench.decoding [SECONDS]`. No broker, no sockets."""

import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from typing import Final

from connectors import cloudevents
from connectors.protocols import gat1400, gb26875, hj212

CHUNK: Final = 1 << 16  # as a busy socket gives
ROUNDS: Final = 5
AT: Final = "2026-01-01T00:00:00"
FACTORS: Final = ("a21026", "a21002", "a34013", "a19001", "a00000", "a01011", "a01012")


def real_time(factors: int) -> bytes:
    """A 2011 frame of HJ 212 with so many factors, a value and a flag each."""
    header = {
        "QN": "20260101000000000",
        "ST": 31,
        "CN": 2011,
        "PW": "123456",
        "MN": "010000A8900016F000169DC0",
        "Flag": 5,
    }
    fields = {code: {"Rtd": "12.345", "Flag": "N"} for code in FACTORS[:factors]}
    return hj212.encode(header, hj212.encode_area({"DataTime": "20260101000000"}, fields))


def fire(kind: int, count: int) -> bytes:
    """A frame of GB/T 26875.3 with so many objects of a type."""
    one = {"system_type": 1, "system_addr": 2, "part_type": 40, "part_addr_hex": "d9000600", "status": 2, "time": AT}
    one |= {"description": "A区1层走廊", "analog_type": 3, "analog_raw": 215}
    unit = gb26875.encode_unit(kind, [one] * count)
    return gb26875.encode(7, gb26875.SEND, unit, time=dt.datetime.fromisoformat(AT), source=b"\1" * 6, target=b"\2" * 6)


def faces(count: int) -> bytes:
    """A GA/T 1400 upload of so many faces with a picture each."""
    picture = {
        "ImageID": "1",
        "DeviceID": "2",
        "Type": "11",
        "ShotTime": "20260101000000",
        "StoragePath": "http://x/1.jpg",
    }
    face = {"FaceID": "1", "DeviceID": "2", "LeftTopX": 1, "LeftTopY": 2, "RightBtmX": 3, "RightBtmY": 4}
    face |= {"FaceAppearTime": "20260101000000", "SubImageList": {"SubImageInfoObject": [picture]}}
    return json.dumps({"FaceListObject": {"FaceObject": [face] * count}}).encode()


def batch(count: int) -> bytes:
    """A CloudEvents batch of so many sensor readings."""
    data = {"metric": "temperature", "value": 4.5}
    event = {"specversion": "1.0", "source": "/sensors/7", "type": "fengsui.iot", "time": "2026-01-01T00:00:00Z"}
    event |= {"subject": "licence:1", "datacontenttype": "application/json"}
    return json.dumps([event | {"id": f"reading-{i}", "data": data} for i in range(count)]).encode()


def of_stream(module: object, frame: bytes) -> Callable[[], int]:
    """A pass over a megabyte of one frame, in chunks; gives how many frames came."""
    data = frame * (1_000_000 // len(frame))

    def once() -> int:
        reader = module.splitter()  # type: ignore[attr-defined]
        return sum(len(reader.feed(data[at : at + CHUNK])) for at in range(0, len(data), CHUNK))

    return once


def rate(once: Callable[[], int], seconds: float) -> float:
    """The best of some rounds, in frames a second: other work on the machine only ever slows one down."""
    best = 0.0
    for _ in range(ROUNDS):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / ROUNDS:
            done += once()
        best = max(best, done / (time.perf_counter() - began))
    return best


def main(seconds: float = 2.0) -> None:
    """Print a table. `seconds`: for each line."""
    events = batch(500)
    bodies = faces(10)
    lines: list[tuple[str, Callable[[], int]]] = [
        *((f"HJ 212, {n} factors, {len(real_time(n))} bytes", of_stream(hj212, real_time(n))) for n in (1, 3, 7)),
        *(
            (f"GB/T 26875.3 type {k}, {n} object(s)", of_stream(gb26875, fire(k, n)))
            for k, n in ((21, 1), (2, 1), (3, 4))
        ),
        ("GA/T 1400, faces, 10 a body", lambda: len(gat1400.decode(bodies).items)),  # type: ignore[union-attr]
        (
            "CloudEvents, events, 500 a batch",
            lambda: len(cloudevents.decode({"content-type": cloudevents.BATCH}, events).results),
        ),
    ]
    for name, once in lines:
        print(f"{name:<40} {rate(once, seconds):>10,.0f} /s")


if __name__ == "__main__":
    main(*(float(word) for word in sys.argv[1:2]))
