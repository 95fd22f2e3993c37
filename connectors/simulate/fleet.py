"""A fleet of simulated devices on TCP: one connection each, a steady rate in all, nothing forgotten until it was answered.

A device keeps what was not answered, and sends it again after a reconnect or a time-out, as the standards ask of real ones.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

TICK_SECONDS: Final = 0.02
_SHORTEST_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 5.0
_WAITING: Final = 1_000  # frames a device keeps; it measures nothing more meanwhile
_CONNECTING: Final = 200  # at once


class Speaker(Protocol):
    """A protocol as a fleet speaks it."""

    def frame(self, device: int, number: int, now: int) -> tuple[object, bytes]:
        """The next message of a device (ms UTC): how its answer will name it, and its bytes."""

    def answered(self, received: bytearray) -> Iterable[object]:
        """Names of the messages that received bytes answer; what was read is taken off."""


@dataclass(slots=True)
class Counts:
    """What a fleet did. `sent` counts each message once, `again` its repetitions."""

    sent: int = 0
    again: int = 0
    answered: int = 0
    connected: int = 0
    lost: int = 0
    waits: list[float] = field(default_factory=list)  # seconds until the answer, of a sample


class _Device(asyncio.Protocol):
    __slots__ = ("_fleet", "_received", "_transport", "index", "number", "open", "waiting")

    def __init__(self, fleet: "Fleet", index: int) -> None:
        self._fleet = fleet
        self.index = index
        self.number = 0
        self.waiting: dict[object, tuple[bytes, float]] = {}
        self.open = False
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received.clear()
        self.open = True
        self._fleet.counts.connected += 1
        self.resend(float("inf"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open:
            return
        self.open = False
        self._fleet.counts.connected -= 1
        self._fleet.counts.lost += 1
        self._fleet.reconnect(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        now = time.monotonic()
        counts = self._fleet.counts
        for name in self._fleet.speaker.answered(self._received):
            known = self.waiting.pop(name, None)
            if known is not None:
                counts.answered += 1
                if counts.answered % 64 == 0:
                    counts.waits.append(now - known[1])

    def speak(self, now_ms: int) -> None:
        """Measure, and send if there is a connection."""
        if len(self.waiting) >= _WAITING:
            return
        name, data = self._fleet.speaker.frame(self.index, self.number, now_ms)
        self.number += 1
        self.say(name, data)

    def say(self, name: object, data: bytes) -> None:
        """Send a message, now or when there is a connection, until it is answered."""
        counts = self._fleet.counts
        if name in self.waiting:  # said twice before the first was answered: one answer is waited for
            counts.again += 1
        else:
            counts.sent += 1
            self.waiting[name] = (data, time.monotonic())
        if self.open:
            self._transport.write(data)

    def resend(self, before: float) -> None:
        """Send again what was first sent before a moment and has no answer yet."""
        if not self.open:
            return
        again = [data for data, at in self.waiting.values() if at < before]
        if again:
            self._fleet.counts.again += len(again)
            self._transport.write(b"".join(again))

    def close(self) -> None:
        """Hang up."""
        if self.open:
            self.open = False
            self._fleet.counts.connected -= 1
            self._transport.close()


class Fleet:
    """`devices` devices that send `rate` messages a second in all to host:port."""

    def __init__(
        self,
        speaker: Speaker,
        address: tuple[str, int],
        devices: int,
        rate: float,
        *,
        patience: float = 15.0,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`patience`: seconds until a message without an answer is sent again."""
        self.speaker, self._address, self._rate, self._patience, self._now_ms = speaker, address, rate, patience, now_ms
        self.counts = Counts()
        self._devices = [_Device(self, index) for index in range(devices)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_CONNECTING)
        self._closing = False

    @property
    def unanswered(self) -> int:
        """Messages that have no answer yet."""
        return self.counts.sent - self.counts.answered

    async def connect(self) -> None:
        """Until all are connected."""
        await asyncio.gather(*(self._connect(device) for device in self._devices))

    async def run(self, seconds: float) -> None:
        """Speak in turn, evenly, for so long."""
        began = time.monotonic()
        spoken, checked = 0, began
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(elapsed * self._rate)
            now = self._now_ms()
            for number in range(spoken, due):
                self._devices[number % len(self._devices)].speak(now)
            spoken = due
            if time.monotonic() - checked > 1.0:
                checked = time.monotonic()
                self._remind()
            await asyncio.sleep(TICK_SECONDS)

    def say(self, device: int, name: object, data: bytes) -> None:
        """A message of one's own making on a device's connection; its answer will name it so."""
        self._devices[device].say(name, data)

    async def settle(self, seconds: float) -> bool:
        """Until everything is answered; False when that took longer."""
        deadline, reminded = time.monotonic() + seconds, time.monotonic()
        while self.unanswered and time.monotonic() < deadline:
            if time.monotonic() - reminded > 1.0:
                reminded = time.monotonic()
                self._remind()
            await asyncio.sleep(TICK_SECONDS / 4)
        return not self.unanswered

    def close(self) -> None:
        """Hang up all."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for device in self._devices:
            device.close()

    def reconnect(self, device: _Device) -> None:
        """A device lost its connection."""
        if not self._closing:
            task = asyncio.create_task(self._connect(device))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _remind(self) -> None:
        before = time.monotonic() - self._patience
        for device in self._devices:
            if device.waiting:
                first = next(iter(device.waiting.values()))
                if first[1] < before:
                    device.resend(before)
                    self._renew(device, before)

    @staticmethod
    def _renew(device: _Device, before: float) -> None:
        now = time.monotonic()
        late = [name for name, (_, at) in device.waiting.items() if at < before]
        for name in late:
            device.waiting[name] = (device.waiting.pop(name)[0], now)

    async def _connect(self, device: _Device) -> None:
        loop, wait = asyncio.get_running_loop(), _SHORTEST_SECONDS
        while not self._closing:
            try:
                async with self._gate:
                    await loop.create_connection(lambda: device, *self._address)
                return
            except OSError:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_SECONDS)
