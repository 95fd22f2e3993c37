"""The city's sensors on the wire: the registered device behind each reading says it in its own protocol, until it is answered.

Ecology and construction speak HJ 212, fire protection GB/T 26875.3. What devices register as says how their numbers become the
city's again: MN, address, channels.
"""

import asyncio
import datetime as dt
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from connectors.devices.clock import CHINA
from connectors.protocols import gb26875, hj212
from connectors.simulate import gb26875 as fire
from connectors.simulate import hj212 as station
from connectors.simulate.fleet import Fleet

# Sector -> protocol; the others speak MQTT.
PROTOCOLS: Final = {"ecology": "hj212", "construction": "hj212", "fire": "gb26875"}
LINES: Final = 8
ANSWER_SECONDS: Final = 120.0
_CODES: Final = {
    "cod": "w01018", "ammonia": "w21003", "so2": "a21026", "fume": "a34041", "dust": "a34001", "site_noise": "LA",
}  # fmt: skip
_OTHER: Final = "i00001"  # a factor that no table knows: the register says what it is
# Metric -> analogue type, raw units a unit, and what the register must multiply with.
_ANALOGUE: Final = {
    "cable_temp": (3, 10.0, 1.0),
    "water_pressure": (5, 10_000.0, 1.0),  # MPa, as tenths of a kPa
    "residual_current": (9, 1.0, 0.01),  # mA, as its sender writes it where the standard has tenths of an ampere
}
_PART: Final = {"system_type": 1, "system_addr": 1, "part_type": 40, "part_addr_hex": "01000000"}
_FAULT, _SHIELDED = 1 << 2, 1 << 3
PART_NAME: Final = "1-1-40-01000000"


def protocol_of(sector: str, metric: str) -> str:
    """How a sensor speaks.

    >>> protocol_of("fire", "cable_temp"), protocol_of("food-drug", "cold_store_temp")
    ('gb26875', 'mqtt')
    """
    if metric == "claim_fee":  # no sensor: the insurance's own system
        return "http"
    return PROTOCOLS.get(sector, "mqtt")


def entry(row: Mapping[str, Any], number: int) -> tuple[str, dict[str, Any]]:
    """Register key and entry of a device of the city: one row of its devices, and its number among them."""
    body = {
        name: row[name] for name in ("subject", "sector", "subject_name", "region", "chain", "device_id") if row[name]
    }
    metric, unit = row["metric"], row["unit"]
    protocol = protocol_of(row["sector"], metric)
    if protocol == "hj212":
        code = _CODES.get(metric, _OTHER)
        return f"hj212:{row['device_id']}", body | {"channels": {code: {"metric": metric, "unit": unit}}}
    if protocol == "gb26875":
        channel = {"metric": metric, "unit": unit, "scale": _ANALOGUE[metric][2], "device_id": row["device_id"]}
        return f"gb26875:{fire.address(number).hex()}", body | {"channels": {PART_NAME: channel}}
    return f"mqtt:{row['device_id']}", body


class Stations:
    """Connections of the city's HJ 212 and GB/T 26875.3 devices, in an event loop of their own."""

    def __init__(self, ports: Mapping[str, int], numbers: Mapping[str, int]) -> None:
        """`ports`: of the gateways, by name; `numbers`: device id -> its number in the city, which is its address."""
        self._numbers = numbers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stations", daemon=True)
        self._thread.start()
        self._sequence = 0
        self._lines = self._call(self._connect(ports))

    def send(self, readings: pl.DataFrame) -> None:
        """Readings of devices of these two protocols; returns when each was answered. Raises TimeoutError."""
        self._call(self._send(readings.to_dicts()))

    def close(self) -> None:
        """Hang up."""
        for fleet in self._lines.values():
            self._loop.call_soon_threadsafe(fleet.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, ports: Mapping[str, int]) -> dict[str, Fleet]:
        speakers: dict[str, Any] = {"hj212": station.Speaker(), "gb26875": fire.Speaker()}
        lines = {name: Fleet(speaker, ("127.0.0.1", ports[name]), LINES, 1.0) for name, speaker in speakers.items()}
        await asyncio.gather(*(fleet.connect() for fleet in lines.values()))
        return lines

    async def _send(self, readings: Iterable[Mapping[str, Any]]) -> None:
        for one in readings:
            protocol = protocol_of(one["sector"], one["metric"])
            number = self._numbers[one["device_id"]]
            name, data = self._hj212(one) if protocol == "hj212" else self._gb26875(one, number)
            self._lines[protocol].say(number % LINES, name, data)
        settled = await asyncio.gather(*(fleet.settle(ANSWER_SECONDS) for fleet in self._lines.values()))
        if not all(settled):
            raise TimeoutError("the gateways did not answer every frame")

    def _hj212(self, one: Mapping[str, Any]) -> tuple[str, bytes]:
        """QN, which with MN names the answer, is the time of sending."""
        code = _CODES.get(one["metric"], _OTHER)
        qn = _stamp(one["observed_at"])
        header = {"QN": qn, "ST": 32, "CN": 2011, "PW": "123456", "MN": one["device_id"], "Flag": 5}
        fields = {"Rtd": repr(one["value"]), "Flag": one["flag"] or "N"}
        data = hj212.encode(header, hj212.encode_area({"DataTime": _stamp(one["occurred_at"])}, {code: fields}))
        return f"{one['device_id']}/{qn}", data

    def _gb26875(self, one: Mapping[str, Any], number: int) -> tuple[int, bytes]:
        """A part under maintenance, or at fault, measures nothing: its device says that instead."""
        kind, scale, _ = _ANALOGUE[one["metric"]]
        self._sequence = (self._sequence + 1) % 65_536
        part = _PART | {"time": _local(one["occurred_at"]).isoformat()}
        if (one["flag"] or "N") == "N":
            unit = gb26875.encode_unit(3, [part | {"analog_type": kind, "analog_raw": round(one["value"] * scale)}])
        else:
            status = _FAULT if one["flag"] == "D" else _SHIELDED
            unit = gb26875.encode_unit(2, [part | {"status": status, "description": ""}])
        observed, source = _local(one["observed_at"]), fire.address(number)
        data = gb26875.encode(self._sequence, gb26875.SEND, unit, time=observed, source=source, target=fire.CENTRE)
        return self._sequence, data


def _local(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms // 1000, CHINA).replace(tzinfo=None)


def _stamp(ms: int) -> str:
    return _local(ms).strftime("%Y%m%d%H%M%S") + f"{ms % 1000:03d}"
