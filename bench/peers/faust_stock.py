"""Stock Faust: one event at a time, fastavro, 50 comparisons, a send for each hit, at least once. W2: a tumbling table with its
changelog."""

import os
from typing import Any

import faust

from bench.contender import Meter
from bench.peers.work import EVENTS, RUN, SERVERS, TOPIC, WINDOWS, decode, hits, warm

app = faust.App(
    f"bench-{RUN}",
    broker=f"kafka://{SERVERS}",
    topic_partitions=4,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
    store="memory://",
    topic_disable_leader=True,
    topic_allow_declare=WINDOWS,
)
source = app.topic(TOPIC, value_type=bytes, value_serializer="raw", key_serializer="raw", key_type=bytes)
target = app.topic(f"{TOPIC}.out", value_type=bytes, value_serializer="raw")
hours = app.Table("hours", default=lambda: [0, 0.0], partitions=4).tumbling(3600.0, expires=7200.0) if WINDOWS else None
meter = Meter()


@app.agent(source)
async def judge(stream: Any) -> None:
    """Decode, compare, count, send."""
    seen = found = 0
    async for value in stream:
        meter.begin()
        event = decode(value)
        for hit in hits(event):
            found += 1
            await target.send(value=hit)
        if hours is not None:
            count, total = hours[event["subject"]].value()
            hours[event["subject"]] = [count + 1, total + event["value"]]
            if warm(count + 1, total + event["value"]):
                await target.send(value=str(count + 1).encode())
        seen += 1
        if seen == EVENTS:
            meter.done(seen, found)
            os._exit(0)


if __name__ == "__main__":
    app.main()
