"""One connection to an MQTT broker in the running event loop, made again whenever it is lost; paho's client below.

paho is used without its thread: our loop reads and writes its socket. Callbacks, acknowledgements and state then need no locks,
and not to read the socket is the back pressure. paho's `ack` only queues the packet, and paho sets no limit to what is not
acknowledged: the broker's limit counts. Where the socket is not read for long the broker may end the connection, and sends what
was not acknowledged again.
"""

import asyncio
import contextlib
import hashlib
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

log = structlog.get_logger(__name__)
Version = Literal["3.1.1", "5"]
SCHEMES: Final = {"mqtt": 1883, "mqtts": 8883}
_READS: Final = 256  # messages at once, then others have their turn
_KEEPALIVE: Final = 60
_LOOK_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """A broker: where, and as whom.

    >>> Address.of("mqtts://kitchen:s%40t@broker:8884")
    Address(host='broker', port=8884, tls=True, user='kitchen')
    """

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address of `mqtt[s]://[user:password@]host[:port]`. Raises ValueError, which does not show it."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise ValueError("not an address (is the password percent-encoded?)") from None
        if parts.scheme not in SCHEMES or not host:
            raise ValueError("must be mqtt://[user:password@]host[:port] or mqtts://…")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, port or SCHEMES[parts.scheme], parts.scheme == "mqtts", user, password)


@dataclass(frozen=True, slots=True)
class Options:
    """How to connect. `keep_session`: the broker keeps what comes while we are away; `session_seconds`, `receive_maximum`,
    `packet_bytes` are of MQTT 5."""

    client_id: str
    version: Version = "5"
    keep_session: bool = True
    session_seconds: int = 7 * 86_400
    receive_maximum: int = 1_000
    packet_bytes: int = 2 * 1_048_576
    ca_file: Path | None = None
    manual_ack: bool = False


class Link:
    """Keeps one client connected. Set the callbacks, then `run()` until cancelled.

    `on_up(session_present)`: connected; `on_down(why)`: not any more, or not at all; `on_message(message)`.
    """

    def __init__(self, address: Address, options: Options) -> None:
        self._address, self._options = address, options
        self.on_up: Callable[[bool], None] = lambda _present: None
        self.on_down: Callable[[str], None] = lambda _why: None
        self.on_message: Callable[[paho.MQTTMessage], None] = lambda _message: None
        self.client = _client(address, options)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.client.on_message = self._got
        self.client.on_socket_close = self._closing
        self.client.on_socket_register_write = self._want_write
        self.client.on_socket_unregister_write = self._enough_written
        self._socket: Any = None  # the one that our loop watches
        self._reading = True
        self._got_one = False
        self._gone = asyncio.Event()
        self._wait = _SHORTEST_SECONDS
        self.generation = 0  # of the connection: packet numbers of one mean nothing in another
        self.up = False

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, with ever longer waits where it cannot be had."""
        try:
            while True:
                try:
                    await self._once()
                except Exception:  # a fault of ours must not end the gateway's way to the broker
                    log.exception("mqtt.link")
                self._forget()
                await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come at once
                self._wait = min(2 * self._wait, _LONGEST_SECONDS)
        finally:
            self.close()

    def read(self, wanted: bool) -> None:
        """Read the socket from now on, or leave what comes with the broker."""
        if wanted == self._reading:
            return
        self._reading = wanted
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_reader(self._socket, self._readable)
            loop.call_soon(self._readable)  # TLS may hold what no selector tells of
        else:
            loop.remove_reader(self._socket)

    def close(self) -> None:
        """Say goodbye; the session stays with the broker where it is kept."""
        self._gone.set()  # nobody is to be told
        with contextlib.suppress(OSError, ValueError):
            self.client.disconnect()
            self.client.loop_write()  # what is queued, then the goodbye; paho closes the socket after it
        self._forget()
        self.up = False

    async def _once(self) -> None:
        """One connection, from its beginning to its end."""
        self._gone.clear()
        self.generation += 1
        try:
            await asyncio.to_thread(self._connect)
        except (OSError, ValueError) as error:
            self.on_down(f"{type(error).__name__}: {error}"[:200])
            return
        self._attach()
        while not self._gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), _LOOK_SECONDS)
            if self._reading:  # an answer to a ping cannot be missed where nothing is read
                self.client.loop_misc()

    def _connect(self) -> None:
        """In a thread: names are looked up and TLS is agreed on, which takes its time."""
        given: dict[str, Any] = {}
        if self._options.version == "5":
            given = {"clean_start": not self._options.keep_session, "properties": _properties(self._options)}
        self.client.connect(self._address.host, self._address.port, _KEEPALIVE, **given)

    def _attach(self) -> None:
        self._socket = self.client.socket()
        if self._socket is None:
            self._gone.set()
            return
        loop = asyncio.get_running_loop()
        if self._reading:
            loop.add_reader(self._socket, self._readable)
        loop.add_writer(self._socket, self.client.loop_write)

    def _readable(self) -> None:
        for _ in range(_READS):
            if self._socket is None or not self._reading:
                return
            self._got_one = False
            self.client.loop_read()
            if not self._got_one and not self._held():
                return
        asyncio.get_running_loop().call_soon(self._readable)

    def _held(self) -> bool:
        """Whether TLS has bytes that the selector does not know of."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _forget(self) -> None:
        if self._socket is None:
            return
        loop, was = asyncio.get_running_loop(), self._socket
        self._socket = None
        loop.remove_reader(was)
        loop.remove_writer(was)

    def _closing(self, _client: Any, _data: Any, sock: Any) -> None:
        if sock is self._socket:
            self._forget()

    def _want_write(self, _client: Any, _data: Any, sock: Any) -> None:
        if sock is self._socket:  # while it connects, in its thread, it is not ours yet
            asyncio.get_running_loop().add_writer(sock, self.client.loop_write)

    def _enough_written(self, _client: Any, _data: Any, sock: Any) -> None:
        if sock is self._socket:
            asyncio.get_running_loop().remove_writer(sock)

    def _connected(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._end(f"refused: {reason}")
            return
        self._wait, self.up = _SHORTEST_SECONDS, True
        self.on_up(bool(flags.session_present))

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._end(str(reason))

    def _end(self, why: str) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        self.up = False
        self.on_down(why[:200])

    def _got(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._got_one = True
        try:
            self.on_message(message)
        except Exception:  # paho would lose its place in the stream
            log.exception("mqtt.message")


def _client(address: Address, options: Options) -> paho.Client:
    five = options.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        options.client_id,
        None if five else not options.keep_session,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=options.manual_ack,
    )
    if address.user:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set_context(ssl.create_default_context(cafile=options.ca_file))
    return client


def _properties(options: Options) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = options.session_seconds if options.keep_session else 0
    properties.ReceiveMaximum = options.receive_maximum
    properties.MaximumPacketSize = options.packet_bytes
    return properties


def stable_id(*parts: str) -> str:
    """A client id that this machine gives to the same parts again, after a restart too.

    >>> stable_id("a", "b") == stable_id("a", "b"), len(stable_id("a"))
    (True, 20)
    """
    return f"fengsui-{hashlib.sha256('|'.join((socket.gethostname(), *parts)).encode()).hexdigest()[:12]}"
