"""A plain loop on confluent-kafka: the floor of what Python does without an engine: fastavro, at least once.

W2: a dict that no crash survives."""

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contender import Meter
from bench.peers.work import EVENTS, HOUR_MS, RUN, SERVERS, TOPIC, WINDOWS, decode, hits, warm

PARTITIONS = 4


def main() -> None:
    """Read, decode, compare, produce."""
    meter = Meter()
    consumer = Consumer({"bootstrap.servers": SERVERS, "group.id": RUN, "auto.offset.reset": "earliest"})
    producer = Producer({"bootstrap.servers": SERVERS, "linger.ms": 5})
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    seen = found = 0
    windows: dict[tuple[str, int], tuple[int, float]] = {}
    while seen < EVENTS:
        for message in consumer.consume(10_000, 0.5):
            meter.begin()
            event = decode(message.value() or b"")
            seen += 1
            for hit in hits(event):
                found += 1
                producer.produce(f"{TOPIC}.out", hit)
            if WINDOWS:
                key = event["subject"], event["occurred_at"] // HOUR_MS
                count, total = windows.get(key, (0, 0.0))
                windows[key] = count, total = count + 1, total + event["value"]
                if warm(count, total):
                    producer.produce(f"{TOPIC}.out", str(count).encode())
        producer.poll(0)
    producer.flush()
    meter.done(seen, found)
    consumer.close()


if __name__ == "__main__":
    main()
