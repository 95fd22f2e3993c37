"""The MQTT client's decisions, without a broker: what is acknowledged, held, dropped, skipped. The pipe answers as told."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.gateway import mqtt
from connectors.gateway.item import Item
from connectors.gateway.messages import Messages
from connectors.gateway.mqtt import MOST_HELD, MqttGateway, Plan
from connectors.mqttlink import Address, Options, stable_id

FILTERS = ("fengsui/+/events",)


class Pipe:
    """Takes items; the test answers them."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.full = False
        self.rooms: list[Callable[[], None]] = []
        self.twice = asyncio.Event()

    def offer(self, item: Item) -> None:
        if item in self.items:
            self.twice.set()
        self.items.append(item)

    def when_room(self, callback: Callable[[], None]) -> None:
        self.rooms.append(callback)


class Bench:
    """A gateway whose acknowledgements are kept."""

    def __init__(self, **plan: Any) -> None:
        self.pipe, self.acked = Pipe(), list[int]()
        self.now = 1_000
        options = Options("id", manual_ack=True)
        given = Plan(Address("h", 1), options, FILTERS, now_ms=lambda: self.now, **plan)
        self.gateway = MqttGateway(given, self.pipe, Messages(filters=FILTERS))  # type: ignore[arg-type]
        self.gateway.link.client = SimpleNamespace(ack=self._ack, subscribe=lambda _filters: None)  # type: ignore[assignment]
        self.connect(present=False)

    def _ack(self, mid: int, _qos: int) -> None:
        self.acked.append(mid)

    def connect(self, *, present: bool) -> None:
        self.gateway.link.generation += 1
        self.gateway.link.up = True
        self.gateway.link.on_up(present)

    def disconnect(self) -> None:
        self.gateway.link.up = False
        self.gateway.link.on_down("test")

    def come(self, mid: int, payload: bytes = b"{}", **more: Any) -> Item:
        """A message comes; its item."""
        about = {"qos": 1, "retain": False, "dup": False, "topic": "fengsui/k7/events", "payload": payload, "mid": mid}
        before = len(self.pipe.items)
        self.gateway.link.on_message(SimpleNamespace(**about | more))  # type: ignore[arg-type]
        return self.pipe.items[-1] if len(self.pipe.items) > before else Item(None, "", None, b"", 0)  # type: ignore[arg-type]


def run(test: Callable[[], None]) -> None:
    """In an event loop: timers need one."""

    async def body() -> None:
        test()

    asyncio.run(body())


def test_acknowledged_when_kept_or_refused_for_good() -> None:
    """Not before the pipe says so; refused messages, too; QoS 0 has nothing to acknowledge."""

    def test() -> None:
        bench = Bench()
        kept, wrong, light = bench.come(1), bench.come(2), bench.come(0, qos=0)
        assert (kept.key, kept.proved, bench.acked) == ("mqtt:k7", True, [])
        wrong.done("bad-source")
        kept.done("")
        light.done("")
        assert bench.acked == [2, 1]

    run(test)


def test_what_is_not_kept_is_held_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes into the pipe again after a while, and is acknowledged once it is kept."""
    monkeypatch.setattr(mqtt, "_SHORTEST_SECONDS", 0.01)

    async def test() -> None:
        bench = Bench()
        bench.come(1).done("processing-failed")
        assert (len(bench.pipe.items), bench.acked) == (1, [])
        await asyncio.wait_for(bench.pipe.twice.wait(), 5)
        assert bench.pipe.items[1] is bench.pipe.items[0]
        bench.pipe.items[1].done("")
        assert bench.acked == [1]

    asyncio.run(test())


def test_an_unknown_device_cannot_fill_the_window() -> None:
    """So many over its measure are held; the rest is acknowledged, and others go on."""

    def test() -> None:
        bench = Bench()
        for mid in range(1, MOST_HELD + 3):
            bench.come(mid).done("parking-full")
        assert bench.acked == [MOST_HELD + 1, MOST_HELD + 2]
        bench.come(99).done("queue-full")
        assert 99 not in bench.acked

    run(test)


def test_packet_numbers_are_of_one_connection() -> None:
    """Kept after a reconnect, a message of the old connection is not acknowledged on the new one: it comes again there.
    Without a time, it has the time of its first coming."""

    def test() -> None:
        bench = Bench()
        old = bench.come(1)
        bench.disconnect()
        bench.connect(present=True)
        old.done("")
        assert bench.acked == []
        bench.now = 500_000
        again, other = bench.come(1), bench.come(1, b"another")
        assert (again.arrived, other.arrived) == (1_000, 500_000)
        again.done("")
        assert bench.acked == [1]

    run(test)


def test_retained_messages_can_be_skipped() -> None:
    """Skipped ones are acknowledged at once and never reach the pipe."""

    def test() -> None:
        bench = Bench(retained="skip")
        bench.come(1, retain=True)
        assert (bench.pipe.items, bench.acked) == ([], [1])
        assert Bench().come(1, retain=True).frame.retained

    run(test)


def test_too_large_and_nameless_messages_are_refused() -> None:
    """They reach the pipe as what can only be a dead letter."""

    def test() -> None:
        bench = Bench(message_bytes=4)
        assert bench.come(1, b"12345").refused == "too-large"
        assert bench.come(2, topic="other/topic").key == ""

    run(test)


def test_nothing_is_read_while_the_pipe_is_full() -> None:
    """Reading goes on as soon as there is room."""

    def test() -> None:
        bench = Bench()
        bench.pipe.full = True
        bench.come(1)
        assert not bench.gateway.link._reading
        bench.pipe.rooms[0]()
        assert bench.gateway.link._reading

    run(test)


@pytest.mark.parametrize("url", ["http://h", "mqtt://", "mqtt://h:x", "mqtt://a:b@c:d@h:1:2"])
def test_addresses_that_are_none(url: str) -> None:
    """Named without the password in it."""
    with pytest.raises(ValueError, match=r"address|must be") as refused:
        Address.of(url)
    assert "b@" not in str(refused.value)


def test_client_ids_are_stable() -> None:
    """The same for the same directory, another for another; not too long for old brokers."""
    assert stable_id("/a") == stable_id("/a") != stable_id("/b")
    assert len(stable_id("/a")) <= 23
