"""Pictures: decoded under limits, stored once and whole, a full disk is waited for; what is fetched, and what never is."""

import asyncio
import base64
import doctest
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from connectors.gateway import fetching as fetching_module
from connectors.gateway import pictures as pictures_module
from connectors.gateway.fetching import FetchError, Fetches, Fetching
from connectors.gateway.pictures import PictureRefused, Pictures, compare, decoded, form_of
from connectors.metrics import GatewayMetrics
from connectors.simulate.gat1400 import picture
from fengsui.gateway import _cameras
from fengsui.settings import Settings

JPEG = picture("a")
SHA256 = hashlib.sha256(JPEG).hexdigest()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def store(tmp_path: Path, registry: CollectorRegistry) -> Iterator[Pictures]:
    made = Pictures(tmp_path / "p", 10_000, GatewayMetrics(registry))
    yield made
    made.close()


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(pictures_module).failed == 0
    assert doctest.testmod(fetching_module).failed == 0


def test_stored_once_and_found(store: Pictures, registry: CollectorRegistry) -> None:
    """Under its hash, with nothing left aside; the second time it is known; a changed byte shows."""

    async def twice() -> list[Any]:
        return list(await asyncio.gather(*(store.keep(JPEG) for _ in range(20))))

    kept = asyncio.run(twice())
    assert {(one.reference, one.sha256) for one in kept} == {(f"sha256:{SHA256}.jpg", SHA256)}
    path = store.root / SHA256[:2] / f"{SHA256}.jpg"
    assert path.read_bytes() == JPEG
    assert [one for one in store.root.rglob("*") if one.is_file()] == [path]
    assert store.find(SHA256) == store.find(f"sha256:{SHA256}.jpg") == path
    asyncio.run(store.keep(JPEG))
    assert registry.get_sample_value("fengsui_gateway_pictures_total", {"outcome": "known"})
    assert store.intact(SHA256)
    path.write_bytes(JPEG[:-1] + b"x")
    assert not store.intact(f"sha256:{SHA256}.jpg")
    assert not store.intact("0" * 64)
    assert store.find("../../etc/passwd") is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("?", "bad-picture"),
        ("AAA", "bad-picture"),
        ("é", "bad-picture"),
        ("R0lGODlh", "unknown-picture"),
        ("AAAA" * 9999, "picture-too-large"),
    ],
)
def test_refused(store: Pictures, data: str, reason: str) -> None:
    """Each with its reason; nothing is stored."""
    with pytest.raises(PictureRefused) as refused:
        asyncio.run(store.take(data, {}))
    assert refused.value.reason == reason
    assert not store.root.exists()


def test_limits_are_of_bytes() -> None:
    """Exactly as many bytes as allowed pass; one more does not."""
    assert len(decoded(base64.b64encode(b"x" * 100).decode(), 100)) == 100
    with pytest.raises(PictureRefused):
        decoded(base64.b64encode(b"x" * 101).decode(), 100)
    assert form_of(b"\x89PNG\r\n\x1a\n....") == "png"


@pytest.mark.parametrize("name", ["SHA256", "Sha-256", "md5", "FileHash", "file_hash"])
def test_declared_digests(name: str) -> None:
    """What the device says of a picture must be so; what is no digest is not looked at."""
    right = hashlib.md5(JPEG).hexdigest() if "md5" in name or "ash" in name.lower() else SHA256  # noqa: S324
    compare(JPEG, {name: right.upper(), "Other": "x"})
    compare(JPEG, {name: "none"})
    with pytest.raises(PictureRefused) as refused:
        compare(JPEG + b"x", {name: right})
    assert refused.value.reason == "bad-digest"


def test_a_full_disk_is_waited_for(
    store: Pictures, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said to be kept before it is; then it goes on by itself; each try is counted."""
    full = [OSError(28, "No space left on device")] * 2
    really = pictures_module.os.fsync

    def fsync(handle: int) -> None:
        if full:
            raise full.pop()
        really(handle)

    monkeypatch.setattr(pictures_module.os, "fsync", fsync)
    monkeypatch.setattr(pictures_module, "_SHORTEST_SECONDS", 0.001)
    assert asyncio.run(store.keep(JPEG)).sha256 == SHA256
    assert store.intact(SHA256)
    assert (registry.get_sample_value("fengsui_gateway_picture_waits_total") or 0) >= 1
    assert not list((store.root / "incoming").iterdir())


def test_closing_ends_the_waiting(store: Pictures) -> None:
    """A gateway that stops does not wait for a disk."""
    store.close()
    with pytest.raises((TimeoutError, RuntimeError)):
        asyncio.run(store.keep(JPEG))


class _Store(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.headers["Host"] == f"store.example:{self.server.server_address[1]}"
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/a.jpg")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1/a.jpg")
        elif self.path == "/a.jpg":
            self.send_response(200)
            self.send_header("Content-Length", str(len(JPEG)))
        else:
            self.send_response(404)
        self.end_headers()
        if self.path == "/a.jpg":
            self.wfile.write(JPEG)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetched_from_listed_hosts_only(web: int) -> None:
    """A listed name whose private address is listed too; redirects within the host; nothing else."""
    url = f"http://store.example:{web}"
    fetching = Fetching(("store.example", "127.0.0.0/8"), resolve=lambda _host: ["127.0.0.1"])
    assert asyncio.run(fetching.fetch(f"{url}/a.jpg")) == JPEG
    assert asyncio.run(fetching.fetch(f"{url}/moved")) == JPEG
    for path in ("/away", "/missing"):
        with pytest.raises(FetchError):
            asyncio.run(fetching.fetch(url + path))
    small = Fetching(fetching.hosts, 100, resolve=fetching.resolve)
    with pytest.raises(FetchError):
        asyncio.run(small.fetch(f"{url}/a.jpg"))


def test_fetches_of_a_request_have_one_deadline(web: int) -> None:
    """However many hosts hang; what answers meanwhile is there, and so few are asked at once that they fit into memory."""
    hanging = socket.create_server(("127.0.0.1", 0), backlog=100)
    urls = [f"http://hangs.example:{hanging.getsockname()[1]}/{number}.jpg" for number in range(15)]
    fetching = Fetching(
        ("store.example", "hangs.example", "127.0.0.0/8"), seconds=1.0, resolve=lambda _host: ["127.0.0.1"]
    )

    async def all_of_them() -> list[bytes | BaseException]:
        fetches = Fetches(fetching)
        asked = [*urls, f"http://store.example:{web}/a.jpg", *urls]
        return list(await asyncio.gather(*map(fetches.fetch, asked), return_exceptions=True))

    began = time.monotonic()
    with hanging:
        found = asyncio.run(all_of_them())
    assert time.monotonic() - began < 2.5
    assert [one for one in found if not isinstance(one, FetchError)] == [JPEG]


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    """A picture is judged as ever; nothing is written, nothing swept away, nobody asked."""
    old = tmp_path / "incoming" / "x"
    old.parent.mkdir()
    old.touch()
    os.utime(old, (0, 0))
    settings = Settings(pictures_dir=tmp_path, gateway_dry_run=True, picture_hosts=("127.0.0.0/8",))
    with ExitStack() as stack:
        wire = _cameras(settings, stack)
        assert asyncio.run(wire.pictures.take(base64.b64encode(JPEG).decode(), {})).sha256 == SHA256
        with pytest.raises(PictureRefused):
            asyncio.run(wire.pictures.keep(JPEG, {"sha256": "0" * 64}))
        assert not wire._fetching.allows("http://127.0.0.1/a.jpg")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fd00::1"])
def test_a_name_cannot_lead_inside(address: str) -> None:
    """A listed name that resolves to an address which is not listed and not public is not asked."""
    fetching = Fetching(("store.example",), resolve=lambda _host: [address])
    with pytest.raises(FetchError, match="no address"):
        asyncio.run(fetching.fetch("http://store.example/a.jpg"))
