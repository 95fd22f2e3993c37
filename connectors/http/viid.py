"""The routes of GA/T 1400 below /VIID: register by Digest, keepalive, time, and uploads that go through the pipe.

An object is answered with StatusCode 0 only when its pictures are on the disk and Kafka has its event (or, of a device that is
not registered, the parked object). Who sends is told by `User-Identify`, and proved by the session that Register opened.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.devices.gat1400 import GATEWAY, device_of, is_standard, key_of
from connectors.devices.registry import Devices
from connectors.gateway.fetching import Fetches
from connectors.gateway.gat1400 import Gat1400, unprepared
from connectors.gateway.item import ACCEPTED, Item
from connectors.gateway.limits import Bucket
from connectors.gateway.pipe import Pipe
from connectors.http import viid_answers as answers
from connectors.http.body import BodyRefused, Limits, read_body, refuse_announced
from connectors.http.callers import peer_of
from connectors.http.digest_auth import Digest
from connectors.http.sessions import Sessions
from connectors.http.viid_answers import Denied, Told
from connectors.http.viid_system import Act, System, identity_of
from connectors.metrics import GatewayMetrics, shared
from connectors.protocols.gat1400 import Object, decode
from connectors.protocols.stream import Fault
from topics.catalogue import EVENT_BYTES

_log = structlog.get_logger(__name__)
UPLOADS: Final = (
    *("Faces", "Persons", "MotorVehicles", "NonMotorVehicles", "Images"),
    *("SubscribeNotifications", "DispositionNotifications"),
)
_MOST_RAW: Final = EVENT_BYTES - 65_536  # of one object, as it is parked
_MOST_READING: Final = 67_108_864  # bytes of bodies that are held at once
# The same of callers without a session: nobody knows them, and they must not be in the way of those who are known.
_MOST_READING_STRANGE: Final = 8_388_608
_STRANGE_BYTES: Final = 1_048_576  # of one body of theirs
_MOST_OBJECTS: Final = 1_000  # of one body, those inside others too
_SYSTEM: Final = Limits(body_bytes=65_536, unpacked_bytes=65_536)
_THREAD_BYTES: Final = 65_536
_LETTERS: Final = (5.0, 300)  # a second, at once: refusals that are kept as dead letters
Answering = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ViidConfig:
    """What the routes are given. `park_unknown`: keep what devices say that the register does not know."""

    pipe: Pipe
    devices: Devices
    wire: Gat1400
    park_unknown: bool = True
    session_seconds: float = 180.0
    answer_seconds: float = 10.0
    limits: Limits = field(default_factory=lambda: Limits(body_bytes=8_388_608, unpacked_bytes=8_388_608))
    server_id: str = "fengsui"
    metrics: GatewayMetrics | None = None
    digest: Digest = field(default_factory=Digest)
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Viid:
    """The routes: `Starlette(routes=Viid(config).routes())`, in the event loop of the pipe."""

    def __init__(self, config: ViidConfig) -> None:
        self._config = config
        self._metrics = config.metrics or shared()
        sessions = Sessions(config.session_seconds, gauge=self._metrics.sessions)
        self._system = System(config.devices, config.digest, sessions, config.server_id)
        self._known, self._strange = _Held(_MOST_READING), _Held(_MOST_READING_STRANGE)
        most, strange = config.limits, _STRANGE_BYTES
        self._strange_limits = replace(
            most, body_bytes=min(most.body_bytes, strange), unpacked_bytes=min(most.unpacked_bytes, strange)
        )
        self._letters = Bucket(*_LETTERS)

    def routes(self) -> list[Route]:
        """All routes."""
        system = self._system
        posted: dict[str, Act] = {"Register": system.register, "UnRegister": system.unregister}
        posted["Keepalive"] = system.keepalive
        routes = [self._route(f"System/{name}", self._spoken(act)) for name, act in posted.items()]
        routes.append(self._route("System/Time", self._spoken(system.time), "GET"))
        return routes + [self._route(name, self._upload, listed=True) for name in UPLOADS]

    def _route(self, name: str, act: Answering, method: str = "POST", *, listed: bool = False) -> Route:
        return Route(f"/VIID/{name}", self._guarded(act, listed=listed), methods=[method])

    def _spoken(self, act: Act) -> Answering:
        async def spoken(request: Request) -> Response:
            return act(request, await self._body(request, _SYSTEM), self._now())

        return spoken

    def _guarded(self, act: Answering, *, listed: bool) -> Answering:
        """Every outcome is an answer of the standard, with a named reason."""

        async def answered(request: Request) -> Response:
            started = time.monotonic()
            try:
                response = await act(request)
            except BodyRefused as refused:
                response = self._deny(request, Denied(refused.status, refused.reason, refused.detail), listed=listed)
            except ClientDisconnect:
                response = self._deny(request, Denied(408, "slow-sender"), listed=listed)
            except Denied as why:
                response = self._deny(request, why, listed=listed)
            except Exception:
                _log.exception("viid")
                response = self._deny(request, Denied(500, "processing-failed"), listed=listed)
            self._metrics.request(GATEWAY, response.status_code, time.monotonic() - started)
            return response

        return answered

    def _deny(self, request: Request, why: Denied, *, listed: bool) -> Response:
        if why.reason != "no-session" or why.detail:  # the first request of a handshake is no refusal
            self._metrics.rejected(GATEWAY, why.reason)
            self._metrics.device_refused(why.key, why.reason)
        return answers.denied(
            request.url.path, self._now(), why, self._config.digest.challenge(stale=why.stale), listed=listed
        )

    async def _upload(self, request: Request) -> Response:
        caller = self._caller(request)
        if self._config.pipe.full:
            raise Denied(429, "queue-full")
        share = _Share(self._known if caller.registered else self._strange)
        try:
            return await self._taken(request, caller, share)
        finally:
            share.give_back()

    async def _taken(self, request: Request, caller: "_Caller", share: "_Share") -> Response:
        body = await self._body(request, self._config.limits if caller.registered else self._strange_limits, share)
        large = len(body) > _THREAD_BYTES
        message = await asyncio.to_thread(decode, body, _MOST_OBJECTS) if large else decode(body, _MOST_OBJECTS)
        if isinstance(message, Fault):
            status = 413 if message.reason == "too-large" else 400
            raise Denied(status, message.reason, message.detail, caller.label)
        if f"{message.kind}s" not in UPLOADS:
            raise Denied(400, "unknown-envelope", f"{message.kind} is no upload", caller.label)
        arrived, fetches = self._config.clock_ms(), self._config.wire.fetches()
        try:
            async with asyncio.timeout(self._config.answer_seconds):
                ready = await asyncio.gather(*(self._ready(caller, item, arrived, fetches) for item in message.items))
                told = await asyncio.gather(*map(self._answered, ready))  # into the pipe in the order of the body
        except TimeoutError:
            raise Denied(503, "broker-gone", f"not written within {self._config.answer_seconds:g} s") from None
        return answers.many(request.url.path, self._now(), told)

    def _caller(self, request: Request) -> "_Caller":
        """Who uploads: a device with a session, or one that the register does not know. Raises Denied."""
        identity = identity_of(request)
        key = key_of(identity)
        if not key:
            raise Denied(401, "no-device")
        device = self._config.devices.get(key)
        if device is None:
            if self._config.park_unknown:
                return _Caller(key, registered=False)
            raise Denied(401, "unknown-device", identity[:40])
        if not self._system.alive(key, peer_of(request)):
            raise Denied(401, "no-session", identity[:40])
        return _Caller(key, registered=True)

    async def _ready(self, caller: "_Caller", one: Object | Fault, arrived: int, fetches: Fetches) -> Item | Told:
        """One object, its pictures stored; or why it is refused."""
        if isinstance(one, Fault):
            self._reject(one.reason, f"{caller.key} {one.detail}", b"", arrived)
            return Told("", one.reason)
        wire, key = self._config.wire, self._owner(caller, one)
        raw = wire.raw(key or caller.key, one)
        if not key or len(raw) > _MOST_RAW:
            reason = "too-large" if key else "bad-credentials"
            self._reject(reason, f"{caller.key} for {one.device or ''}"[:200], raw, arrived)
            self._metrics.device_refused(caller.label, reason)
            return Told(one.id or "", reason)
        if self._config.devices.get(key) is not None:
            return Item(wire, key, await wire.prepared(one, fetches), raw, arrived, proved=True)
        return Item(wire, key, unprepared(one), raw, arrived, proved=True)

    async def _answered(self, item: Item | Told) -> Told:
        """An object's answer, once Kafka has it."""
        if isinstance(item, Told):
            return item
        outcome, upload = await self._config.pipe.outcome(item), item.frame
        identity, pictures = upload.id, {reason for reason, _ in upload.refused}
        reasons = [outcome] if outcome != ACCEPTED else [one for one in item.told if one not in pictures]
        if reasons:
            return Told(identity, reasons[0])
        return Told(identity, note="; ".join(map(answers.words, sorted(pictures))))

    def _owner(self, caller: "_Caller", one: Object) -> str:
        """Whose an object is: the device's that it names, where the register knows it and the caller may speak for it; "" where
        not. A name that is no id of the standard's is taken for the caller's own."""
        named = device_of(one)
        key = key_of(named)
        if not key or key == caller.key:
            return caller.key
        device = self._config.devices.get(key)
        if device is not None:
            return key if caller.registered and caller.key in device.via else ""
        return key if is_standard(named) and self._config.park_unknown else caller.key

    def _reject(self, reason: str, detail: str, raw: bytes, at: int) -> None:
        self._config.pipe.reject(GATEWAY, reason, detail, raw, at, keep=self._letters.allow())

    async def _body(self, request: Request, limits: Limits, share: "_Share | None" = None) -> bytes:
        refuse_announced(request.headers.get("content-length"), limits)
        encoding = request.headers.get("content-encoding", "")
        stream: AsyncIterator[bytes] = request.stream()
        if share is not None:
            packed = encoding.strip().lower() not in ("", "identity")
            stream = share.counted(stream, limits.unpacked_bytes if packed else 0)
        body = await read_body(stream, encoding, limits)
        self._metrics.body(GATEWAY, len(body))
        return body

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._config.clock_ms() / 1000, dt.UTC)


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who speaks: the key in the register, and whether it is there (and has a session)."""

    key: str
    registered: bool

    @property
    def label(self) -> str:
        """Its key for metrics, which have a label for registered devices only."""
        return self.key if self.registered else ""


@dataclass(slots=True)
class _Held:
    """Bytes of bodies that are held at once, and how many may be."""

    most: int
    now: int = 0


class _Share:
    """What one request holds of them."""

    def __init__(self, held: _Held) -> None:
        self._held, self._mine = held, 0

    async def counted(self, stream: AsyncIterator[bytes], ahead: int) -> AsyncIterator[bytes]:
        """A body's chunks, counted, `ahead` for what unpacking adds. Raises Denied where all bodies together are too much."""
        async for chunk in stream:
            more, ahead = len(chunk) + ahead, 0
            self._mine += more
            self._held.now += more
            if self._held.now > self._held.most:
                raise Denied(429, "queue-full", "too many bodies at once")
            yield chunk

    def give_back(self) -> None:
        """The request has been answered."""
        self._held.now -= self._mine
        self._mine = 0
