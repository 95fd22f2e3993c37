"""A real mosquitto with users, passwords and access lists, on a port that the system chose."""

import datetime as dt
import ipaddress
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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

    def __init__(self, home: Path, users: Mapping[str, str], tls: Path | None = None) -> None:
        self.port, self.tls_port = free_ports(2)
        self._home = home
        self._program = program("mosquitto")
        home.mkdir(parents=True, exist_ok=True)
        self._passwords({READER: PASSWORD} | dict(users))
        self._write("acl", f"user {READER}\ntopic read fengsui/#\n" + "".join(map(_may, users)))
        self._write(
            "conf",
            f"user {pwd.getpwuid(os.getuid()).pw_name}\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {home}/passwords\nacl_file {home}/acl\n"
            f"persistence true\npersistence_location {home}/\nmax_queued_messages 0\n"
            + (
                ""
                if tls is None
                else f"listener {self.tls_port} 127.0.0.1\ncertfile {tls}/cert.pem\nkeyfile {tls}/key.pem\n"
            ),
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

    @property
    def tls_url(self) -> str:
        """The gateway's, by the TLS listener."""
        return self.url.replace("mqtt://", "mqtts://").replace(f":{self.port}", f":{self.tls_port}")

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
def mosquitto(home: Path, users: Mapping[str, str], tls: Path | None = None) -> Iterator[Mosquitto]:
    """A running broker for the length of a block. `tls`: where `certificate` wrote its files, for a second listener."""
    broker = Mosquitto(home, users, tls)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def certificate(home: Path) -> Path:
    """Write `key.pem` and `cert.pem` for 127.0.0.1, signed by itself; the certificate is the authority to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (home / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    (home / "cert.pem").write_bytes(made.public_bytes(encoding))
    return home / "cert.pem"
