"""A UDP listener for devices (GB/T 26875.3): each datagram holds whole frames; only addresses that may send are heard.

Nothing holds a datagram's sender back: what comes too fast, or while too much waits for Kafka, is dropped and counted. It was
not confirmed, so its device sends it again.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, cast

from connectors.devices.registry import in_networks
from connectors.gateway.item import Item
from connectors.gateway.limits import Bucket
from connectors.gateway.tcp import Door
from connectors.metrics import shared
from connectors.protocols.stream import Bad

_SOURCES: Final = 10_000


@dataclass(slots=True)
class UdpServer:
    """One door by datagrams: `async with UdpServer(door, allow) as server: server.port`. `allow`: networks; empty: none."""

    door: Door
    allow: tuple[str, ...]
    _transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._transport is not None  # noqa: S101 - only after it was started
        return int(self._transport.get_extra_info("sockname")[1])

    async def __aenter__(self) -> "UdpServer":
        loop, door = asyncio.get_running_loop(), self.door
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(door, self.allow), local_addr=(door.host, door.port)
        )
        self._transport = transport
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, door: Door, allow: tuple[str, ...]) -> None:
        self._door, self._allow = door, allow
        self._metrics = door.metrics or shared()
        self._allowed: dict[str, bool] = {}
        self._rates: dict[str, Bucket] = {}
        self._errors = Bucket(door.limits.errors_per_minute / 60, door.limits.errors_per_minute)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        door, peer = self._door, str(addr[0])
        refused = self._refuse(peer)
        if refused:
            self._metrics.dropped(door.wire.name, refused)
            return
        arrived = door.now_ms()
        reader = door.wire.splitter()
        for one in reader.feed(data) + reader.flush():
            if isinstance(one, Bad):
                door.reject(one, peer, arrived, keep=self._errors.allow())
                continue
            item = Item(door.wire, door.wire.key(one), one, one.raw, arrived, peer=peer)
            item.done = lambda outcome, frame=one: self._answer(frame, outcome, addr)  # type: ignore[misc]
            door.pipe.offer(item)

    def _refuse(self, peer: str) -> str:
        """Why a datagram of an address is not read; "" where it is."""
        allowed = self._allowed.get(peer)
        if allowed is None:
            if len(self._allowed) >= _SOURCES:
                self._allowed.clear()
            allowed = self._allowed[peer] = in_networks(peer, self._allow)
        if not allowed:
            return "bad-source"
        if self._door.pipe.full:
            return "queue-full"
        if peer not in self._rates:
            if len(self._rates) >= _SOURCES:
                self._rates.clear()
            self._rates[peer] = Bucket(self._door.limits.frames_per_second, self._door.limits.burst)
        return "" if self._rates[peer].allow() else "too-fast"

    def _answer(self, frame: Any, outcome: str, addr: Any) -> None:
        answer = self._door.wire.answer(frame, outcome)
        if answer is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)
