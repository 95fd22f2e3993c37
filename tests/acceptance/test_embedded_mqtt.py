"""The embedded MQTT broker: passwords, sessions, shared subscriptions, a rate, and that it never outlives us."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connectors.mqttlink import Address, Link, Options
from connectors.simulate.mqtt import Publisher, publish_all, readings, sensors
from fengsui.embedded import mqtt
from fengsui.embedded.mqtt import MqttService
from fengsui.settings import Settings
from tests.acceptance.device_helpers import until

pytestmark = pytest.mark.broker
START = 1_790_000_000_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[MqttService]:
    with mqtt.running(Settings(data_dir=tmp_path), ["kitchen"]) as service:
        yield service


@contextlib.asynccontextmanager
async def subscriber(
    address: Address, client_id: str, group: str = "", *, ack: bool = True
) -> AsyncIterator[list[bytes]]:
    """What a client with a session is sent."""
    link, found, up = (
        Link(address, Options(client_id, version="3.1.1", manual_ack=True)),
        list[bytes](),
        asyncio.Event(),
    )
    link.client.on_subscribe = lambda *_: up.set()
    link.on_up = lambda _present: link.client.subscribe([(f"{group}fengsui/+/events", 1)])

    def take(message: object) -> None:
        found.append(message.payload)  # type: ignore[attr-defined]
        if ack:
            link.client.ack(message.mid, 1)  # type: ignore[attr-defined]

    link.on_message = take
    task = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(up.wait(), 10)
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def count(found: list[bytes], wanted: int) -> int:
    """How many different messages there are, once there are so many."""
    await asyncio.to_thread(until, lambda: len(set(found)) >= wanted)
    return len(set(found))


def test_what_was_not_acknowledged_comes_again(served: MqttService) -> None:
    """A session keeps what came while its client was away, and what it did not acknowledge."""

    async def test() -> None:
        async with subscriber(served.address(), "one"):
            pass
        await publish_all(served.address("kitchen"), readings(sensors(1), START, 50), clients=1)
        async with subscriber(served.address(), "one", ack=False) as found:
            assert await count(found, 50) == 50
        async with subscriber(served.address(), "one") as found:
            assert await count(found, 50) == 50

    asyncio.run(test())


def test_shared_subscriptions_and_rate(served: MqttService) -> None:
    """Two clients of a group have all messages between them, none both; thousands a second."""

    async def test() -> None:
        async with (
            subscriber(served.address(), "one", "$share/g/") as one,
            subscriber(served.address(), "two", "$share/g/") as two,
        ):
            messages = list(readings(sensors(1), START, 5_000))
            started = time.monotonic()
            assert await publish_all(served.address("kitchen"), messages, clients=4) == 5_000
            await asyncio.to_thread(until, lambda: len(one) + len(two) >= 5_000)
            rate = 5_000 / (time.monotonic() - started)
            assert (len(one) + len(two), min(len(one), len(two)) > 1_000) == (5_000, True)
            print(f"{rate:.0f} messages/s")

    asyncio.run(test())


def test_wrong_passwords_are_refused_and_restart_keeps_the_address(served: MqttService) -> None:
    """Passwords stay over a restart; nobody comes in with another."""

    async def let_in(address: Address) -> bool:
        async with Publisher(address, "who") as publisher:
            up = asyncio.create_task(publisher.up.wait())
            await asyncio.wait([up], timeout=2)
            up.cancel()
            return publisher.up.is_set()

    good = served.address("kitchen")
    assert asyncio.run(let_in(good))
    assert not asyncio.run(let_in(Address(good.host, good.port, user="kitchen", password="wrong")))
    served.restart()
    assert served.address("kitchen") == good
    assert asyncio.run(let_in(good))
