"""An AI camera, or a platform of them, that speaks GA/T 1400: registers by Digest, keeps alive, uploads findings with pictures.

What is not answered with StatusCode 0 is sent again: after 401 it registers anew, after 429 and 503 it waits as it is told, and a
connection that is refused or breaks is tried again.

async with Camera("http://127.0.0.1:8080", "33020300001190000001", "secret") as camera:
    await camera.upload([camera.finding("未戴厨师帽", at_ms)])
"""

import asyncio
import base64
import hashlib
import itertools
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

import httpx

from connectors.devices.clock import SECOND_DIGITS, digits
from connectors.protocols import digest

MEDIA: Final = "application/VIID+JSON"
OK: Final = "0"
_UNAUTHORISED: Final = 401
_DONE: Final = 200
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 5.0
_AGAIN: Final = (408, 429, 500, 502, 503, 504)
_KINDS: Final = {"Image": "Images", "Person": "Persons", "Face": "Faces"}


class CameraError(RuntimeError):
    """The platform refused what cannot be mended by sending it again."""


def picture(seed: str, size: int = 2_000) -> bytes:
    """Bytes that begin and end as a JPEG does; another seed, another picture.

    >>> picture("a")[:3].hex(), len(picture("a")), picture("a") == picture("b")
    ('ffd8ff', 2000, False)
    """
    drawn = hashlib.shake_256(seed.encode()).digest(max(0, size - 6))
    return b"\xff\xd8\xff\xe0" + drawn + b"\xff\xd9"


class Camera:
    """One device. `acknowledged` counts objects that were answered with StatusCode 0, `resent` uploads sent again."""

    def __init__(
        self, url: str, device_id: str, password: str = "", *, client: httpx.AsyncClient | None = None
    ) -> None:
        """`client`: shared by several cameras; without it, one of its own."""
        self._url, self.device_id, self._password = url.rstrip("/"), device_id, password
        self._client = client or httpx.AsyncClient(timeout=30, trust_env=False)
        self._owns = client is None
        self._challenge: dict[str, str] | None = None
        self._count = itertools.count(1)
        self._numbers = itertools.count(1)
        self.acknowledged = self.resent = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns:
            await self._client.aclose()

    async def register(self) -> None:
        """Register: asked for proof, give it. Raises CameraError."""
        await self._proved("Register")

    async def unregister(self) -> None:
        """Take leave. Raises CameraError."""
        await self._proved("UnRegister")

    async def keepalive(self) -> bool:
        """Say that it lives; False where the platform does not know it (any more)."""
        body = {"KeepaliveObject": {"DeviceID": self.device_id}}
        return (await self._post("System/Keepalive", body)).status_code == _DONE

    async def time(self) -> str:
        """The platform's clock, 14 digits. Raises CameraError."""
        response = await self._client.get(f"{self._url}/VIID/System/Time", headers=self._headers())
        if response.status_code != _DONE:
            raise CameraError(f"Time: {response.status_code}")
        return str(response.json()["SystemTimeObject"]["LocalTime"])

    def finding(
        self, title: str, at_ms: int, *, confidence: float | None = 0.9, shot: bytes | None = None, **more: Any
    ) -> dict[str, Any]:
        """An ImageObject with its picture. `more`: members beside, or instead."""
        number = next(self._numbers)
        when = digits(at_ms)[:SECOND_DIGITS]
        data = picture(f"{self.device_id}/{at_ms}/{number}") if shot is None else shot
        info: dict[str, Any] = {
            "ImageID": f"{self.device_id}02{when}{number:05d}",
            "DeviceID": self.device_id,
            "InfoKind": 1,
            "EventSort": 4,
            "Title": title,
            "ShotTime": when,
            "FileFormat": "Jpeg",
        }
        if confidence is not None:
            info["Confidence"] = confidence
        return {"ImageInfo": info | more, "Data": base64.b64encode(data).decode()}

    def person(self, at_ms: int, *, shot: bytes | None = None, **more: Any) -> dict[str, Any]:
        """A PersonObject with its picture as a sub-image."""
        number, when = next(self._numbers), digits(at_ms)[:SECOND_DIGITS]
        data = picture(f"{self.device_id}/{at_ms}/{number}") if shot is None else shot
        image: dict[str, Any] = {
            "ImageID": f"{self.device_id}02{when}{number:05d}",
            "DeviceID": self.device_id,
            "Type": "10",
        }
        image |= {"EventSort": 4, "FileFormat": "Jpeg", "ShotTime": when, "Data": base64.b64encode(data).decode()}
        one: dict[str, Any] = {
            "PersonID": f"{image['ImageID']}01{number:05d}",
            "DeviceID": self.device_id,
            "PersonAppearTime": when,
        }
        return one | {"SubImageList": {"SubImageInfoObject": [image]}} | more

    async def upload(self, objects: Sequence[dict[str, Any]], kind: str = "Image", *, tries: int = 100) -> list[str]:
        """Send until it is answered for good: the StatusCode of each object. Raises CameraError after so many tries."""
        member = "Image" if kind == "Image" else f"{kind}Object"
        body = {f"{kind}ListObject": {member: list(objects)}}
        for wait in itertools.islice(_waits(), tries):
            try:
                response = await self._post(_KINDS.get(kind, f"{kind}s"), body)
                if response.status_code == _UNAUTHORISED:
                    await self.register()
                elif response.status_code not in _AGAIN:
                    return self._codes(response)
                wait = float(response.headers.get("Retry-After", wait))  # noqa: PLW2901 - as it is told
            except httpx.TransportError:
                pass  # sent again, whether or not it came through
            self.resent += 1
            await asyncio.sleep(min(wait, _LONGEST_SECONDS))
        raise CameraError(f"not taken in {tries} tries")

    def _codes(self, response: httpx.Response) -> list[str]:
        if response.status_code != _DONE:
            raise CameraError(f"{response.status_code} {response.text[:200]}")
        told = response.json()["ResponseStatusListObject"]["ResponseStatusObject"]
        codes = [str(one["StatusCode"]) for one in told]
        self.acknowledged += codes.count(OK)
        return codes

    async def _proved(self, name: str) -> None:
        body = {f"{name}Object": {"DeviceID": self.device_id}}
        for _ in range(3):  # with the nonce it has, with a fresh one, and once more where that came too late
            response = await self._post(f"System/{name}", body, self._authorization(f"/VIID/System/{name}"))
            if response.status_code == _DONE:
                return
            if response.status_code != _UNAUTHORISED:
                break
            self._challenge, self._count = _parameters(response.headers.get("WWW-Authenticate", "")), itertools.count(1)
        raise CameraError(f"{name}: {response.status_code} {response.text[:200]}")

    def _authorization(self, uri: str) -> dict[str, str]:
        if self._challenge is None:
            return {}
        given = {"username": self.device_id, "realm": self._challenge["realm"], "nonce": self._challenge["nonce"]}
        given |= {"uri": uri, "qop": "auth", "nc": f"{next(self._count):08x}", "cnonce": secrets.token_hex(8)}
        proof = digest.response(given, "POST", self._password)
        quoted = ", ".join(f'{n}="{given[n]}"' for n in ("username", "realm", "nonce", "uri", "cnonce"))
        return {"Authorization": f'Digest {quoted}, qop=auth, nc={given["nc"]}, response="{proof}", algorithm=MD5'}

    async def _post(self, path: str, body: dict[str, Any], more: dict[str, str] | None = None) -> httpx.Response:
        return await self._client.post(f"{self._url}/VIID/{path}", json=body, headers=self._headers() | (more or {}))

    def _headers(self) -> dict[str, str]:
        return {"User-Identify": self.device_id, "Content-Type": MEDIA}


def _parameters(challenge: str) -> dict[str, str]:
    """Realm and nonce of a challenge. Raises CameraError where it is none."""
    needed = 'username="", uri="", response=""'  # so that the header parser takes it
    found = digest.parse(f"{challenge}, {needed}")
    if found is None:
        raise CameraError("no Digest challenge")
    return found


def _waits() -> Iterator[float]:
    wait = _SHORTEST_SECONDS
    while True:
        yield wait
        wait = min(2 * wait, _LONGEST_SECONDS)
