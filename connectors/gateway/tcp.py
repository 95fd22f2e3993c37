"""A TCP listener for devices: frames out of streams, under limits, answered when Kafka has them.

A connection that sends too fast, or has too much that Kafka does not have yet, is not read from for a while: TCP tells its
sender. Silence within a frame, endless garbage, too many connections and too many errors are ended and named.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import structlog

from connectors.gateway.item import Item, Protocol_
from connectors.gateway.limits import Bucket, Guests, Limits
from connectors.gateway.pipe import Pipe
from connectors.metrics import GatewayMetrics, shared
from connectors.protocols.stream import Bad, Splitter

log = structlog.get_logger(__name__)
_BACKLOG: Final = 4096
READ_BYTES: Final = 16_384
_SWEEP_SECONDS: Final = 1.0
_HANDSHAKE_SECONDS: Final = 10.0
_ENDING: Final = 10  # times the errors a minute that are kept end a connection
_DETAIL_CHARS: Final = 200


class Wire(Protocol_, Protocol):
    """A protocol on a stream."""

    def splitter(self) -> Splitter[Any]:
        """A reader of one connection."""

    def key(self, frame: Any) -> str:
        """The device's key in the register; "" where the frame names none."""

    def answer(self, frame: Any, outcome: str) -> bytes | None:
        """What the standard sends back once a frame is accepted ("") or refused (a named reason); None: nothing."""


@dataclass(slots=True)
class Door:
    """A listener: where it listens, and by which limits. `tls`: None for devices that cannot."""

    wire: Wire
    pipe: Pipe
    limits: Limits = field(default_factory=Limits)
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    metrics: GatewayMetrics | None = None
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def reject(self, bad: Bad, peer: str, arrived: int, *, keep: bool) -> None:
        """Bytes of an address that are no frame: counted, and kept as a dead letter if wanted."""
        self.pipe.reject(
            self.wire.name, bad.reason, f"{peer} {bad.detail}"[:_DETAIL_CHARS], bad.raw, arrived, keep=keep
        )


class TcpServer:
    """Serves one door in the running event loop: `async with TcpServer(door) as server: server.port`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.metrics = door.metrics or shared()
        self.connections: set[_Connection] = set()
        self.guests = Guests(door.limits.connections, door.limits.connections_per_source)
        self.buffer = memoryview(bytearray(READ_BYTES))
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None  # noqa: S101 - only after it was started
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> "TcpServer":
        loop, door = asyncio.get_running_loop(), self.door
        self._server = await loop.create_server(
            lambda: _Connection(self),
            door.host,
            door.port,
            ssl=door.tls,
            backlog=_BACKLOG,
            reuse_address=True,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if door.tls else None,
        )
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no new connections and end those there are. What was not answered is sent again by its device."""
        assert self._server is not None and self._sweeper is not None  # noqa: S101, PT018
        self._sweeper.cancel()
        self._server.close()
        for connection in list(self.connections):
            connection.end("")
        await self._server.wait_closed()

    async def _sweep(self) -> None:
        """Look at every connection once a second: one timer for thousands."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for connection in list(self.connections):
                try:
                    connection.look(now)
                except Exception:  # one connection ends no sweep
                    log.exception("gateway.look", gateway=self.door.wire.name)
                    connection.end("too-many-errors")


class _Connection(asyncio.BufferedProtocol):
    __slots__ = (
        "_asked", "_begun", "_blocked", "_bucket", "_counted", "_ending", "_errors", "_heard", "_open", "_paused", "_server",
        "_slow", "_splitter", "_transport", "_unanswered", "peer",
    )  # fmt: skip

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        limits = server.door.limits
        self._splitter = server.door.wire.splitter()
        self._bucket = Bucket(limits.frames_per_second, limits.burst)
        self._heard = time.monotonic()
        self._begun: float | None = None  # when the frame began of which the rest is not there yet
        self._errors = Bucket(limits.errors_per_minute / 60, limits.errors_per_minute)
        self._counted = 0
        self._unanswered = 0
        self._slow = self._blocked = False  # too fast for the limit; does not read its answers
        self._paused = self._asked = False
        self._open = self._ending = False
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        server = self._server
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        reason = server.guests.enter(self.peer)
        if reason:
            server.metrics.refused_connection(server.door.wire.name, reason)
            self._transport.abort()
            return
        self._open = True
        server.connections.add(self)
        server.metrics.connected(server.door.wire.name, len(server.connections))
        self._pause_or_go_on()  # while the pipe is full a new connection is not read either

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._open:
            return
        self._open = False
        self._server.door.pipe.forget(self._roomy)
        server = self._server
        server.connections.discard(self)
        server.guests.leave(self.peer)
        server.metrics.connected(server.door.wire.name, len(server.connections))
        self._take(self._splitter.flush())

    def get_buffer(self, _sizehint: int) -> memoryview:
        """All connections read into the same few kilobytes, one after the other: what thousands send at once is not in memory."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = time.monotonic()
        held = self._splitter.held
        found = self._splitter.feed(bytes(self._server.buffer[:nbytes]))
        if not self._splitter.held:
            self._begun = None
        elif found or not held:
            self._begun = self._heard
        self._take(found)
        self._pause_or_go_on()

    def look(self, now: float) -> None:
        """Once a second: end what is silent, or takes for ever."""
        silent = now - self._heard
        limits = self._server.door.limits
        if self._begun is not None and now - self._begun > limits.silence_seconds and not self._paused:
            self._begun = None
            self._take(self._splitter.flush())
        if silent > limits.idle_seconds and not self._unanswered:
            self.end("idle")

    def end(self, reason: str) -> None:
        """Close; the reason is counted."""
        if self._ending:
            return
        self._ending = True
        if reason:
            self._server.metrics.refused_connection(self._server.door.wire.name, reason)
        self._transport.abort() if reason and reason != "idle" else self._transport.close()

    def _take(self, found: list[Any]) -> None:
        if not found or self._ending:
            return
        door = self._server.door
        wire, arrived = door.wire, door.now_ms()
        for one in found:
            if isinstance(one, Bad):
                self._bad(one, arrived)
                if self._ending:
                    return
                continue
            self._unanswered += 1
            item = Item(wire, wire.key(one), one, one.raw, arrived, peer=self.peer)
            item.done = _Answer(self, one)
            door.pipe.offer(item)
        wait = self._bucket.take(len(found))
        if wait and not self._slow and self._open:
            self._slow = True
            asyncio.get_running_loop().call_later(wait, self._waited)

    def _bad(self, bad: Bad, arrived: int) -> None:
        """The first errors of a minute are kept, more are counted, far too many end the connection."""
        keep = self._errors.allow()
        self._server.door.reject(bad, self.peer, arrived, keep=keep)
        self._strike(keep)

    def _strike(self, within: bool) -> None:
        """An error more; `within`: what a minute may have."""
        door = self._server.door
        self._counted = 0 if within else self._counted + 1
        if self._counted > _ENDING * door.limits.errors_per_minute:
            log.warning("gateway.hostile", gateway=door.wire.name, peer=self.peer)
            self.end("too-many-errors")

    def answered(self, frame: Any, outcome: str) -> None:
        """A frame of this connection is in Kafka, or was refused."""
        self._unanswered -= 1
        answer = self._server.door.wire.answer(frame, outcome)
        if answer is not None and self._open and not self._transport.is_closing():
            self._transport.write(answer)
        if outcome in ("bad-credentials", "bad-source"):
            self._strike(self._errors.allow())
        if self._paused:
            self._pause_or_go_on()

    def pause_writing(self) -> None:
        """The device does not read its answers: do not read its frames either."""
        self._blocked = True
        self._pause_or_go_on()

    def resume_writing(self) -> None:
        self._blocked = False
        self._pause_or_go_on()

    def _waited(self) -> None:
        self._slow = False
        self._pause_or_go_on()

    def _roomy(self) -> None:
        self._asked = False
        self._pause_or_go_on()

    def _pause_or_go_on(self) -> None:
        if not self._open or self._transport.is_closing():
            return
        door = self._server.door
        full = door.pipe.full
        if full and not self._asked:  # also where it is paused for another reason: nobody else would wake it
            self._asked = True
            door.pipe.when_room(self._roomy)
        stop = self._slow or self._blocked or self._unanswered >= door.limits.window or full
        if stop == self._paused:
            return
        self._paused = stop
        if stop:
            self._transport.pause_reading()
            return
        self._heard = time.monotonic()
        self._begun = self._heard if self._splitter.held else None
        self._transport.resume_reading()


class _Answer:
    """What is called when a frame is done. A class, not a closure: thousands of them wait."""

    __slots__ = ("_connection", "_frame")

    def __init__(self, connection: _Connection, frame: Any) -> None:
        self._connection, self._frame = connection, frame

    def __call__(self, outcome: str) -> None:
        self._connection.answered(self._frame, outcome)
