"""A real mosquitto with users, passwords and access lists, on a port that the system chose."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.mqttlink import Address
from fengsui.embedded.ports import free_ports

READER, PASSWORD = "gateway", "what only the gateway knows"
_MORE_PATHS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


def program(name: str) -> str:
    """Where a program of the package is; the test is left out without it."""
    found = shutil.which(name) or shutil.which(name, path=_MORE_PATHS)
    if found is None:
        pytest.skip("needs mosquitto: scripts/debian_packages.sh mosquitto (or apt-get install mosquitto)")
    return found


class Mosquitto:
    """A broker. `users`: name -> password; each may publish to its own `fengsui/<name>/#` only, `gateway` may read everything."""

    def __init__(self, home: Path, users: Mapping[str, str], more: str = "") -> None:
        self.port = free_ports(1)[0]
        self._home = home
        self._program = program("mosquitto")
        home.mkdir(parents=True, exist_ok=True)
        self._passwords({READER: PASSWORD} | dict(users))
        self._write("acl", f"user {READER}\ntopic read fengsui/#\n" + "".join(map(_may, users)))
        self._write(
            "conf",
            f"user {pwd.getpwuid(os.getuid()).pw_name}\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {home}/passwords\nacl_file {home}/acl\n"
            f"persistence true\npersistence_location {home}/\nmax_queued_messages 0\n{more}",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, name: str, text: str) -> None:
        path = self._home / name
        path.write_text(text)
        path.chmod(0o600)

    def _passwords(self, users: Mapping[str, str]) -> None:
        self._write("passwords", "".join(f"{name}:{password}\n" for name, password in users.items()))
        subprocess.run([program("mosquitto_passwd"), "-U", str(self._home / "passwords")], check=True)

    def address(self, user: str, password: str) -> Address:
        return Address("127.0.0.1", self.port, user=user, password=password)

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"mqtt://{READER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self._home / "log").open("ab") as log:
            command = [self._program, "-c", str(self._home / "conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            assert self._process.poll() is None, (self._home / "log").read_text()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)

    def stop(self) -> None:
        """In order: its sessions are written down."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)


def _may(user: str) -> str:
    return f"user {user}\ntopic write fengsui/{user}/#\n"


@contextmanager
def mosquitto(home: Path, users: Mapping[str, str], more: str = "") -> Iterator[Mosquitto]:
    """A running broker for the length of a block."""
    broker = Mosquitto(home, users, more)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
