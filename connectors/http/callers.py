"""Who calls the HTTP door: somebody with a token, who may send every event, or a registered device, which may send its own."""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from connectors.devices.device import Device
from connectors.devices.owning import NOT_YOURS, not_its_own
from connectors.devices.registry import Devices, may_send_from
from connectors.http.forms import Item

PROTOCOL: Final = "http"


@dataclass(frozen=True, slots=True)
class Caller:
    """`device`: the one whose own events may come; None: all events may."""

    device: Device | None = None


class NotAllowed(Exception):  # noqa: N818 - what is the case, with the answer to give
    """No token and no device (401), or from an address that the device may not send from (403)."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Callers:
    """Tokens of the settings, and devices of the register under `http:<name>`, each with its password."""

    def __init__(self, tokens: Sequence[str], devices: Devices | None = None) -> None:
        """No tokens: everybody who reaches the address may send (it is 127.0.0.1); a device still sends its own only."""
        self._tokens = [hashlib.sha256(token.encode()).digest() for token in tokens]
        self._devices = Devices() if devices is None else devices  # one that is empty yet is false

    async def of(self, authorization: str, address: str) -> Caller:
        """Who calls. Raises NotAllowed."""
        scheme, _, given = authorization.partition(" ")
        bearer = scheme.lower() == "bearer"
        if bearer and self._is_token(given.strip()):
            return Caller()
        device = await self.device(authorization, address)
        if device is not None:
            return Caller(device)
        if self._tokens or _claims(authorization, self._devices) is not None:
            raise NotAllowed(401)
        return Caller()

    async def device(self, authorization: str, address: str) -> Device | None:
        """The registered device that proves itself by `Basic name:password` or `Bearer name.password`. Raises NotAllowed(403)."""
        claim = _claims(authorization, self._devices)
        if claim is None:
            return None
        name, password = claim
        device = self._devices.get(f"{PROTOCOL}:{name}")
        if device is None or device.secret is None:  # without a secret anybody could be it
            return None
        if not await asyncio.to_thread(self._devices.proves, device, password, address):
            return None
        if not may_send_from(device, address):
            raise NotAllowed(403)
        return device

    def _is_token(self, given: str) -> bool:
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        # Every token is compared, so that time tells nothing about which one was nearly right.
        matches = [hmac.compare_digest(digest, known) for known in self._tokens]
        return any(matches)


def peer_of(request: Request) -> str:
    """The address that a request came from; "" where that is not known."""
    return request.client.host if request.client is not None else ""


def own(items: list[Item], device: Device | None) -> list[Item]:
    """Items with those refused that are not the device's own."""
    if device is None:
        return items
    return [_own(item, device) for item in items]


def _own(item: Item, device: Device) -> Item:
    stranger = "" if item.record is None else not_its_own(device, item.record)
    return replace(item, kind=None, record=None, reason=NOT_YOURS, detail=stranger) if stranger else item


def _claims(authorization: str, devices: Devices) -> tuple[str, str] | None:
    """Name and password that a caller gives for a device's; None where it gives none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return "", ""
        return name, password
    name, dot, password = given.strip().partition(".")
    named = scheme.lower() == "bearer" and dot and devices.get(f"{PROTOCOL}:{name}") is not None
    return (name, password) if named else None
