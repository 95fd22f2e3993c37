"""Readers of Kafka whose records do not come though they are there: found, so that the reader can be begun anew.

librdkafka can stop fetching one partition, in silence and for ever, when a broker comes back (librdkafka issue 4492; in the fault
rounds about once in twenty-five restarts of a broker with 130 partitions). Only Kafka itself can say that something is missing.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final

import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # the stubs leave it out

from connectors import reader_metrics

_log = structlog.get_logger(__name__)
_ANSWER_SECONDS: Final = 10.0
_TURNS: Final = 3  # times that the reader had taken all it was given: nothing of the partition was on its way
Place = tuple[str, int]  # topic, partition


class Stalled(Exception):  # noqa: N818 - a finding; who raises it begins anew
    """Committed records of a partition do not come."""


class Watch:
    """Used by a reader's own thread, each turn. It never waits for Kafka: questions are answered between two looks."""

    def __init__(
        self, client: Mapping[str, Any], reader: str, seconds: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`reader`: its name in the metric; `seconds`: how long records that are there may take to come."""
        self._admin = AdminClient({**client, "log_level": 0})
        self._reader, self._seconds, self._clock = reader, seconds, clock
        self._due = clock() + seconds
        self._turns = 0
        self._stood: dict[Place, int] = {}
        self._ends: dict[Place, Future[Any]] = {}

    def look(self, positions: Mapping[Place, int], drained: bool) -> None:
        """`positions`: the next offset that each partition can bring; `drained`: the reader has taken all that had come.
        Raises Stalled when one stands where it stood `seconds` ago and Kafka had committed records from there on already then."""
        self._turns += drained
        if self._clock() < self._due or self._turns < _TURNS:
            return
        stuck = [place for place, at in self._stood.items() if positions.get(place) == at and self._end(place) > at]
        self._ask(positions)
        if stuck:
            reader_metrics.STALLS.labels(self._reader).inc()
            first = sorted(stuck)[0]
            _log.error("reader.stalled", reader=self._reader, partitions=len(stuck), first=f"{first[0]}/{first[1]}")
            raise Stalled(f"{len(stuck)} partitions, {first[0]}/{first[1]} at {positions[first]}")

    def _end(self, place: Place) -> int:
        """Where the partition ended when Kafka was asked; -1: not known."""
        answer = self._ends.get(place)
        if answer is None or not answer.done() or answer.exception() is not None:
            return -1
        return int(answer.result().offset)

    def _ask(self, positions: Mapping[Place, int]) -> None:
        self._due, self._turns = self._clock() + self._seconds, 0
        self._stood, self._ends = dict(positions), {}
        if not positions:
            return
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(*place): latest for place in positions}
        try:
            asked = self._admin.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ANSWER_SECONDS
            )
        except KafkaException as error:
            _log.debug("ends are not known", reason=str(error))
            return
        self._ends = {(tp.topic, tp.partition): future for tp, future in asked.items()}
