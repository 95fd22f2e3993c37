"""An embedded MQTT broker (rumqttd, in the wheel `iotcore`) for demos and tests: on the loopback address, users with passwords.

It speaks 3.1.1 with shared subscriptions, and keeps nothing on disk. It has no access lists: a user of it may publish to every
topic. A city takes mosquitto, EMQX or whatever it has.

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
_SERVER: Final = Path(__file__).with_name("mqtt_server.py")
_STOP_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 2.0
_GRANTED: Final = b"\x20\x02\x00\x00"
_CONFIG: Final = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 200
dynamic_filters = true
[v4.1.connections.auth]
"""


class MqttService(Service):
    """An embedded broker. After `restart` it has the same address and users, and no messages or sessions."""

    name: ClassVar[str] = "MQTT broker"

    def __init__(self, home: Path, users: Iterable[str]) -> None:
        """Not started yet: `home` takes configuration and log. `users`: beside the gateway."""
        super().__init__(home)
        self._words = {name: secrets.token_urlsafe(16) for name in (READER, *users)}

    def address(self, user: str = READER) -> Address:
        """Where a user connects, with its password."""
        return Address(LOOPBACK, self.port, user=user, password=self._words[user])

    def settings(self) -> dict[str, Any]:
        """The gateway's settings for this broker. They hold a password: do not log them."""
        url = f"mqtt://{READER}:{self._words[READER]}@{LOOPBACK}:{self.port}"
        return {"mqtt_url": SecretStr(url), "mqtt_version": "3.1.1"}

    def _command(self, ports: Sequence[int], lock: int) -> Command:
        """The configuration holds the passwords: the file is for this user alone."""
        config = self.home / "config.toml"
        users = "".join(f"{json.dumps(name)} = {json.dumps(word)}\n" for name, word in self._words.items())
        config.unlink(missing_ok=True)
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_CONFIG.format(host=LOOPBACK, port=ports[0]) + users)
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


@contextmanager
def running(settings: Settings, users: Iterable[str] = ()) -> Iterator[MqttService]:
    """An embedded broker for the length of the block, its files in `mqtt` below the data directory."""
    service = MqttService(settings.data_dir.resolve() / "mqtt", users)
    try:
        service.start()
        yield service
    finally:
        service.stop()
