"""The system interfaces of GA/T 1400: Register and UnRegister by Digest, Keepalive, Time. Raises Denied for what is not done."""

import datetime as dt
from collections.abc import Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from connectors.devices.gat1400 import key_of
from connectors.devices.registry import Devices, may_send_from
from connectors.gateway.limits import Bucket
from connectors.http import viid_answers as answers
from connectors.http.callers import peer_of
from connectors.http.digest_auth import STALE, WRONG, Digest
from connectors.http.sessions import Sessions
from connectors.http.viid_answers import Denied
from connectors.protocols import digest
from connectors.protocols.gat1400 import Message, decode
from connectors.protocols.gat1400_objects import text

_log = structlog.get_logger(__name__)
_GUESSES: Final = (0.5, 30)  # wrong passwords of one address: a second, at once
_SOURCES: Final = 10_000
_SHOWN: Final = 40  # characters of an id
Act = Callable[[Request, bytes, dt.datetime], Response]


class System:
    """Who is registered; and the interfaces, each of a request, its body and the time."""

    def __init__(self, devices: Devices, proof: Digest, sessions: Sessions, server_id: str) -> None:
        self._devices, self._proof, self._sessions, self._server_id = devices, proof, sessions, server_id
        self._guesses: dict[str, Bucket] = {}

    def alive(self, key: str, peer: str) -> bool:
        """Whether a device is registered from that address, and its keepalive not overdue."""
        return self._sessions.alive(key, peer) and self._devices.get(key) is not None

    def register(self, request: Request, body: bytes, now: dt.datetime) -> Response:
        """Open a session."""
        key, identity = self._proved(request, body)
        self._sessions.open(key, peer_of(request))
        _log.info("viid.registered", device=key, peer=peer_of(request))
        return answers.one(request.url.path, now, identity, "注册成功")

    def unregister(self, request: Request, body: bytes, now: dt.datetime) -> Response:
        """End a session."""
        key, identity = self._proved(request, body)
        self._sessions.close(key)
        return answers.one(request.url.path, now, identity, "注销成功")

    def keepalive(self, request: Request, _body: bytes, now: dt.datetime) -> Response:
        """A session goes on."""
        identity = identity_of(request)
        key, peer = key_of(identity), peer_of(request)
        if not (self.alive(key, peer) and self._sessions.renew(key, peer)):
            raise Denied(401, "no-session", identity[:_SHOWN])
        return answers.one(request.url.path, now, identity)

    def time(self, request: Request, _body: bytes, now: dt.datetime) -> Response:
        """Our clock."""
        identity = identity_of(request)
        if not self.alive(key_of(identity), peer_of(request)):
            raise Denied(401, "no-session", identity[:_SHOWN])
        return answers.system_time(now, self._server_id)

    def _proved(self, request: Request, body: bytes) -> tuple[str, str]:
        """The device that a Register or UnRegister is from: its key and id, proved."""
        header, named = identity_of(request), _named(body)
        if named and header and named != header:
            raise Denied(401, "bad-credentials", "User-Identify is not the DeviceID")
        identity = named or header
        key = key_of(identity)
        device = self._devices.get(key) if key else None
        if device is None:
            raise Denied(401, "unknown-device" if key else "no-device", identity[:_SHOWN])
        if not may_send_from(device, peer_of(request)):
            raise Denied(401, "bad-source", key=key)
        if device.digest is not None:
            self._prove(request, key, device.digest)
        return key, identity

    def _prove(self, request: Request, key: str, secret: str) -> None:
        given = request.headers.get("authorization")
        if given is None:
            raise Denied(401, "no-session")  # the first half of the handshake
        guesses = self._guesses_of(peer_of(request))
        if guesses.level < 1:
            raise Denied(429, "too-fast", "too many wrong passwords", key)
        outcome = self._proof.judge(digest.parse(given), request.method, request.url.path, secret)
        if outcome == WRONG:
            guesses.take()
            raise Denied(401, "bad-credentials", key=key)
        if outcome == STALE:
            raise Denied(401, "stale-nonce", key=key, stale=True)

    def _guesses_of(self, peer: str) -> Bucket:
        if peer not in self._guesses and len(self._guesses) >= _SOURCES:
            self._guesses.clear()
        bucket = self._guesses.setdefault(peer, Bucket(*_GUESSES))
        bucket.take(0)  # counts in what time has given back
        return bucket


def _named(body: bytes) -> str:
    """The DeviceID in a body; "" where there is none."""
    message = decode(body) if body.strip() else None
    objects = message.objects if isinstance(message, Message) else []
    return next((one.device for one in objects if one.device), "")


def identity_of(request: Request) -> str:
    """The DeviceID in the header that every request carries; "" where there is none."""
    return text(request.headers.get("user-identify")) or ""
