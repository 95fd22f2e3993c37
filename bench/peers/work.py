"""What the Python peers share: told by environment variables, standard library and fastavro only."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import fastavro

SERVERS: Final = os.environ.get("BENCH_KAFKA", "")
TOPIC: Final = os.environ.get("BENCH_TOPIC", "")
EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "0"))
RUN: Final = os.environ.get("BENCH_RUN", "")
WINDOWS: Final = os.environ.get("BENCH_WORKLOAD") != "W1"
HOUR_MS: Final = 3_600_000
_SCHEMA: Final = fastavro.parse_schema(json.loads(os.environ.get("BENCH_SCHEMA", '"null"')))
_LIMITS: Final = [float(word) for word in os.environ.get("BENCH_LIMITS", "").split(",") if word]


def decode(value: bytes) -> dict[str, Any]:
    """An event of its wire value."""
    event: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), _SCHEMA, None)
    return dict(event)


def hits(event: Mapping[str, Any]) -> Iterator[bytes]:
    """An output for each of the threshold rules that holds."""
    if event["sector"] == "food-drug" and event["metric"] == "cold_store_temp":
        for i, limit in enumerate(_LIMITS):
            if event["value"] > limit:
                yield f"{event['event_id']}:{i}".encode()


def warm(count: int, total: float) -> bool:
    """Whether an hour's readings call for an output."""
    return count >= 20 and total / count > 5
