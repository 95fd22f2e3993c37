"""The embedded broker with a second door, which a network that can be cut leads to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from fengsui.embedded.kafka import KafkaService, java_command
from fengsui.settings import Settings
from tests.faults.proxy import Proxy


class ProxiedKafka(KafkaService):
    """Workers are told the proxy's address, the test itself the broker's own."""

    port_count: ClassVar[int] = 3  # clients, controller, behind the proxy

    def __init__(self, home: Path, java: list[str], proxy: Proxy) -> None:
        super().__init__(home, java)
        self.proxy = proxy

    def _properties(self, ports: Sequence[int]) -> dict[str, str]:
        self.proxy.target = ports[2]
        plain = super()._properties(ports)
        return plain | {
            "listeners": f"{plain['listeners']},PROXIED://127.0.0.1:{ports[2]}",
            "advertised.listeners": f"{plain['advertised.listeners']},PROXIED://127.0.0.1:{self.proxy.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        }


@contextmanager
def running(settings: Settings) -> Iterator[ProxiedKafka]:
    """A broker for the length of the block."""
    proxy = Proxy()
    service = ProxiedKafka(settings.data_dir.resolve() / "kafka", java_command(settings), proxy)
    try:
        service.start()
        yield service
    finally:
        service.stop()
        proxy.close()
