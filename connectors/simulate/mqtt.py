"""Simulated sensors that speak MQTT: QoS 1, sent again until the broker has acknowledged, in order for each topic.

async with Publisher(Address.of("mqtt://127.0.0.1:1883"), "kitchen-7") as publisher:
    await publisher.publish("fengsui/kitchen-7/events", reading(sensors(1)[0], at=1_790_000_000_000))
"""

import asyncio
import contextlib
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.mqttlink import Address, Link, Options

TOPIC: Final = "fengsui/{}/events"
_METRICS: Final = (
    ("cold_store_temp", "Cel", -18.0, 1.5),
    ("temp", "Cel", 22.0, 4.0),
    ("humidity", "%", 55.0, 15.0),
    ("smoke", "mg/m3", 0.1, 0.08),
)
_DAY_MS: Final = 86_400_000
Sent = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor behind a gateway of its own: name in the topic, metric, unit, mean, swing over a day."""

    name: str
    metric: str
    unit: str
    mean: float
    swing: float

    @property
    def topic(self) -> str:
        """Where it publishes."""
        return TOPIC.format(self.name)


def sensors(count: int, prefix: str = "s") -> list[Sensor]:
    """So many sensors, the same on each call.

    >>> [(sensor.topic, sensor.metric) for sensor in sensors(2)]
    [('fengsui/s0/events', 'cold_store_temp'), ('fengsui/s1/events', 'temp')]
    """
    return [Sensor(f"{prefix}{i}", *_METRICS[i % len(_METRICS)]) for i in range(count)]


def reading(sensor: Sensor, at: int) -> bytes:
    """What a sensor measures at a time (ms UTC), as a payload; the same at each call.

    >>> reading(sensors(1)[0], 1_790_000_000_000)
    b'{"metric":"cold_store_temp","value":-17.36,"unit":"Cel","time":1790000000000}'
    """
    phase = 2 * math.pi * (at % _DAY_MS) / _DAY_MS + zlib.crc32(sensor.name.encode()) % 7
    value = round(sensor.mean + sensor.swing * math.sin(phase), 2)
    return msgspec.json.encode({"metric": sensor.metric, "value": value, "unit": sensor.unit, "time": at})


def readings(of: Sequence[Sensor], start: int, rounds: int, every_ms: int = 1_000) -> Iterator[Sent]:
    """(topic, payload) of each sensor in each round, from `start` (ms UTC) on."""
    for number in range(rounds):
        for sensor in of:
            yield sensor.topic, reading(sensor, start + number * every_ms)


class NotTaken(Exception):  # noqa: N818 - what the broker said
    """The broker has refused a message."""


class Publisher:
    """One client of a broker. A lost connection is made again, and what was not acknowledged goes out again."""

    def __init__(self, address: Address, client_id: str, *, window: int = 100) -> None:
        """`window`: messages that may wait for their acknowledgement at once."""
        self.link = Link(address, Options(client_id, version="3.1.1", keep_session=False))
        self.link.client.max_inflight_messages_set(window)
        self.link.client.on_publish = self._acknowledged
        self.link.on_up = lambda _present: self.up.set()
        self.link.on_down = self._down
        self.up = asyncio.Event()
        self.why_down = ""
        self._room = asyncio.Semaphore(window)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Publisher":
        self._task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None  # noqa: S101 - only after it was entered
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Send one message; returns when the broker has acknowledged it. Raises NotTaken."""
        async with self._room:
            await self.up.wait()
            sent = self.link.client.publish(topic, payload, qos, retain)
            if qos:
                future = self._waiting[sent.mid] = asyncio.get_running_loop().create_future()
                await future

    async def publish_all(self, messages: Iterable[Sent], *, retain: bool = False) -> int:
        """Send messages, as many at once as the window allows, in order; returns how many were acknowledged."""
        count, tasks = 0, set[asyncio.Task[None]]()
        for topic, payload in messages:
            while self._room.locked():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            tasks.add(asyncio.create_task(self.publish(topic, payload, retain=retain)))
            count += 1
            await asyncio.sleep(0)  # it takes its place in the window
        await asyncio.gather(*tasks)
        return count

    def _acknowledged(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        future = self._waiting.pop(mid, None)
        if future is None or future.done():
            return
        if reason.is_failure:
            future.set_exception(NotTaken(str(reason)))
        else:
            future.set_result(None)

    def _down(self, why: str) -> None:
        self.up.clear()
        self.why_down = why


async def publish_all(
    address: Address,
    messages: Iterable[Sent],
    *,
    clients: int = 4,
    window: int = 100,
    retain: bool = False,
    name: str = "simulated",
) -> int:
    """Send messages through several clients, each topic through one of them; returns how many were acknowledged."""
    parts: list[list[Sent]] = [[] for _ in range(clients)]
    for topic, payload in messages:
        parts[zlib.crc32(topic.encode()) % clients].append((topic, payload))
    async with contextlib.AsyncExitStack() as stack:
        publishers = [
            await stack.enter_async_context(Publisher(address, f"{name}-{i}", window=window)) for i in range(clients)
        ]
        work = [one.publish_all(part, retain=retain) for one, part in zip(publishers, parts, strict=True)]
        return sum(await asyncio.gather(*work))
