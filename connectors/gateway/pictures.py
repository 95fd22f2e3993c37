"""Pictures as evidence: decoded under limits, hashed as they came, stored once under their hash before anything is answered.

A picture lies at `ab/<sha256>.jpg` below the directory, written aside, synced and renamed, so that a name always means the
whole picture; `sha256:<sha256>.jpg` is how events refer to it. A disk that takes nothing is waited for.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import structlog

from connectors.devices.gat1400 import Shown
from connectors.disk import make_folder, sync_folder
from connectors.metrics import GatewayMetrics, shared

log = structlog.get_logger(__name__)
_SIGNATURES: Final = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"))
_REFERENCE: Final = re.compile(r"sha256:([0-9a-f]{64})\.(jpg|png)")
_DATA_URI: Final = re.compile(r"data:[\w/+.-]{0,80};base64,", re.IGNORECASE)
_DECLARED: Final = ("sha256", "md5", "filehash")  # members as vendors write them, in any case, with or without - and _
_BY_LENGTH: Final = {32: "md5", 64: "sha256"}
_INCOMING: Final = "incoming"
_FORGOTTEN_SECONDS: Final = 3600.0
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 10.0
_THREADS: Final = 4


class PictureRefused(Exception):  # noqa: N818 - what is the case
    """A picture that is not kept: named reason, detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def decoded(data: str, most_bytes: int) -> bytes:
    """The bytes of a picture in Base64. Raises PictureRefused (picture-too-large, bad-picture).

    >>> decoded("data:image/jpeg;base64,/9j/ 4A==", 100)
    b'\\xff\\xd8\\xff\\xe0'
    """
    prefix = _DATA_URI.match(data)
    text = "".join((data[prefix.end() :] if prefix else data).split())
    if len(text) > 4 * (most_bytes // 3 + 1):
        raise PictureRefused("picture-too-large", f"{len(text)} characters")
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureRefused("bad-picture", str(error)[:100]) from None
    if len(found) > most_bytes:
        raise PictureRefused("picture-too-large", f"{len(found)} bytes")
    return found


def form_of(data: bytes) -> str:
    """`jpg` or `png`, by its first bytes. Raises PictureRefused (unknown-picture)."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    raise PictureRefused("unknown-picture", f"begins with {data[:8].hex()}")


def compare(data: bytes, fields: Mapping[str, Any]) -> None:
    """Hold a picture against the digest that its device declared, if it did. Raises PictureRefused (bad-digest)."""
    for name, value in fields.items():
        if name.replace("-", "").replace("_", "").lower() not in _DECLARED or not isinstance(value, str):
            continue
        declared = value.strip().lower()
        algorithm = _BY_LENGTH.get(len(declared))
        if algorithm is not None and not hmac.compare_digest(hashlib.new(algorithm, data).hexdigest(), declared):
            raise PictureRefused("bad-digest", f"{name} {declared}")


class Pictures:
    """The directory of pictures. Safe to use from several threads, event loops and processes at once."""

    def __init__(
        self, root: Path, most_bytes: int = 2_097_152, metrics: GatewayMetrics | None = None, *, dry_run: bool = False
    ) -> None:
        """Made when first written to; what a gateway left half written there is swept away. `dry_run`: judge pictures only."""
        self.root, self.most_bytes, self._dry_run = root, most_bytes, dry_run
        self.metrics = metrics or shared()
        self._pool = ThreadPoolExecutor(_THREADS, "pictures")
        self._closing = threading.Event()
        if not dry_run:
            self._sweep()

    def close(self) -> None:
        """Wait for no disk any more."""
        self._closing.set()
        self._pool.shutdown(wait=False)

    async def take(self, data: str, fields: Mapping[str, Any]) -> Shown:
        """Decode and store a picture in Base64, held against what its device says of it. Raises as `keep`."""
        loop = asyncio.get_running_loop()
        return await self.keep(await loop.run_in_executor(self._pool, decoded, data, self.most_bytes), fields)

    async def keep(self, data: bytes, fields: Mapping[str, Any] | None = None) -> Shown:
        """Store a picture; it is on the disk when this returns. Raises PictureRefused; TimeoutError when closing."""
        loop = asyncio.get_running_loop()
        form = form_of(data)
        sha256 = await loop.run_in_executor(self._pool, _hashed, data, fields or {})
        if self._dry_run:
            return Shown(f"sha256:{sha256}.{form}", sha256)
        wait = _SHORTEST_SECONDS
        while not self._closing.is_set():
            try:
                outcome = await loop.run_in_executor(self._pool, self._store, self._path(sha256, form), data)
            except OSError as error:
                self.metrics.picture_waits.inc()
                log.warning("pictures.waiting", error=error.strerror, again_in=wait)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_SECONDS)
            else:
                self.metrics.picture(outcome)
                return Shown(f"sha256:{sha256}.{form}", sha256)
        raise TimeoutError("closing")

    def find(self, sha256: str) -> Path | None:
        """Where a picture lies, by hash or reference; None where it is not here."""
        match = _REFERENCE.fullmatch(sha256)
        digest, forms = (match[1], (match[2],)) if match else (sha256, tuple(name for _, name in _SIGNATURES))
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            return None
        return next((path for form in forms if (path := self._path(digest, form)).is_file()), None)

    def intact(self, sha256: str) -> bool:
        """Whether a picture is here and its bytes still have that hash."""
        path, match = self.find(sha256), _REFERENCE.fullmatch(sha256)
        if path is None:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == (match[1] if match else sha256)

    def _path(self, sha256: str, form: str) -> Path:
        return self.root / sha256[:2] / f"{sha256}.{form}"

    def _store(self, path: Path, data: bytes) -> str:
        """Write unless it is there already. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == len(data):
                sync_folder(path.parent)  # whoever wrote it may not have come so far
                return "known"
        incoming = self.root / _INCOMING
        for folder in (incoming, path.parent):
            make_folder(folder)
        aside = incoming / uuid.uuid4().hex
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
        return "kept"

    def _sweep(self) -> None:
        old = time.time() - _FORGOTTEN_SECONDS
        with contextlib.suppress(OSError):
            for path in (self.root / _INCOMING).iterdir():
                if path.stat().st_mtime < old:
                    path.unlink(missing_ok=True)


def _hashed(data: bytes, fields: Mapping[str, Any]) -> str:
    compare(data, fields)
    return hashlib.sha256(data).hexdigest()
