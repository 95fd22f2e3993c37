"""Readers of Kafka whose records do not come though they are there: found, so that the reader can be begun anew.

Now and then, when a broker has come back, librdkafka brings nothing more of one partition, in silence (ADR 13: seen in the fault
rounds, its cause not known). Only Kafka itself can say that something is missing.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final

import structlog
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors import reader_metrics
from connectors.admin import ends

_log = structlog.get_logger(__name__)
STALL_SECONDS: Final = 15.0  # how long records that are in Kafka may take to come
_TURNS: Final = 3  # times that the reader had taken all it was given: nothing of the partition was on its way
Place = tuple[str, int]  # topic, partition


class Stalled(Exception):  # noqa: N818 - a finding; who raises it begins anew
    """Committed records of a partition do not come."""


class Watch:
    """Used by a reader's own thread, each turn. It never waits for Kafka: questions are answered between two looks."""

    def __init__(self, client: Mapping[str, Any], reader: str) -> None:
        """`reader`: its name in the metric."""
        self._admin = AdminClient({**client, "log_level": 0})
        self._reader = reader
        self._due = time.monotonic() + STALL_SECONDS
        self._turns = 0
        self._stood: dict[Place, int] = {}
        self._ends: dict[Place, Future[Any]] = {}

    def look(self, stands: Callable[[], Mapping[Place, int]], drained: bool) -> None:
        """`stands`: gives the next offset that each partition can bring; `drained`: the reader has taken all that had come.
        Raises Stalled when one stands where it stood when Kafka was last asked, with committed records behind it already then."""
        self._turns += drained
        if time.monotonic() < self._due or self._turns < _TURNS:
            return
        positions = stands()
        stuck = [place for place, at in self._stood.items() if positions.get(place) == at and self._end(place) > at]
        if stuck:
            reader_metrics.STALLS.labels(self._reader).inc()
            first = sorted(stuck)[0]
            _log.error("reader.stalled", reader=self._reader, partitions=len(stuck), first=f"{first[0]}/{first[1]}")
            raise Stalled(f"{len(stuck)} partitions, {first[0]}/{first[1]} at {positions[first]}")
        self._ask(positions)

    def _end(self, place: Place) -> int:
        """Where the partition ended when Kafka was asked; -1: not known."""
        answer = self._ends.get(place)
        if answer is None or not answer.done() or answer.exception() is not None:
            return -1
        return int(answer.result().offset)

    def _ask(self, positions: Mapping[Place, int]) -> None:
        self._due, self._turns = time.monotonic() + STALL_SECONDS, 0
        self._stood, self._ends = dict(positions), {}
        if positions:
            asked = ends(self._admin, [TopicPartition(*place) for place in positions])
            self._ends = {(tp.topic, tp.partition): answer for tp, answer in asked.items()}
