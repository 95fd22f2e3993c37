"""Digest as a server asks for it (RFC 2617, MD5, qop=auth): nonces that need no memory, and counts that never come twice.

A nonce carries its time and is signed, so that any number can be given away. Only what proved a password is remembered: the
highest count of each nonce, until that nonce is too old anyway.
"""

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from connectors.devices.device import REALM
from connectors.protocols import digest

SECONDS: Final = 60.0
MOST: Final = 50_000  # nonces whose counts are remembered
_TIME_CHARS: Final = 12
_RANDOM_CHARS: Final = 16
_SIGNED_CHARS: Final = 32
_COUNT_CHARS: Final = 8
PROVED, STALE, WRONG = "", "stale", "bad-credentials"


class Digest:
    """Asks for proof (`challenge`) and judges it (`judge`)."""

    def __init__(
        self, seconds: float = SECONDS, most: int = MOST, now: Callable[[], float] = time.time, key: bytes | None = None
    ) -> None:
        """`seconds`: how long a nonce is good; `most`: nonces that are remembered."""
        self._seconds, self._most, self._now = seconds, most, now
        self._key = key or os.urandom(32)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._after = 0  # nonces given (ms) until then are not taken: their counts were forgotten

    def challenge(self, *, stale: bool = False) -> str:
        """What `WWW-Authenticate` says."""
        again = ", stale=true" if stale else ""
        return f'Digest realm="{REALM}", qop="auth", algorithm=MD5, nonce="{self._nonce()}"{again}'

    def judge(self, given: Mapping[str, str] | None, method: str, path: str, secret: str) -> str:
        """PROVED; STALE: the password is right, but ask again with a fresh nonce; WRONG. `secret`: HA1 of the device."""
        if given is None or not self._complete(given, path):
            return WRONG
        if not digest.same(digest.response_to(given, method, secret), given["response"]):
            return WRONG
        issued = self._issued(given["nonce"])
        count = int(given["nc"], 16)
        if issued is None or count <= self._counts.get(given["nonce"], 0):
            return STALE
        self._remember(given["nonce"], count)
        return PROVED

    def _complete(self, given: Mapping[str, str], path: str) -> bool:
        """Whether it is meant for us and this address; with or without a host, as devices write it."""
        count = given.get("nc", "")
        return (
            given["realm"] == REALM
            and given.get("qop") == "auth"
            and given.get("algorithm", "MD5").upper() == "MD5"
            and bool(given.get("cnonce"))
            and len(count) == _COUNT_CHARS
            and all(digit in "0123456789abcdefABCDEF" for digit in count)
            and _path(given["uri"]) == path
        )

    def _nonce(self) -> str:
        head = f"{round(self._now() * 1000):0{_TIME_CHARS}x}{os.urandom(_RANDOM_CHARS // 2).hex()}"
        return head + self._sign(head)

    def _sign(self, head: str) -> str:
        return hmac.new(self._key, head.encode(), hashlib.sha256).hexdigest()[:_SIGNED_CHARS]

    def _issued(self, nonce: str) -> int | None:
        """When a nonce was given, ms; None where it is not ours, or too old."""
        head, signed = nonce[: _TIME_CHARS + _RANDOM_CHARS], nonce[_TIME_CHARS + _RANDOM_CHARS :]
        if not hmac.compare_digest(self._sign(head).encode(), signed.encode("utf-8", "surrogateescape")):
            return None
        issued = int(head[:_TIME_CHARS], 16)
        fresh = 0 <= self._now() * 1000 - issued <= self._seconds * 1000
        return issued if fresh and issued > self._after else None

    def _remember(self, nonce: str, count: int) -> None:
        self._counts[nonce] = count
        oldest = self._now() * 1000 - self._seconds * 1000
        while self._counts:
            first = next(iter(self._counts))
            issued = int(first[:_TIME_CHARS], 16)
            if issued >= oldest and len(self._counts) <= self._most:
                return
            del self._counts[first]
            self._after = max(self._after, issued)  # a clock that is set back brings none of them back


def _path(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return ""
