"""The city's gateways: departments send by HTTP, sensors speak their protocols, exchanged files are sent."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import polars as pl

from connectors import files
from connectors.city import City, Delivery
from connectors.producing import EventWriter, Pair
from fengsui.demo import devices, report
from fengsui.demo.devices import protocol_of
from fengsui.demo.stations import Stations
from fengsui.embedded import ServiceError
from fengsui.publishing import put_devices
from fengsui.settings import Settings
from topics.events import KINDS, ORDER, Kind

HTTP_ROWS: Final = 500  # stays well below the body limit
ACK_SECONDS: Final = 60.0
REGISTER_SECONDS: Final = 30.0
_RETRY: Final = frozenset({429, 503})


class Gateways:
    """Delivers a city, round after round in order of arrival; a round is acknowledged before the next begins. What comes by
    different doors comes at the same time; by one door, in order."""

    def __init__(self, http_url: str, writer: EventWriter, stations: Stations, scratch: Path) -> None:
        self._http = httpx.Client(base_url=http_url, timeout=60)
        self._writer, self._stations, self._scratch = writer, stations, scratch
        self._lock = threading.Lock()
        self.sent: Counter[str] = Counter()
        self.refused = 0

    def deliver(self, city: City, progress: Callable[[int], None]) -> float:
        """Everything the city sends; returns seconds."""
        began = time.monotonic()
        with ThreadPoolExecutor(len(ORDER)) as pool:
            for together in city.rounds():
                doors: dict[str, list[Delivery]] = {}
                for delivery in together:
                    doors.setdefault("iot" if delivery.kind == "iot" else delivery.gateway, []).append(delivery)
                for done in pool.map(self._all, doors.values()):
                    progress(done)
        return time.monotonic() - began

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _all(self, deliveries: list[Delivery]) -> int:
        for delivery in deliveries:
            self._one(delivery)
        return sum(len(delivery.frame) + len(delivery.bad) for delivery in deliveries)

    def _one(self, delivery: Delivery) -> None:
        kind = KINDS[delivery.kind]
        frame = delivery.frame.drop("_arrived", strict=False)
        if delivery.bad:
            self._count("kafka", len(delivery.bad))
            self._by_kafka(kind, [(bad.key, bad.value) for bad in delivery.bad])
        elif delivery.gateway == "file":
            self._count("file", len(frame))
            self._by_file(kind, frame)
        elif kind.code == "iot":
            self._by_devices(frame)
        elif kind.code == "video":
            self._count("gat1400", len(frame))
            self._stations.show(frame)
        else:
            self._count("http", len(frame))
            self._by_http(frame)

    def _count(self, way: str, events: int) -> None:
        with self._lock:  # several doors at once
            self.sent[way] += events

    def _by_devices(self, frame: pl.DataFrame) -> None:
        """Each reading in its device's own protocol; what no device says (insurance claims) by HTTP."""
        ways = [protocol_of(sector, metric) for sector, metric in frame.select("sector", "metric").iter_rows()]
        for name, count in Counter(ways).items():
            self._count(name, count)
        way = pl.Series(ways)
        self._by_http(frame.filter(way == "http"))
        self._stations.send(frame.filter(way != "http"))

    def _by_http(self, frame: pl.DataFrame) -> None:
        for first in range(0, len(frame), HTTP_ROWS):
            body = frame[first : first + HTTP_ROWS].write_ndjson().encode()
            self._post(body)

    def _post(self, body: bytes) -> None:
        wait = 0.05
        while True:
            answer = self._http.post("/v1/events", content=body, headers={"Content-Type": "application/x-ndjson"})
            if answer.status_code not in _RETRY:
                break
            time.sleep(wait)  # the gateway asked for patience
            wait = min(2 * wait, 2.0)
        if answer.status_code not in (httpx.codes.ACCEPTED, httpx.codes.UNPROCESSABLE_ENTITY):
            answer.raise_for_status()
        self.refused += len(answer.json().get("rejected", []))

    def _by_file(self, kind: Kind, frame: pl.DataFrame) -> None:
        path = self._scratch / f"{kind.code}.parquet"
        frame.write_parquet(path)
        counts = files.send(kind, path, self._writer)
        self.refused += sum(counts.rejected.values())

    def _by_kafka(self, kind: Kind, pairs: list[Pair]) -> None:
        self._writer.submit(kind.topic, pairs, ACK_SECONDS).result(ACK_SECONDS)


def registered(settings: Settings, city: City, http_url: str) -> None:
    """Put the city's devices into the register, and await that the gateway knows them. Raises ServiceError."""
    entries = devices.register(city)
    put_devices(settings, {key: (body, None) for key, body in entries.items()})
    deadline = time.monotonic() + REGISTER_SECONDS
    with httpx.Client(base_url=http_url, timeout=REGISTER_SECONDS) as http:
        while report.gauge(http.get("/metrics").text, "fengsui_gateway_devices_registered") < len(entries):
            if time.monotonic() > deadline:
                raise ServiceError("the gateway does not know the registered devices")
            time.sleep(0.05)


def taken_by_mqtt(http_url: str) -> int:
    """How many MQTT messages the gateway says that Kafka has."""
    counts = report.counters([httpx.get(f"{http_url}/metrics", timeout=30).text])
    return counts.get("fengsui_gateway_frames", Counter())["mqtt/accepted"]
