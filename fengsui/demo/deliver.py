"""The city's gateways: departments send by HTTP, exchanged files are replayed, sensors and cameras write Avro to Kafka."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import polars as pl

from connectors import files
from connectors.city import City, Delivery
from connectors.producing import EventWriter, Pair
from topics.columns import encode_frame
from topics.events import KINDS, Kind

HTTP_ROWS: Final = 500  # stays well below the body limit
ACK_SECONDS: Final = 60.0
_RETRY: Final = frozenset({429, 503})


class Gateways:
    """Delivers a city, chunk after chunk in order of arrival; a chunk is acknowledged before the next begins."""

    def __init__(self, http_url: str, writer: EventWriter, scratch: Path) -> None:
        self._http = httpx.Client(base_url=http_url, timeout=60)
        self._writer = writer
        self._scratch = scratch
        self.sent: Counter[str] = Counter()
        self.refused = 0

    def deliver(self, city: City, progress: Callable[[int], None]) -> float:
        """Everything the city sends; returns seconds."""
        began = time.monotonic()
        for delivery in city.deliveries():
            self._one(delivery)
            progress(len(delivery.frame) + len(delivery.bad))
        return time.monotonic() - began

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _one(self, delivery: Delivery) -> None:
        kind = KINDS[delivery.kind]
        frame = delivery.frame.drop("_arrived", strict=False)
        self.sent[delivery.gateway] += len(frame) + len(delivery.bad)
        if delivery.gateway == "http":
            self._by_http(frame)
        elif delivery.gateway == "file":
            self._by_file(kind, frame)
        elif delivery.gateway == "kafka":
            keys = [subject.encode() for subject in frame["subject"].to_list()]
            self._by_kafka(kind, list(zip(keys, encode_frame(kind.schema, frame), strict=True)))
        else:
            self._by_kafka(kind, [(bad.key, bad.value) for bad in delivery.bad])

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
