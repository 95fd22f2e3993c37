"""Stock Faust: one event at a time, fastavro, 50 comparisons, a send for each hit."""

import io
import os
from typing import Any

import fastavro
import faust

from bench.contender import Meter
from bench.events import thresholds
from topics.events import KINDS

SERVERS, TOPIC, RUN = os.environ["BENCH_KAFKA"], os.environ["BENCH_TOPIC"], os.environ["BENCH_RUN"]
EVENTS = int(os.environ["BENCH_EVENTS"])
SCHEMA = fastavro.parse_schema(KINDS["iot"].schema.avro())
LIMITS = thresholds()

app = faust.App(
    f"bench-{RUN}",
    broker=f"kafka://{SERVERS}",
    topic_partitions=4,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
    store="memory://",
    topic_disable_leader=True,
    topic_allow_declare=False,
)
source = app.topic(TOPIC, value_type=bytes, value_serializer="raw", key_serializer="raw", key_type=bytes)
target = app.topic(f"{TOPIC}.out", value_type=bytes, value_serializer="raw")
meter = Meter()


@app.agent(source)
async def judge(stream: Any) -> None:
    """Decode, compare, send."""
    seen = hits = 0
    async for value in stream:
        meter.begin()
        event: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), SCHEMA, None)
        if event["sector"] == "food-drug" and event["metric"] == "cold_store_temp":
            for i, limit in enumerate(LIMITS):
                if event["value"] > limit:
                    hits += 1
                    await target.send(value=f"{event['event_id']}:{i}".encode())
        seen += 1
        if seen == EVENTS:
            meter.done(seen, hits)
            os._exit(0)


if __name__ == "__main__":
    app.main()
