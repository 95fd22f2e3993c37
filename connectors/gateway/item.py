"""What a gateway hands to the pipe: one message of a device, how to make events of it, and whom to tell when Kafka has it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from connectors.devices.device import Device
from connectors.devices.rows import Rows

ACCEPTED: Final = ""
# Outcomes of messages that may be taken when they come again: they are not answered, or held.
NOT_KEPT: Final = ("parking-full", "queue-full", "processing-failed", "unknown-device")


class Protocol_(Protocol):  # noqa: N801 - typing.Protocol has the name
    """What the pipe needs to know of a protocol."""

    name: str

    def events(self, device: Device, frame: Any, arrived: int, rows: Rows) -> None:
        """Add a message's events to rows."""

    def sent_at(self, frame: Any) -> int | None:
        """When the device sent it by its own clock, ms UTC."""

    def password(self, frame: Any) -> str | None:
        """The password that a message carries; None where its protocol has none in it."""

    def again(self, raw: bytes) -> "Iterable[tuple[str, Any]]":
        """(key, frame) of the messages in parked bytes."""


Done = Callable[[str], None]


def nobody(_outcome: str) -> None:
    """Nobody is told."""


@dataclass(slots=True)
class Item:
    """One message. `key`: the device's in the register; `raw`: its bytes; `arrived`: ms UTC; `done` is called once, in the pipe's
    loop, with ACCEPTED when Kafka has all of it (events, dead letters, or the parked message), else with a named reason."""

    protocol: Protocol_
    key: str
    frame: Any
    raw: bytes
    arrived: int
    done: Done = field(default=nobody)
    peer: str = ""  # address it came from; "" where that was checked, or is not known
    proved: bool = False  # the device has shown who it is by other means (Digest, token, MQTT user)
    refused: str = ""  # a named reason for which it can only be a dead letter
    about: str = ""  # what a dead letter says of where it came from; "" where the key says all
    park: bytes = b""  # what is parked, where `raw` alone would not say enough
    replayed: bool = False  # from the parking topic: never parked again
    told: list[str] = field(default_factory=list)  # reasons of its parts that became no event, known before `done`
