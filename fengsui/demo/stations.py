"""The city's sensors and cameras on the wire: each event is said by its device in its own protocol, until it is answered."""

import asyncio
import contextlib
import datetime as dt
import json
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final, TypeVar

import polars as pl

from connectors.devices.clock import CHINA, digits
from connectors.mqttlink import Address
from connectors.protocols import gb26875, hj212
from connectors.simulate import gb26875 as fire
from connectors.simulate import hj212 as station
from connectors.simulate.fleet import Fleet
from connectors.simulate.gat1400 import Camera
from connectors.simulate.mqtt import TOPIC, Publisher
from fengsui.demo import devices
from fengsui.demo.devices import protocol_of
from fengsui.engine import Engine

T = TypeVar("T")
LINES: Final = 8  # connections a protocol
ANSWER_SECONDS: Final = 120.0
_UPLOAD: Final = 50  # findings a body
_FAULT, _SHIELDED = 1 << 2, 1 << 3
_PICTURE_BYTES: Final = 2_000


class Stations:
    """Connections of the city's devices, in an event loop of their own. Its methods are called from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, numbers: Mapping[str, int]) -> None:
        """`numbers`: device id -> its number in the city, which is its address."""
        self._loop, self._numbers = loop, numbers
        self._sequence = 0
        self._lines: dict[str, Fleet] = {}
        self._publishers: list[Publisher] = []
        self._platform: Camera
        self._accepted: Callable[[], int] = lambda: 0
        self._published = 0

    async def connect(
        self, running: Engine, broker: Address, accepted: Callable[[], int], stack: AsyncExitStack
    ) -> None:
        """Every line at once. `accepted`: how many MQTT messages the gateway says that Kafka has."""
        speakers: dict[str, Any] = {"hj212": station.Speaker(), "gb26875": fire.Speaker()}
        for name, speaker in speakers.items():
            self._lines[name] = Fleet(speaker, ("127.0.0.1", running.ports[name]), LINES, 1.0)
            stack.callback(self._lines[name].close)
        await asyncio.gather(*(fleet.connect() for fleet in self._lines.values()))
        for i in range(LINES):
            self._publishers.append(await stack.enter_async_context(Publisher(broker, f"city-{i}")))
        self._accepted = accepted
        self._platform = await stack.enter_async_context(
            Camera(running.http_url, devices.PLATFORM, devices.PLATFORM_PASSWORD)
        )
        await self._platform.register()

    def send(self, readings: pl.DataFrame) -> None:
        """Readings of devices that speak HJ 212, GB/T 26875.3 or MQTT; returns when Kafka has all. Raises TimeoutError."""
        self._call(self._send(readings.to_dicts()))

    def show(self, sightings: pl.DataFrame) -> None:
        """Findings of cameras, with their pictures; returns when Kafka has all. Raises CameraError."""
        self._call(self._show(sightings.to_dicts()))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _send(self, readings: Iterable[Mapping[str, Any]]) -> None:
        parts: list[list[tuple[str, bytes]]] = [[] for _ in self._publishers]
        for one in readings:
            protocol, number = protocol_of(one["sector"], one["metric"]), self._numbers[one["device_id"]]
            if protocol == "mqtt":
                parts[number % LINES].append((TOPIC.format(one["device_id"]), _mqtt(one)))
                continue
            name, data = _hj212(one) if protocol == "hj212" else self._gb26875(one, number)
            self._lines[protocol].say(number % LINES, name, data)
        self._published += sum(map(len, parts))
        work = [one.publish_all(part) for one, part in zip(self._publishers, parts, strict=True)]
        settled = await asyncio.gather(*(fleet.settle(ANSWER_SECONDS) for fleet in self._lines.values()), *work)
        if not all(settled[: len(self._lines)]):
            raise TimeoutError("the gateways did not answer every frame")
        async with asyncio.timeout(ANSWER_SECONDS):
            while await asyncio.to_thread(self._accepted) < self._published:  # noqa: ASYNC110 - the broker's word is not Kafka's
                await asyncio.sleep(0.05)

    async def _show(self, sightings: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(sightings), _UPLOAD):
            await self._platform.upload([self._finding(one) for one in sightings[first : first + _UPLOAD]])

    def _finding(self, one: Mapping[str, Any]) -> dict[str, Any]:
        shot = b"\xff\xd8\xff\xe0" + one["event_id"].encode().ljust(_PICTURE_BYTES, b".") + b"\xff\xd9"
        more = {"ImageID": one["event_id"], "DeviceID": one["device_id"], "EntryTime": digits(one["observed_at"])[:14]}
        title = devices.title_of(one["label"])
        return self._platform.finding(title, one["occurred_at"], confidence=one["confidence"], shot=shot, **more)

    def _gb26875(self, one: Mapping[str, Any], number: int) -> tuple[int, bytes]:
        """A part under maintenance, or at fault, measures nothing: its device says that instead."""
        kind, scale, _ = devices.ANALOGUE[one["metric"]]
        self._sequence = (self._sequence + 1) % 65_536
        part = devices.PART | {"time": _local(one["occurred_at"]).isoformat()}
        if (one["flag"] or "N") == "N":
            unit = gb26875.encode_unit(3, [part | {"analog_type": kind, "analog_raw": round(one["value"] * scale)}])
        else:
            status = _FAULT if one["flag"] == "D" else _SHIELDED
            unit = gb26875.encode_unit(2, [part | {"status": status, "description": ""}])
        observed, source = _local(one["observed_at"]), fire.address(number)
        data = gb26875.encode(self._sequence, gb26875.SEND, unit, time=observed, source=source, target=fire.CENTRE)
        return self._sequence, data


@contextmanager
def stations(
    running: Engine, broker: Address, numbers: Mapping[str, int], accepted: Callable[[], int]
) -> Iterator[Stations]:
    """Connected stations for the length of a block, their event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stations", daemon=True)
    thread.start()
    stack = AsyncExitStack()
    try:
        made = Stations(loop, numbers)
        asyncio.run_coroutine_threadsafe(made.connect(running, broker, accepted, stack), loop).result(ANSWER_SECONDS)
        yield made
    finally:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(ANSWER_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _hj212(one: Mapping[str, Any]) -> tuple[str, bytes]:
    """QN, which with MN names the answer, is the time of sending."""
    code = devices.CODES.get(one["metric"], devices.OTHER_CODE)
    qn = digits(one["observed_at"])
    header = {"QN": qn, "ST": 32, "CN": 2011, "PW": "123456", "MN": one["device_id"], "Flag": 5}
    fields = {"Rtd": repr(one["value"]), "Flag": one["flag"] or "N"}
    data = hj212.encode(header, hj212.encode_area({"DataTime": digits(one["occurred_at"])}, {code: fields}))
    return f"{one['device_id']}/{qn}", data


def _mqtt(one: Mapping[str, Any]) -> bytes:
    """A reading as JSON, its times in ms UTC."""
    body = {name: one[name] for name in ("metric", "value", "unit", "flag")}
    return json.dumps(body | {"time": one["occurred_at"], "sent": one["observed_at"]}, ensure_ascii=False).encode()


def _local(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms // 1000, CHINA).replace(tzinfo=None)
