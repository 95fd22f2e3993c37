"""Messages of sensor and camera gateways as the pipe uses them, whether they came by MQTT or by HTTP."""

from collections.abc import Iterable

from connectors.devices import mqtt as mqtt_events
from connectors.devices.device import Device
from connectors.devices.message import GATEWAY, Message, device_name, key_of, unparked
from connectors.devices.rows import Rows


class Messages:
    """`name`: of the protocol, as in the register's keys. `filters`: where the device's name stands in topics; of HTTP there are
    none, and the topic is the name."""

    def __init__(self, name: str = GATEWAY, filters: Iterable[str] = ()) -> None:
        self.name = name
        self._filters = tuple(filters)

    def key(self, topic: str) -> str:
        """The register's key of the device whose topic it is; "" where it is nobody's."""
        return key_of(device_name(self._filters, topic) if self._filters else topic, self.name)

    def events(self, device: Device, frame: Message, arrived: int, rows: Rows) -> None:
        """Add a message's events to rows."""
        mqtt_events.events(device, frame, arrived, rows, self.name)

    def sent_at(self, frame: Message) -> int | None:
        """When the device sent it by its own clock, ms UTC."""
        return mqtt_events.sent_at(frame)

    def password(self, _frame: Message) -> str | None:
        """None: whoever delivers a message has proved who it is already, to the MQTT broker or by HTTP."""
        return None

    def again(self, raw: bytes) -> Iterable[tuple[str, Message]]:
        """(key, message) of a parked message. Raises Refused."""
        message = unparked(raw)
        return [(self.key(message.topic), message)]
