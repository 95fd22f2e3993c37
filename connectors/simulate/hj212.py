"""Simulated HJ 212 data loggers: real-time data that asks for an answer.

>>> speaker = Speaker()
>>> name, data = speaker.frame(7, 0, 1_700_000_000_000)
>>> name, b"MN=SIM000007" in data
('SIM000007/20231115061320000', True)
"""

import re
from collections.abc import Iterable
from typing import Final

from connectors.devices.clock import digits
from connectors.protocols import hj212

FACTORS: Final = ("w01018", "w21003", "w01001", "w00000")
_ANSWERED: Final = re.compile(rb"QN=(\d{17});ST=91;CN=9014;(?:PW=[^;]*;)?MN=([^;]*);")
_TAIL: Final = b"\r\n"


def mn(device: int) -> str:
    """The MN of the device of that number.

    >>> mn(7)
    'SIM000007'
    """
    return f"SIM{device:06d}"


class Speaker:
    """Frames of `factors` factors each; `password` and Flag 5: 2017, an answer is wanted."""

    def __init__(self, factors: int = 1, password: str = "123456", name: str = "SIM{:06d}") -> None:  # noqa: S107 - the standard's example
        self._codes = FACTORS[:factors]
        self._password, self._name = password, name

    def frame(self, device: int, number: int, now: int) -> tuple[str, bytes]:
        """DataTime is in milliseconds, so that a device may send many a second."""
        stamp = digits(now + number % 7)
        values = {code: {"Rtd": f"{20 + (device + number * 7) % 100 / 10:.1f}", "Flag": "N"} for code in self._codes}
        area = hj212.encode_area({"DataTime": stamp}, values)
        name = self._name.format(device)
        segment = f"QN={stamp};ST=32;CN=2011;PW={self._password};MN={name};Flag=5;CP=&&{area}&&"
        return f"{name}/{stamp}", hj212.wrap(segment.encode())

    def answered(self, received: bytearray) -> Iterable[str]:
        """MN and QN of each 9014."""
        end = received.rfind(_TAIL)
        if end < 0:
            return []
        names = [f"{mn.decode()}/{qn.decode()}" for qn, mn in _ANSWERED.findall(received, 0, end)]
        del received[: end + len(_TAIL)]
        return names
