"""Simulated fire transmission devices (用户信息传输装置): analogue values of their parts, which the centre must confirm.

>>> speaker = Speaker()
>>> name, data = speaker.frame(7, 3, 1_700_000_000_000)
>>> name, len(data), list(speaker.answered(bytearray()))
(3, 48, [])
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from connectors.devices.clock import CHINA
from connectors.protocols import gb26875
from connectors.protocols.stream import Bad

CENTRE: Final = bytes(6)
_TEMPERATURE: Final = 3
_FRAME: Final = 30
_SEQUENCES: Final = 1 << 16


def address(device: int) -> bytes:
    """The address of the device of that number, as sent.

    >>> address(7).hex()
    '070000000000'
    """
    return device.to_bytes(6, "little")


class Speaker:
    """Frames of `objects` cable temperatures each."""

    def __init__(self, objects: int = 1) -> None:
        self._objects = objects

    def frame(self, device: int, number: int, now: int) -> tuple[int, bytes]:
        """A reading each second at the most: the protocol's times have no parts of it."""
        moment = dt.datetime.fromtimestamp(now / 1000, CHINA).replace(tzinfo=None, microsecond=0)
        objects = [
            {
                "system_type": 1, "system_addr": 1, "part_type": 40, "part_addr_hex": f"{part:02x}{number & 0xFF:02x}0000",
                "analog_type": _TEMPERATURE, "analog_raw": 350 + (device + number) % 50, "time": moment.isoformat(),
            }
            for part in range(self._objects)
        ]  # fmt: skip
        unit = gb26875.encode_unit(3, objects)
        sequence = number % _SEQUENCES
        data = gb26875.encode(sequence, gb26875.SEND, unit, time=moment, source=address(device), target=CENTRE)
        return sequence, data

    def answered(self, received: bytearray) -> Iterable[int]:
        """Sequence of each confirmation."""
        whole = len(received) - len(received) % _FRAME
        found = gb26875.decode(bytes(received[:whole]))
        del received[:whole]
        return [one.sequence for one in found if not isinstance(one, Bad) and one.command == gb26875.CONFIRM]
