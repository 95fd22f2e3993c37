"""The MQTT client: messages of subscribed topics into the pipe, acknowledged to the broker once Kafka has them.

Nothing that Kafka does not have is acknowledged, so that the broker sends it again, after kill -9 too. What is refused for good
is acknowledged when its dead letter is written; beyond the measure of letters, when it was counted. What cannot be kept now is
held, unacknowledged, and tried again here: a broker sends again only on a new connection. How much is under way is bounded by the
broker (MQTT 5: by `receive_maximum`; 3.1.1: by its own limit), and while the pipe is full nothing is read.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import paho.mqtt.client as paho
import structlog
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.devices.message import Message
from connectors.gateway import mqtt_metrics as metrics
from connectors.gateway.item import NOT_KEPT, Item
from connectors.gateway.messages import Messages
from connectors.gateway.pipe import Pipe
from connectors.mqttlink import Address, Link, Options

log = structlog.get_logger(__name__)
SHARE: Final = "$share"
# Messages of unknown devices, over all that is kept for them, that are held unacknowledged. The rest is acknowledged and counted:
# each takes a place in the broker's window (of 20 by default in mosquitto), and a full window would silence every other device.
MOST_HELD: Final = 8
_SHORTEST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to subscribe to. `group` empty: a subscription of its own, else shared with the group's other gateways."""

    address: Address
    options: Options
    filters: tuple[str, ...]
    group: str = ""
    retained: Literal["take", "skip"] = "take"
    message_bytes: int = 1_048_576
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class MqttGateway:
    """One client in the running event loop, for the length of a block: `async with MqttGateway(plan, pipe, wire)`."""

    def __init__(self, plan: Plan, pipe: Pipe, wire: Messages) -> None:
        self._plan, self._pipe, self._wire = plan, pipe, wire
        self.link = Link(plan.address, plan.options)
        self.link.on_up, self.link.on_down, self.link.on_message = self._up, self._down, self._take
        self.link.client.on_subscribe = self._subscribed
        self._underway: set[_Ack] = set()  # in the pipe
        self._held: dict[_Ack, asyncio.TimerHandle] = {}
        self._before: dict[int, tuple[bytes, int]] = {}  # left unacknowledged by connections before, by packet number
        self._quiet = asyncio.Event()  # nothing is in the pipe
        self._quiet.set()
        self._leaving = False
        self._most_held = min(MOST_HELD, plan.options.receive_maximum // 2)
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in."""
        return self.link.up

    async def __aenter__(self) -> "MqttGateway":
        self._task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Read no more, acknowledge what gets to Kafka in time, leave. The rest comes again."""
        self._leaving = True
        self.link.read(False)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), _SETTLE_SECONDS)
        for timer in self._held.values():
            timer.cancel()
        assert self._task is not None  # noqa: S101 - only after it was entered
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        metrics.CONNECTED.set(0)

    def _up(self, present: bool) -> None:
        metrics.CONNECTED.set(1)
        metrics.CONNECTIONS.labels("up").inc()
        log.info("mqtt.up", host=self._plan.address.host, session=present)
        if present:  # what was held comes again
            for ack in list(self._held):
                self._held.pop(ack).cancel()
        else:
            self._before.clear()
        prefix = f"{SHARE}/{self._plan.group}/" if self._plan.group else ""
        names = [prefix + one for one in self._plan.filters]
        if self._plan.options.version == "5":
            # Old news once, when the subscription is new, not on every return; or never.
            options = SubscribeOptions(qos=1, retainHandling=2 if self._plan.retained == "skip" else 1)
            self.link.client.subscribe([(name, options) for name in names])
        else:
            self.link.client.subscribe([(name, 1) for name in names])

    def _down(self, why: str) -> None:
        metrics.CONNECTED.set(0)
        metrics.CONNECTIONS.labels("down").inc()
        left = (ack for ack in (*self._underway, *self._held) if ack.qos)
        self._before |= {ack.mid: (ack.item.raw, ack.item.arrived) for ack in left}
        log.warning("mqtt.down", host=self._plan.address.host, error=why)

    def _subscribed(self, _client: Any, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        for name, reason in zip(self._plan.filters, reasons, strict=False):
            if reason.is_failure:
                metrics.REFUSED_FILTERS.inc()
                log.error("mqtt.filter", filter=name, group=self._plan.group, error=str(reason))

    def _take(self, message: paho.MQTTMessage) -> None:
        ack = _Ack(self, message.mid, message.qos, self.link.generation)
        if message.retain and self._plan.retained == "skip":
            metrics.MESSAGES.labels("skipped").inc()
            self._acknowledge(ack)
            return
        metrics.MESSAGES.labels("retained" if message.retain else "again" if message.dup else "live").inc()
        ack.item = self._item(message)
        ack.item.done = ack
        self._offer(ack)

    def _item(self, message: paho.MQTTMessage) -> Item:
        refused, payload = "", bytes(message.payload)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            refused, topic = "bad-utf8", repr(message._topic)
        if len(payload) > self._plan.message_bytes:
            refused = "too-large"
        frame = Message(topic, payload, message.retain)
        key = self._wire.key(topic)
        return Item(
            self._wire, key, frame, payload, self._arrival(message.mid, payload),
            proved=True, refused=refused, about=f"{key} {topic}"[:300], park=frame.parked(),
        )  # fmt: skip

    def _arrival(self, mid: int, payload: bytes) -> int:
        """When a message came: of one that comes again after a lost connection, when it came first. Not every broker says so."""
        first = self._before.get(mid)
        if mid and first is not None and first[0] == payload:
            return self._before.pop(mid)[1]
        return self._plan.now_ms()

    def _offer(self, ack: "_Ack") -> None:
        self._underway.add(ack)
        self._quiet.clear()
        self._pipe.offer(ack.item)
        metrics.UNACKNOWLEDGED.set(len(self._underway) + len(self._held))
        if self._pipe.full:
            metrics.PAUSES.inc()
            self.link.read(False)
            self._pipe.when_room(self._go_on)

    def _go_on(self) -> None:
        if not self._leaving:
            self.link.read(True)

    def answered(self, ack: "_Ack", outcome: str) -> None:
        """A message is kept, refused for good, or neither."""
        self._underway.discard(ack)
        if not self._underway:
            self._quiet.set()
        if outcome not in NOT_KEPT:
            self._acknowledge(ack)
        elif not ack.qos or (outcome == "parking-full" and len(self._held) >= self._most_held):
            metrics.MESSAGES.labels("dropped").inc()
            self._acknowledge(ack)
        else:
            metrics.MESSAGES.labels("held").inc()
            wait = min(_SHORTEST_SECONDS * 2**ack.tries, _LONGEST_SECONDS)
            ack.tries += 1
            self._held[ack] = asyncio.get_running_loop().call_later(wait, self._again, ack)
        metrics.UNACKNOWLEDGED.set(len(self._underway) + len(self._held))

    def _again(self, ack: "_Ack") -> None:
        del self._held[ack]
        self._offer(ack)

    def _acknowledge(self, ack: "_Ack") -> None:
        """Only on the connection that it came by: a packet number may be another message's on the next."""
        if ack.qos and ack.generation == self.link.generation and self.link.up:
            self.link.client.ack(ack.mid, ack.qos)


class _Ack:
    """What is called when a message is done. A class, not a closure: thousands of them wait."""

    __slots__ = ("_gateway", "generation", "item", "mid", "qos", "tries")

    def __init__(self, gateway: MqttGateway, mid: int, qos: int, generation: int) -> None:
        self._gateway = gateway
        self.mid, self.qos, self.generation, self.tries = mid, qos, generation, 0
        self.item: Item

    def __call__(self, outcome: str) -> None:
        self._gateway.answered(self, outcome)
