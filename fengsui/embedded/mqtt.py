"""An embedded MQTT broker (amqtt) for demos and tests: on the loopback address, each user with a password and a topic of its own.

It speaks 3.1.1, keeps nothing on disk and has no shared subscriptions (it grants them and delivers nothing): the gateway beside
it subscribes without a group. A city takes mosquitto, EMQX or whatever it has.

with running(settings, ["kitchen-7"]) as broker:
    settings = settings.model_copy(update=broker.settings())
"""

import json
import os
import secrets
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import SecretStr

from connectors.mqttlink import Address
from fengsui.embedded.ports import LOOPBACK
from fengsui.embedded.service import Service
from fengsui.embedded.supervise import Command
from fengsui.settings import Settings

READER: Final = "gateway"
TOPICS: Final = "fengsui/{}/#"
_SERVER: Final = Path(__file__).with_name("mqtt_server.py")
_STOP_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 2.0
_GRANTED: Final = b"\x20\x02\x00\x00"


class MqttService(Service):
    """An embedded broker. After `restart` it has the same address and users, and no messages or sessions."""

    name: ClassVar[str] = "MQTT broker"

    def __init__(self, home: Path, users: Iterable[str]) -> None:
        """Not started yet: `home` takes passwords, configuration and log. Each user may publish to `fengsui/<user>/#`."""
        super().__init__(home)
        self._users = list(users)
        self._words = {name: secrets.token_urlsafe(16) for name in (READER, *self._users)}

    def address(self, user: str = READER) -> Address:
        """Where a user connects, with its password."""
        return Address(LOOPBACK, self.port, user=user, password=self._words[user])

    def settings(self) -> dict[str, Any]:
        """The gateway's settings for this broker. They hold a password: do not log them."""
        url = f"mqtt://{READER}:{self._words[READER]}@{LOOPBACK}:{self.port}"
        return {"mqtt_url": SecretStr(url), "mqtt_version": "3.1.1", "mqtt_group": ""}

    def _command(self, ports: Sequence[int], lock: int) -> Command:
        passwords, config = self.home / "passwords", self.home / "config.json"
        _write(passwords, "".join(f"{name}:{_hashed(word)}\n" for name, word in self._words.items()))
        acl = {name: [TOPICS.format(name)] for name in self._users}
        given = {"port": ports[0], "passwords": str(passwords), "acl": acl, "readers": [READER]}
        _write(config, json.dumps(given))
        return Command([sys.executable, "-I", str(_SERVER), str(config)], self.log, _STOP_SECONDS, lock=lock)

    def _answers(self, ports: Sequence[int]) -> bool:
        """Whether a broker that knows our password takes us in."""
        try:
            with socket.create_connection((LOOPBACK, ports[0]), timeout=_ANSWER_SECONDS) as line:
                line.sendall(_hello(READER, self._words[READER]))
                return line.recv(len(_GRANTED)) == _GRANTED
        except OSError:
            return False


def _hello(user: str, password: str) -> bytes:
    """A CONNECT of MQTT 3.1.1 with user and password, clean session."""
    body = b"\x00\x04MQTT\x04\xc2\x00\x0a" + b"".join(map(_text, ("are-you-there", user, password)))
    return b"\x10" + bytes([len(body)]) + body


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _hashed(word: str) -> str:
    """A random word needs no stretching: hundreds of sensors may connect at once, and amqtt checks each in its one loop."""
    from pwdlib.hashers.argon2 import Argon2Hasher

    return Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1).hash(word)


def _write(path: Path, text: str) -> None:
    """For this user alone."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def running(settings: Settings, users: Iterable[str] = ()) -> Iterator[MqttService]:
    """An embedded broker for the length of the block, its files in `mqtt` below the data directory."""
    service = MqttService(settings.data_dir.resolve() / "mqtt", users)
    try:
        service.start()
        yield service
    finally:
        service.stop()
