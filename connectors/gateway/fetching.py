"""Pictures that come as an address: fetched only from hosts that the operator allows, under limits, never from inside by a trick.

The name is resolved first and the connection goes to the address that was looked at, so that a second answer of the name server
cannot lead elsewhere. Private, local and reserved addresses count only where they, or their network, are on the list themselves.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

_REDIRECTS: Final = 3
_MOVED: Final = (301, 302, 303, 307, 308)
_OK: Final = 200
_AT_ONCE: Final = 16  # fetches of one request: so many pictures may be in memory
_RESOLVERS: Final = ThreadPoolExecutor(4, "resolve")  # a name server that hangs holds up nothing else
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(Exception):
    """The picture could not be fetched, or may not be."""


def resolved(host: str) -> list[str]:
    """Addresses of a host, as the system resolves it."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Fetching:
    """`hosts`: names, addresses and networks that may be asked; empty: none is."""

    hosts: tuple[str, ...] = ()
    most_bytes: int = 2_097_152
    seconds: float = 5.0
    resolve: Callable[[str], list[str]] = resolved

    def allows(self, url: str) -> bool:
        """Whether a URL's host is on the list.

        >>> fetching = Fetching(("store.example", "10.1.0.0/16"))
        >>> [fetching.allows(url) for url in ("http://store.example/a.jpg", "https://10.1.2.3/a", "http://b.example", "/a.jpg")]
        [True, True, False, False]
        """
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            return parts.scheme in ("http", "https") and (host in self._names() or self._listed(host))
        return False

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL that `allows`. Raises FetchError."""
        try:
            async with (
                asyncio.timeout(self.seconds),
                httpx.AsyncClient(trust_env=False, timeout=self.seconds) as client,
            ):
                return await self._follow(client, url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{type(error).__name__} {error}"[:200]) from error

    async def _follow(self, client: httpx.AsyncClient, url: str) -> bytes:
        origin = urlsplit(url).netloc
        for _ in range(_REDIRECTS + 1):
            if not self.allows(url) or urlsplit(url).netloc != origin:
                raise FetchError("redirected to another host")
            host = urlsplit(url).hostname or ""
            request = client.build_request(
                "GET", _at(url, await self._address(host)), headers={"Host": origin.rpartition("@")[2]}
            )
            request.extensions["sni_hostname"] = host
            response = await client.send(request, stream=True)
            try:
                if response.status_code in _MOVED and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                return await self._read(response)
            finally:
                await response.aclose()
        raise FetchError("redirected too often")

    async def _read(self, response: httpx.Response) -> bytes:
        if response.status_code != _OK:
            raise FetchError(f"status {response.status_code}")
        found = bytearray()
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > self.most_bytes:
                raise FetchError(f"more than {self.most_bytes} bytes")
        return bytes(found)

    async def _address(self, host: str) -> str:
        """An address of a host that may be asked. Raises FetchError."""
        found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, self.resolve, host)
        for address in found:
            if self._listed(address) or ipaddress.ip_address(address).is_global:
                return address
        raise FetchError("the host has no address that may be asked")

    def _names(self) -> frozenset[str]:
        return frozenset(host.lower() for host in self.hosts)

    def _listed(self, address: str) -> bool:
        """Whether an address, or a network that it lies in, is on the list."""
        try:
            ip: Address = ipaddress.ip_address(address)
        except ValueError:
            return False
        for one in self.hosts:
            with contextlib.suppress(ValueError):
                if ip in ipaddress.ip_network(one, strict=False):
                    return True
        return False


class Fetches:
    """The fetches of one upload request: several at once, and all of them within one deadline, so that hosts which hang cost the
    request no more time than one of them."""

    def __init__(self, fetching: Fetching) -> None:
        """In the event loop that fetches; the time runs from now."""
        self._fetching = fetching
        self._ends = asyncio.get_running_loop().time() + fetching.seconds
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL that is allowed. Raises FetchError."""
        try:
            async with asyncio.timeout_at(self._ends), self._slots:
                return await self._fetching.fetch(url)
        except TimeoutError:
            raise FetchError("not within the time of its request") from None


def _at(url: str, address: str) -> str:
    """A URL with its host replaced by an address."""
    parts = urlsplit(url)
    place = f"[{address}]" if ":" in address else address
    return urlunsplit(parts._replace(netloc=f"{place}:{parts.port}" if parts.port else place))
