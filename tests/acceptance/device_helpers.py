"""What the acceptance tests of device gateways share: topics, a gateway process, a register, devices that speak."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connectors.protocols import hj212
from fengsui.crew import address_file, environment
from fengsui.publishing import put_devices
from fengsui.settings import Settings
from tests.acceptance import gateway_helpers


def make_topics(settings: Settings) -> None:
    """The topics that gateways use, under the settings' prefix."""
    gateway_helpers.make_topics(settings, "devices", "parking")


def register(settings: Settings, key: str, **more: Any) -> None:
    """A device of a subject of its own."""
    body = {"subject": f"site:{key.partition(':')[2]}", "sector": "ecology", "region": "330106"} | more
    put_devices(settings, {key: (body, None)})


class Gateway:
    """A gateway process: `port(name)`, `kill()`, `start()` again on the same ports."""

    def __init__(self, settings: Settings, more: Mapping[str, str]) -> None:
        self.settings, self._more = settings, dict(more)
        self.url = ""
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        doors = {f"FENGSUI_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        if self.url:
            doors["FENGSUI_HTTP_PORT"] = self.url.rpartition(":")[2]
        env = environment(self.settings) | doors | self._more
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.settings.data_dir / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fengsui", "gateway"], env=env, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: self._told() or self._dead(), 60)
        assert self.process.poll() is None, (self.settings.data_dir / "gateway.log").read_text()[-2000:]

    def _told(self) -> bool:
        assert self.process is not None
        path = address_file(self.settings, self.process.pid)
        if not path.exists():
            return False
        told = json.loads(path.read_text())
        self.url, self.ports = told["url"], told["ports"]
        return True

    def _dead(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        assert self.process is not None
        os.kill(self.process.pid, with_signal)
        self.process.wait(30)


@contextmanager
def gateway(settings: Settings, **more: str) -> Iterator[Gateway]:
    """A gateway process for the length of a block; `more`: settings by name, in its environment."""
    running = Gateway(settings, {f"FENGSUI_{name.upper()}": value for name, value in more.items()})
    running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.kill(signal.SIGTERM)


def until(done: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What a condition gives, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = done()
        if found:
            return found
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def talk(port: int, data: bytes, answers: int, seconds: float = 15.0) -> bytes:
    """Send bytes on a connection of their own; what comes back, until that is so many bytes or the other side hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        line.sendall(data)
        found = b""
        while len(found) < answers:
            more = line.recv(65_536)
            if not more:
                break
            found += more
        return found


def stamp(ms: int) -> str:
    """China's time in 17 digits."""
    moment = time.gmtime(ms / 1000 + 8 * 3600)
    return time.strftime("%Y%m%d%H%M%S", moment) + f"{ms % 1000:03d}"


def data_frame(mn: str, at: int, value: float, *, flag: int = 5, pw: str = "123456", cn: str = "2011") -> bytes:
    """A real-time COD reading that asks for an answer."""
    header = {"QN": stamp(at), "ST": 32, "CN": cn, "PW": pw, "MN": mn, "Flag": flag}
    factors = {"w01018": {"Rtd" if cn == "2011" else "Avg": value, "Flag": "N"}}
    return hj212.encode(header, hj212.encode_area({"DataTime": stamp(at)[:14]}, factors))


def answer_of(frame: bytes) -> bytes:
    """What the standard answers to a frame."""
    (one,) = hj212.decode(frame)
    assert isinstance(one, hj212.Frame)
    return hj212.answer(one) or b""
