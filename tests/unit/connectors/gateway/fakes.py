"""A Kafka that is only said to be there, devices that are registered, and frames of them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from connectors.devices.device import parse
from connectors.devices.registry import Devices
from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone
from connectors.protocols import hj212
from topics.wire import decode


class Kafka:
    """Keeps what is written. `away`: writes fail; `gate`: they wait until it is set."""

    def __init__(self) -> None:
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.written: list[tuple[str, bytes | None, bytes]] = []
        self.tries = 0

    async def send(self, topic: str, pairs: Sequence[tuple[bytes | None, bytes]], _wait: float = 1.0) -> int:
        self.tries += 1
        await self.gate.wait()
        if self.away:
            raise BrokerGone("away")
        self.written += [(topic, key, value) for key, value in pairs]
        return len(pairs)

    def records(self, topic: str) -> list[dict[str, Any]]:
        return [decode(value)[1] for name, _, value in self.written if name == topic]


def devices(*names: str, **more: Any) -> Devices:
    """Registered devices of HJ 212."""
    import json

    body = json.dumps({"subject": "site:1", "sector": "ecology"} | more).encode()
    return Devices({f"hj212:{name}": parse(f"hj212:{name}", body) for name in names})


def frame(mn: str = "A1", second: int = 0, value: object = 1.0, **header: object) -> bytes:
    """A real-time COD reading that wants an answer, each second another one."""
    stamp = f"2026010100{second // 60:02d}{second % 60:02d}"
    head = {"QN": f"{stamp}000", "ST": 32, "CN": 2011, "PW": 123456, "MN": mn, "Flag": 5} | header
    return hj212.encode(head, hj212.encode_area({"DataTime": stamp}, {"w01018": {"Rtd": value, "Flag": "N"}}))


def metrics() -> tuple[GatewayMetrics, CollectorRegistry]:
    """Metrics of a registry of their own."""
    registry = CollectorRegistry()
    return GatewayMetrics(registry), registry


async def until(done: Any, seconds: float = 10.0) -> None:
    """Await a condition."""
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - whatever a test waits for tells nobody
            await asyncio.sleep(0.005)
