"""The gateways as a process: HTTP, TCP and UDP doors, the device register, the parking topic; one loop, one way to Kafka."""

import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from connectors.devices.registry import Devices, Registry
from connectors.devices.rows import make
from connectors.gateway.episodes import Episodes
from connectors.gateway.fetching import Fetching
from connectors.gateway.gat1400 import Gat1400
from connectors.gateway.limits import Limits
from connectors.gateway.messages import Messages
from connectors.gateway.mqtt import MqttGateway
from connectors.gateway.parking import Parking
from connectors.gateway.pictures import Pictures
from connectors.gateway.pipe import Pipe
from connectors.gateway.recent import Recent
from connectors.gateway.tail import newest
from connectors.gateway.tcp import Door, TcpServer, Wire
from connectors.gateway.udp import UdpServer
from connectors.gateway.wires import Gb26875, Hj212, by_name
from connectors.http import HttpConfig, RunningServer
from connectors.http.app import build_app
from connectors.http.body import Limits as BodyLimits
from connectors.http.server import Room, Tls
from connectors.http.viid import Viid, ViidConfig
from connectors.producing import EventWriter
from connectors.protocols import sm4
from fengsui.mqtt import mqtt_plan
from fengsui.settings import Settings, SettingsError

log = structlog.get_logger()
_READY_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 10.0


@dataclass(slots=True)
class Addresses:
    """Where the doors are: `http` base URL, and ports by name (hj212, gb26875, …_tls, gb26875_udp)."""

    http: str = ""
    ports: dict[str, int] = field(default_factory=dict)


def run_gateway(settings: Settings, on_ready: Callable[[Addresses], None] | None = None) -> None:
    """Run until SIGTERM or Ctrl-C. Raises SettingsError, OSError (a port that is taken)."""
    _more_files(settings.gateway_connections + settings.http_connections)
    asyncio.run(_run(settings, on_ready))


def _more_files(connections: int) -> None:
    """As many open files as connections may need, where the system lets us: the usual soft limit is 1,024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 2 * connections + 1_000) if hard != resource.RLIM_INFINITY else 2 * connections + 1_000
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(settings: Settings, on_ready: Callable[[Addresses], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with gateways(settings) as addresses:
        log.info("gateway.ready", http=addresses.http, ports=addresses.ports)
        if on_ready is not None:
            on_ready(addresses)
        await stop.wait()
        log.info("gateway.stopping")


@asynccontextmanager
async def gateways(settings: Settings) -> AsyncIterator[Addresses]:
    """All doors in this event loop, for the length of a block: opened once the register and the topics' tails were read."""
    client, prefix, group = settings.kafka_client(), settings.topic_prefix, f"{settings.group}-parking"
    loop = asyncio.get_running_loop()
    with _written(client, prefix) as writer:
        async with AsyncExitStack() as stack:
            recent, episodes = await loop.run_in_executor(None, _before, client, prefix)
            said = (Messages(filters=settings.mqtt_topics), Messages("http"))
            wires = by_name(Hj212(sm4_keys(settings)), Gb26875(), _cameras(settings, stack), *said)
            registry = Registry(client, prefix)
            dry = settings.gateway_dry_run
            pipe = Pipe(writer, registry.devices, limits(settings), recent=recent, episodes=episodes, dry_run=dry)
            parking = Parking(client, prefix, registry.devices, (pipe, loop), wires, writer, group)
            registry.on_change = parking.registered
            registry.start()
            stack.callback(registry.stop)
            if not await loop.run_in_executor(None, registry.wait_ready, _READY_SECONDS):
                log.warning("gateway.register", error="the device register has not answered yet")
            await stack.enter_async_context(_running(pipe))
            if not dry:
                parking.start()
                stack.push_async_callback(asyncio.to_thread, parking.stop)  # it waits for this loop
            addresses = Addresses()
            viid = _viid(settings, pipe, registry.devices, wires["gat1400"])
            await _open(settings, pipe, wires, viid, addresses, stack)
            yield addresses


def _before(client: dict[str, str | int], prefix: str) -> tuple[Recent, Episodes]:
    """What the gateway before this one wrote; kernels are compiled meanwhile, before the first device speaks."""
    recent, episodes = Recent(), Episodes()
    for code, frame in newest(client, prefix):
        recent.remember(frame.select("event_id", "subject").drop_nulls().iter_rows())
        if code == "video":
            episodes.remember(frame.select("device_id", "label", "occurred_at").drop_nulls().iter_rows())
    at = 1_700_000_000_000
    row = ("0", "iot", "fire", "uscc:91350100M000100Y43", None, None, None, at, at, "-", "-", "-", 0.0, None, None)
    make("iot", [row, (*row[:3], "uscc:91350100m000100y43", *row[4:])], [0, 0], at)
    return recent, episodes


def _cameras(settings: Settings, stack: AsyncExitStack) -> Gat1400:
    """GA/T 1400, with the directory of pictures. In a dry run nothing is stored, and nobody is asked for anything."""
    dry = settings.gateway_dry_run
    pictures = Pictures(settings.pictures_dir, settings.picture_bytes, dry_run=dry)
    stack.callback(pictures.close)
    return Gat1400(pictures, Fetching(() if dry else settings.picture_hosts, settings.picture_bytes))


def _viid(settings: Settings, pipe: Pipe, devices: Devices, wire: Gat1400) -> Viid:
    most = settings.gat1400_body_bytes
    return Viid(
        ViidConfig(
            pipe,
            devices,
            wire,
            settings.gat1400_park_unknown,
            settings.gat1400_keepalive_seconds,
            limits=BodyLimits(most, most),
        )
    )


@contextmanager
def _written(client: dict[str, str | int], prefix: str) -> Iterator[EventWriter]:
    writer = EventWriter(client, prefix=prefix, ack_seconds=30)
    try:
        yield writer
    finally:
        left = writer.close()
        if left:
            log.warning("gateway.left", records=left)  # their devices were not answered


@asynccontextmanager
async def _running(pipe: Pipe) -> AsyncIterator[None]:
    """The pipe at work; when the doors have closed, what is in it is written."""
    task = asyncio.create_task(pipe.run())
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pipe.drain(), _DRAIN_SECONDS)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _open(
    settings: Settings, pipe: Pipe, wires: dict[str, Any], viid: Viid, addresses: Addresses, stack: AsyncExitStack
) -> None:
    context = tls(settings)
    bounds = limits(settings)

    def door(wire: Wire, port: int, secure: ssl.SSLContext | None = None) -> Door:
        return Door(wire, pipe, bounds, settings.bind, port, secure)

    for name in ("hj212", "gb26875"):
        for label, port, secure in (
            (name, getattr(settings, f"{name}_port"), None),
            (f"{name}_tls", getattr(settings, f"{name}_tls_port"), context),
        ):
            if port >= 0:
                server = await stack.enter_async_context(TcpServer(door(wires[name], port, secure)))
                addresses.ports[label] = server.port
    if settings.gb26875_udp_port >= 0:
        datagrams = UdpServer(door(wires["gb26875"], settings.gb26875_udp_port), settings.gb26875_udp_allow)
        addresses.ports["gb26875_udp"] = (await stack.enter_async_context(datagrams)).port
    if settings.mqtt_url.get_secret_value():
        await stack.enter_async_context(MqttGateway(mqtt_plan(settings), pipe, wires["mqtt"]))
    config = _http(settings, pipe, viid)
    addresses.http = _serve(settings, config, settings.http_port, None, stack).url
    if settings.http_tls_port >= 0 and settings.tls_certificate_file and settings.tls_key_file:
        files = Tls(settings.tls_certificate_file, settings.tls_key_file, settings.tls_clients_ca_file)
        addresses.ports["http_tls"] = _serve(settings, config, settings.http_tls_port, files, stack).port


def _serve(
    settings: Settings, config: HttpConfig, port: int, files: Tls | None, stack: AsyncExitStack
) -> RunningServer:
    http = RunningServer(build_app(config), settings.bind, port, config.head_seconds, files, Room.of(config))
    task = asyncio.create_task(http.run())
    stack.push_async_callback(_ended, http, task)
    return http


async def _ended(server: RunningServer, task: asyncio.Task[None]) -> None:
    server.stop_soon()
    await task


def _http(settings: Settings, pipe: Pipe, viid: Viid) -> HttpConfig:
    tokens = tuple(token.get_secret_value() for token in settings.http_tokens)
    return HttpConfig(
        pipe.writer,
        tokens,
        pipe.devices,
        pipe,
        settings.gateway_dry_run,
        max_event_bytes=settings.max_event_bytes,
        host=settings.bind,
        connections=settings.http_connections,
        connections_per_source=settings.http_connections_per_source,
        more=tuple(viid.routes()),
    )


def limits(settings: Settings) -> Limits:
    """The gateways' limits of the settings."""
    return Limits(
        connections=settings.gateway_connections,
        connections_per_source=settings.gateway_connections_per_source,
        frames_per_second=settings.gateway_frames_per_second,
        burst=max(1, round(4 * settings.gateway_frames_per_second)),
        idle_seconds=settings.gateway_idle_seconds,
        silence_seconds=settings.gateway_silence_seconds,
    )


def tls(settings: Settings) -> ssl.SSLContext | None:
    """The context of TLS listeners; None without a certificate. Raises SettingsError."""
    if settings.tls_certificate_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
        if settings.tls_clients_ca_file is not None:
            context.load_verify_locations(settings.tls_clients_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the TLS certificate cannot be used: {error}") from error
    return context


def sm4_keys(settings: Settings) -> dict[str, bytes]:
    """MN -> SM4 key. Raises SettingsError, which shows no key."""
    if settings.sm4_keys_file is None:
        return {}
    try:
        given = json.loads(settings.sm4_keys_file.read_text("utf-8"))
        keys = {str(mn): sm4.key_of(digits) for mn, digits in given.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f"FENGSUI_SM4_KEYS_FILE: {type(error).__name__}") from None
    wrong = next((mn for mn, key in keys.items() if key is None), None)
    if wrong is not None:
        raise SettingsError(f"FENGSUI_SM4_KEYS_FILE: the key of {wrong[:40]} is not 32 hexadecimal digits")
    return {mn: key for mn, key in keys.items() if key is not None}
