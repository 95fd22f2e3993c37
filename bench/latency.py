"""From produce to a read-committed reader, at a steady 20,000 events a second; also where three in ten are of one subject."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.events import steady, subjects
from bench.workloads import Stand
from fengsui.settings import Settings
from topics.wire import decode

RATE, SECONDS, SMOKE_SECONDS = 20_000, 30, 8
FULL = 1_000_000  # events of a run that is not a smoke test
HOT: Final = 0.3  # of all events, at one subject


class Arrival(NamedTuple):
    """A clue came to a reader: when its event occurred (s since the epoch), seconds from then, whose it is."""

    at: float
    wait: float
    subject: str


def measure(stand: Stand, rate: int = RATE, seconds: int = SECONDS, hot: float = 0.0) -> dict[str, float]:
    """p50 and p99 in ms over the clues of a steady stream (an event's occurred_at is when it was due to be produced); the
    first half, in which broker and caches warm up, is left out. Also how many clues that were. A `hot` subject is left out."""
    stand.prepare(events=0)
    waits: list[Arrival] = []
    stop = threading.Event()
    with stand.crew() as crew:
        crew.go()
        reader = threading.Thread(target=lambda: waits.extend(arrivals(stand.settings, stop.is_set)))
        reader.start()
        _produce(stand, rate, seconds, hot)
        crew.end(stand.ends())
        stop.set()
        reader.join()
    (busy,) = subjects(1)
    others = [one for one in waits if not hot or one.subject != busy]
    late = np.array([one.wait for one in others if one.at - waits[0].at >= seconds / 2])
    if not late.size:
        raise RuntimeError("no clue was read")
    p50, p99 = np.percentile(late * 1000, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "clues": len(late), "events_per_second": rate}


def typical(settings: Settings, runs: int, hot: float = 0.0) -> dict[str, float]:
    """The medians of some runs: one may meet a neighbour of the machine."""
    found = [measure(Stand(settings, 0), hot=hot) for _ in range(runs)]
    return {name: round(statistics.median(one[name] for one in found), 1) for name in found[0]}


def arrivals(settings: Settings, done: Callable[[], bool]) -> Iterator[Arrival]:
    """Committed clues as a reader gets them, until `done`."""
    consumer = Consumer(settings.kafka_client() | {"group.id": "arrivals", "isolation.level": "read_committed"})
    topic = settings.topic_prefix + "clues"
    consumer.assign([TopicPartition(topic, p, 0) for p in range(settings.partitions)])
    while not done():
        for message in consumer.consume(1, 0.1):
            if message.error() is None:
                clue = decode(message.value() or b"")[1]
                occurred = int(clue["occurred_at"]) / 1000
                yield Arrival(occurred, time.time() - occurred, clue["subject"])
    consumer.close()


def _produce(stand: Stand, rate: int, seconds: int, hot: float) -> None:
    producer = Producer(
        stand.settings.kafka_client()
        | {"linger.ms": 2, "partitioner": "murmur2_random", "queue.buffering.max.messages": 500_000}
    )
    for messages in steady(rate, seconds, hot=hot):
        producer.produce_batch(stand.topic, messages)
        producer.poll(0)
    producer.flush()
