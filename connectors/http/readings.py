"""`POST /v1/readings`: what a registered device measured, in the forms of MQTT payloads, through the pipe to Kafka."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from connectors.devices import mqtt as said
from connectors.devices.device import Device
from connectors.devices.message import Message
from connectors.devices.rows import Rows, make
from connectors.gateway.item import ACCEPTED, Item
from connectors.gateway.messages import Messages
from connectors.gateway.pipe import Pipe
from connectors.http.callers import PROTOCOL
from topics.wire import Refused

Refusals = list[tuple[int, str, str]]
_WIRE: Final = Messages(PROTOCOL)


class Unreadable(Exception):  # noqa: N818 - what the sender did
    """Nothing in the body can be read; nothing is kept."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


@dataclass(slots=True)
class Judged:
    """How many events a body holds, and (element, reason, detail) of what is none."""

    accepted: int = 0
    refused: Refusals = field(default_factory=list)


def judge(device: Device, body: bytes, arrived: int) -> Judged:
    """What will become of a body, told before it is written. Raises Unreadable."""
    message = Message(device.key, body)
    if body[:1] != b"\0":
        try:
            message.elements()
        except Refused as refused:
            raise Unreadable(refused) from refused
    rows = Rows()
    said.events(device, message, arrived, rows, PROTOCOL, numbered=True)
    judged = Judged(refused=list(rows.refused))
    for shape, found in rows.rows.items():
        if found:
            made = make(shape, found, rows.owners[shape], arrived)
            judged.accepted += len(made.pairs)
            judged.refused += made.refused
    judged.refused.sort()
    return judged


async def deliver(pipe: Pipe, device: Device, body: bytes, arrived: int, seconds: float) -> str:
    """Put a body into the pipe of this loop; the outcome once Kafka has it. Raises TimeoutError after so many seconds."""
    if pipe.full:
        return "queue-full"
    message = Message(device.key.partition(":")[2], body)
    item = Item(_WIRE, device.key, message, body, arrived, proved=True, park=message.parked())
    return await asyncio.wait_for(pipe.outcome(item), seconds)


def status_of(outcome: str, judged: Judged) -> int:
    """The answer's status.

    >>> status_of("", Judged(1)), status_of("", Judged(0, [(0, "bad-value", "")])), status_of("queue-full", Judged(1))
    (202, 422, 429)
    """
    if outcome == ACCEPTED:
        return 202 if judged.accepted or not judged.refused else 422
    return 429 if outcome in ("queue-full", "parking-full") else 500
