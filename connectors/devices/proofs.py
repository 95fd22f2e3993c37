"""Passwords of devices: the right one is remembered as a hash, wrong ones are limited, and none is kept in the clear.

>>> from connectors.devices.device import seal
>>> proofs, secret = Proofs(), seal("123456")
>>> proofs.judge("hj212:A", secret, "123456", "10.0.0.1"), proofs.judge("hj212:A", secret, "654321", "10.0.0.1")
(True, False)
"""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from connectors.devices.device import LONGEST_PASSWORD, proves
from connectors.gateway.limits import Bucket

_GUESSES: Final = (1 / 6, 10)  # wrong passwords of one device from one address: a second, at once
_GUESSERS: Final = 50_000  # pairs of device and address that are remembered
_ONE: Final = 1.0


class Proofs:
    """Whether passwords are right, for all devices. Safe to use from any thread.

    Beyond the limit of wrong ones also the right password has to wait, or guessing would not be limited; only from that address.
    Cost: 2 us where the right one is known, else 0.5 ms; 0.2 kB a device, 0.4 kB for each pair that guessed wrong.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._right: dict[str, tuple[str, bytes]] = {}  # device -> its secret, and the hash of what proves it
        self._guesses: OrderedDict[tuple[str, str], Bucket] = OrderedDict()  # the pair that guessed last stands last
        self._lock = threading.Lock()
        self._now = now

    def judge(self, key: str, secret: str, password: str, peer: str | None) -> bool:
        """Whether that is the password of a device, said from an address; None: by what was kept, which nobody guesses with."""
        if len(password) > LONGEST_PASSWORD:
            return False
        if peer is not None and (key, peer) in self._guesses and not self._may_guess(key, peer):
            return False
        digest = _digest(secret, password)
        known, right = self._right.get(key, ("", b""))
        # Where the right one is known no other can be, so that wrong ones are not stretched either.
        proved = hmac.compare_digest(right, digest) if known == secret else proves(secret, password)
        if proved:
            self._right[key] = (secret, digest)
        elif peer is not None:
            self._guessed_wrong(key, peer)
        return proved

    def forget(self, key: str) -> None:
        """A device is not in the register any more."""
        self._right.pop(key, None)

    def _may_guess(self, key: str, peer: str) -> bool:
        with self._lock:
            bucket = self._guesses.get((key, peer))
            if bucket is None:
                return True
            self._guesses.move_to_end((key, peer))
            bucket.take(0)  # counts in what time has given back
            return bucket.level >= _ONE

    def _guessed_wrong(self, key: str, peer: str) -> None:
        with self._lock:
            bucket = self._guesses.get((key, peer))
            if bucket is None:
                bucket = self._guesses[key, peer] = Bucket(*_GUESSES, self._now)
                if len(self._guesses) > _GUESSERS:
                    self._guesses.popitem(last=False)
            else:
                self._guesses.move_to_end((key, peer))
            bucket.take()


def _digest(secret: str, password: str) -> bytes:
    salt = secret.partition("$")[0]
    return hashlib.sha256(f"{salt}${password}".encode("utf-8", "surrogateescape")).digest()
