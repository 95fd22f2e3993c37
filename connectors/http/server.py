"""The HTTP door as a running server: on 127.0.0.1, in a thread of its own or in the caller's event loop."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from connectors.gateway.limits import Guests
from connectors.http.app import GATEWAY, HttpConfig, build_app
from connectors.metrics import GatewayMetrics, shared

_HOST: Final = "127.0.0.1"
_HEAD_BYTES: Final = 65_536
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a listener: certificate chain, its key; the authorities of clients, where these must show a certificate."""

    certificate: Path
    key: Path
    clients: Path | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections a server takes, in all and from one address; more are closed at once, and counted.

    Those of this machine itself are not limited: whoever looks after the process must always reach it.
    """

    connections: int = 5_000
    per_source: int = 1_000
    metrics: GatewayMetrics | None = None

    @classmethod
    def of(cls, config: HttpConfig) -> "Room":
        """The room of a configuration."""
        return cls(config.connections, config.connections_per_source, config.metrics)


class ServerError(RuntimeError):
    """The server did not come up."""


class RunningServer:
    """A server that answers on `port`; `stop()` lets requests under way finish, then returns. Safe from any thread."""

    def __init__(
        self,
        app: Starlette,
        host: str = _HOST,
        port: int = 0,
        head_seconds: float = 10.0,
        tls: Tls | None = None,
        room: Room | None = None,
    ) -> None:
        """Binds at once (port 0: chosen by the system); serves when run. Raises OSError."""
        self._host, self._scheme = host, "https" if tls else "http"
        self._socket = socket.create_server((host, port), backlog=1024)
        self._server = _Server(_uvicorn_config(app, _guarded(head_seconds, room or Room()), tls))
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, config: HttpConfig) -> "RunningServer":
        """The HTTP door of a configuration."""
        return cls(build_app(config), config.host, config.port, config.head_seconds, room=Room.of(config))

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"{self._scheme}://{self._host}:{self.port}"

    async def run(self) -> None:
        """Serve in this event loop until `stop_soon`."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread; returns when requests are answered. Raises ServerError."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self.run()), name="http-gateway", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_START_SECONDS):
            raise ServerError("the HTTP gateway did not start")

    def stop_soon(self) -> None:
        """Take no new requests and end as soon as those under way have ended."""
        self._server.should_exit = True

    def stop(self) -> None:
        """`stop_soon`, and wait for the thread."""
        self.stop_soon()
        if self._thread is not None:
            self._thread.join()


def serve(config: HttpConfig) -> RunningServer:
    """A running server in a thread of its own: `.port`, `.url`, `.stop()`. Raises OSError or ServerError."""
    server = RunningServer.of(config)
    server.start()
    return server


@contextmanager
def serving(config: HttpConfig) -> Iterator[RunningServer]:
    """`serve` for the length of a block."""
    server = serve(config)
    try:
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def serving_here(config: HttpConfig) -> AsyncIterator[RunningServer]:
    """A server in the caller's own event loop for the length of a block."""
    server = RunningServer.of(config)
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        server.stop_soon()
        await task


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs us decides what Ctrl-C means."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _guarded(head_seconds: float, room: Room) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1 protocol, which takes so many connections and ends those whose request head does not come in time.

    Not uvicorn's own limit: with so many connections open, idle ones too, it answers every request with 503.
    """
    guests, metrics = Guests(room.connections, room.per_source), room.metrics or shared()

    class Guarded(H11Protocol):
        _guest: str | None = None  # its address, where it is counted
        _refused = False

        def connection_made(self, transport: Any) -> None:
            source, own = (_host(transport.get_extra_info(name)) for name in ("peername", "sockname"))
            if not is_local(source, own):
                reason = guests.enter(source)
                if reason:
                    self._refused = True
                    metrics.refused_connection(GATEWAY, reason)
                    transport.abort()
                    return
                self._guest = source
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(head_seconds, self._head_is_late)

        def data_received(self, data: bytes) -> None:
            if self._refused:  # TLS may have had it before
                return
            if self._between_requests() and self._head_timer.cancelled():
                self._head_timer = self.loop.call_later(head_seconds, self._head_is_late)
            super().data_received(data)
            if not self._between_requests():
                self._head_timer.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._refused:
                return
            if self._guest is not None:
                guests.leave(self._guest)
                self._guest = None
            self._head_timer.cancel()
            super().connection_lost(exc)

        def _between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _head_is_late(self) -> None:
            if self._between_requests() and not self.transport.is_closing():
                self.transport.close()

    return Guarded


def is_local(source: str, own: str = "") -> bool:
    """Whether a connection is this machine's own; `own`: the address that it came to.

    >>> is_local("127.0.0.1"), is_local("::1"), is_local("::ffff:127.0.0.1"), is_local("10.0.0.1", "10.0.0.1")
    (True, True, True, True)
    >>> is_local("10.0.0.1", "10.0.0.2"), is_local("")
    (False, False)
    """
    return source in ("::1", own or "::1") or source.removeprefix("::ffff:").startswith("127.")


def _host(address: tuple[Any, ...] | None) -> str:
    return str(address[0]) if address else ""


def _uvicorn_config(app: Starlette, protocol: type[H11Protocol], tls: Tls | None) -> uvicorn.Config:
    config = _plain_config(app, protocol)
    if tls is not None:
        config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs = tls.certificate, tls.key, _text(tls.clients)
        config.ssl_cert_reqs = ssl.CERT_REQUIRED if tls.clients else ssl.CERT_NONE
    return config


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _plain_config(app: Starlette, protocol: type[H11Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
