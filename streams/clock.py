"""Ticks: time written to the log, so that deadlines and absence fire alike in a replay. The owner of a task that is told the time
writes the ticks of its partition; two owners for a moment do no harm, a tick says only that time has come so far."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from confluent_kafka import KafkaException, Producer

from topics.catalogue import CLOCKED, TICKS
from topics.records import TICK
from topics.wire import encode

log = structlog.get_logger()


class Clock:
    """Writes a tick for each task, (stage, partition), that `owned()` names and that has ticks of its own."""

    def __init__(self, client: dict[str, Any], prefix: str, owned: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._topics = {stage: prefix + TICKS[stage] for stage in CLOCKED}
        self._owned = owned
        self._producer = Producer(client | {"linger.ms": 0, "message.timeout.ms": 5000, "acks": "all"})

    def tick(self, now: Callable[[], float] = time.time) -> int:
        """Write one tick a task; returns how many. A broker that is away costs ticks, nothing else."""
        value = encode(TICK, {"at": int(now() * 1000)})
        tasks = [(stage, partition) for stage, partition in self._owned() if stage in self._topics]
        for stage, partition in tasks:
            try:
                self._producer.produce(self._topics[stage], value, b"tick", partition=partition)
            except (BufferError, KafkaException) as error:
                log.warning("clock.wait", error=str(error))
        self._producer.poll(0)
        return len(tasks)

    def close(self) -> None:
        """Let pending ticks go."""
        self._producer.flush(2)
