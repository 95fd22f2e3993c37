"""A plain loop on confluent-kafka: the floor of what Python does without an engine: fastavro, no state, at least once."""

import io
import os
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contender import Meter
from bench.events import PARTITIONS, thresholds
from topics.events import KINDS


def main() -> None:
    """Read, decode, compare, produce."""
    servers, topic, events = os.environ["BENCH_KAFKA"], os.environ["BENCH_TOPIC"], int(os.environ["BENCH_EVENTS"])
    schema, limits, meter = fastavro.parse_schema(KINDS["iot"].schema.avro()), thresholds(), Meter()
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": os.environ["BENCH_RUN"], "auto.offset.reset": "earliest"}
    )
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    seen = hits = 0
    while seen < events:
        for message in consumer.consume(10_000, 0.5):
            meter.begin()
            event: Any = fastavro.schemaless_reader(io.BytesIO((message.value() or b"")[5:]), schema, None)
            seen += 1
            if event["sector"] == "food-drug" and event["metric"] == "cold_store_temp":
                for i, limit in enumerate(limits):
                    if event["value"] > limit:
                        hits += 1
                        producer.produce(f"{topic}.out", f"{event['event_id']}:{i}".encode())
        producer.poll(0)
    producer.flush()
    meter.done(seen, hits)
    consumer.close()


if __name__ == "__main__":
    main()
