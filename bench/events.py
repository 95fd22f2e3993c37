"""The events of the benchmarks: cold-store temperatures of 100,000 subjects, the same for every contender."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from confluent_kafka import Producer

from topics.columns import encode_frame
from topics.events import KINDS
from topics.identifiers import uscc_check_digit

SUBJECTS = 100_000
PARTITIONS = 4
FIRST = 13.0  # thresholds of the 50 rules: 13.00, 13.05 … 15.45
RULES = 50
STEP = 0.05
BATCH = 50_000
_TRIED = 50  # hundredths of a second made to see how long that takes


def thresholds() -> list[float]:
    """The thresholds of the 50 rules."""
    return [round(FIRST + STEP * i, 2) for i in range(RULES)]


def subjects(count: int = SUBJECTS) -> list[str]:
    """Valid credit codes, in order."""
    bodies = [f"91320100MA{i:07d}" for i in range(count)]
    return [f"uscc:{body}{uscc_check_digit(body)}" for body in bodies]


def produce(client: dict[str, Any], topic: str, events: int, seed: int = 1) -> float:
    """Put `events` on an existing topic; returns seconds."""
    producer = Producer(
        client
        | {
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 500_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
        }
    )
    began, names = time.perf_counter(), np.array(subjects())
    rng = np.random.default_rng(seed)
    start = int(time.time() * 1000) - events
    for first in range(0, events, BATCH):
        _put(producer, topic, frame_of(rng, names, start, first, min(BATCH, events - first)))
    producer.flush()
    return time.perf_counter() - began


def steady(rate: int, seconds: int, seed: int = 2, hot: float = 0.0) -> Iterator[list[dict[str, bytes | str]]]:
    """Messages, a hundredth of a second's events at a time, given out when they are due; occurred_at is that moment. All is
    made beforehand: the time to make events is not part of anybody's latency, a late start of their sending is. `hot`: share of
    the events that are of the first subject."""
    names, rng = np.array(subjects()), np.random.default_rng(seed)
    each = rate // 100

    def make(tick: int, at: int) -> list[dict[str, bytes | str]]:
        frame = frame_of(rng, names, 0, tick * each, each, hot).with_columns(
            occurred_at=pl.lit(at), observed_at=pl.lit(at)
        )
        values, keys = encode_frame(KINDS["iot"].schema, frame), frame["subject"].to_list()
        return [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]

    tried = time.time()
    for tick in range(_TRIED):
        make(tick, 0)
    began = int(1000 * (time.time() + 2 + 1.5 * (time.time() - tried) * 100 * seconds / _TRIED))
    ticks = [make(tick, began + 10 * tick) for tick in range(100 * seconds)]
    if time.time() * 1000 > began:
        raise RuntimeError("the events were not made in time")
    for tick, messages in enumerate(ticks):
        time.sleep(max(0.0, began / 1000 + tick / 100 - time.time()))
        yield messages


def frame_of(rng: np.random.Generator, names: Any, start: int, first: int, n: int, hot: float = 0.0) -> pl.DataFrame:
    """Events number `first` to `first + n - 1`, a millisecond apart from `start` on, of any of the subjects `names`, a share of
    them `hot`: of the first one."""
    at = start + np.arange(first, first + n)
    whose = rng.integers(0, len(names), n)
    if hot:
        whose[rng.random(n) < hot] = 0
    return pl.DataFrame(
        {
            "event_id": [f"ev-{i:012d}" for i in range(first, first + n)],
            "kind": "iot",
            "sector": "food-drug",
            "subject": names[whose],
            "region": "320102",
            "occurred_at": at,
            "observed_at": at,
            "source": "bench",
            "device_id": "d1",
            "metric": "cold_store_temp",
            "value": np.round(rng.normal(4, 3, n), 3),
        }
    )


def _put(producer: Producer, topic: str, frame: pl.DataFrame) -> None:
    values = encode_frame(KINDS["iot"].schema, frame)
    for value, subject in zip(values, frame["subject"].to_list(), strict=True):
        while True:
            try:
                producer.produce(topic, value, subject.encode())
                break
            except BufferError:
                producer.poll(0.05)
    producer.poll(0)
