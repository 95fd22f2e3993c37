"""A request's body, read under limits: never more than the limit in memory, compressed or not, and never for ever."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

_GZIP: Final = 31  # zlib's wbits for a gzip header and trailer


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body as sent and as unpacked, and the seconds a sender has for it."""

    body_bytes: int = 1_048_576
    unpacked_bytes: int = 4_194_304
    body_seconds: float = 20.0


class BodyRefused(Exception):  # noqa: N818 - what happened to the body, with the answer to give
    """The body is not taken: HTTP status, named reason, detail for people."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


async def read_body(chunks: AsyncIterator[bytes], encoding: str, limits: Limits) -> bytes:
    """The whole body, unpacked. Raises BodyRefused with 400, 408, 413 or 415 as soon as that is known."""
    unpack = _unpacker(encoding, limits)
    body = bytearray()
    received = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in chunks:
                received += len(chunk)
                if received > limits.body_bytes:
                    raise _too_large(limits.body_bytes)
                body += unpack.feed(chunk, len(body)) if unpack else chunk
    except TimeoutError as error:
        raise BodyRefused(408, "slow-sender", f"no whole body within {limits.body_seconds:g} s") from error
    if unpack:
        unpack.finish()
    return bytes(body)


def refuse_announced(content_length: str | None, limits: Limits) -> None:
    """Refuse by the announced length, before a byte is read. Raises BodyRefused(413)."""
    if content_length is not None and content_length.isdecimal() and int(content_length[:20]) > limits.body_bytes:
        raise _too_large(limits.body_bytes)


class _Gunzip:
    """gzip, member by member, which stops one byte over the limit: a bomb costs no more memory than that."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes, have: int) -> bytes:
        """What a compressed chunk adds to `have` unpacked bytes. Raises BodyRefused."""
        out = bytearray()
        try:
            while data:
                if self._member.eof:
                    self._member = zlib.decompressobj(_GZIP)
                self._begun = True
                out += self._member.decompress(data, self._limit - have - len(out) + 1)
                if have + len(out) > self._limit:
                    raise _too_large(self._limit)
                data = self._member.unused_data
        except zlib.error as error:
            raise BodyRefused(400, "bad-gzip", str(error)[:200]) from error
        return bytes(out)

    def finish(self) -> None:
        """The body is over. Raises BodyRefused when its last member is not."""
        if self._begun and not self._member.eof:
            raise BodyRefused(400, "bad-gzip", "the gzip stream ends too early")


def _unpacker(encoding: str, limits: Limits) -> _Gunzip | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip"):
        return _Gunzip(limits.unpacked_bytes)
    raise BodyRefused(415, "unknown-encoding", f"content encoding {name[:40]}")


def _too_large(limit: int) -> BodyRefused:
    return BodyRefused(413, "too-large", f"more than {limit} bytes")
