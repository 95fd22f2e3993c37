"""A write is whole or fails: what librdkafka does not report as delivered must not pass for committed."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams import writer as module
from streams.writer import SHORTEST_MS, Writer


class Reported:
    """A delivery report's message."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class FakeProducer:
    """Reports deliveries at commit; `failing` says which produce call is not delivered, `commit` what commits raise first."""

    failing = -1
    commit: list[KafkaError]

    def __init__(self, conf: dict[str, Any]) -> None:
        self.conf = conf
        self.reports: list[tuple[Callable[..., None] | None, int]] = []

    def init_transactions(self, _: float) -> None:
        pass

    def begin_transaction(self) -> None:
        self.reports.clear()

    def produce(self, topic: str, value: bytes, key: bytes, *, partition: int, on_delivery: Any) -> None:
        self.reports.append((on_delivery, len(self.reports)))

    def commit_transaction(self, _: float) -> None:
        if self.commit:
            raise KafkaException(self.commit.pop(0))
        for report, i in self.reports:
            if report is not None:
                error = KafkaError(KafkaError._MSG_TIMED_OUT) if i == self.failing else None
                report(error, Reported(100 + i))

    def abort_transaction(self, _: float) -> None:
        pass

    def purge(self) -> None:
        pass


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    """An owning writer."""
    monkeypatch.setattr(module, "Producer", FakeProducer)
    monkeypatch.setattr(FakeProducer, "failing", -1)
    monkeypatch.setattr(FakeProducer, "commit", [], raising=False)
    made = Writer({}, "p.", "p.g.detect/0", "detect")
    made.own()
    return made


OUTPUTS = {"clues": [(b"k", b"v", -1)], "progress": [(b"a", b"1", 0), (b"b", b"2", 0)]}


def test_offsets_of_the_tracked_topic(writer: Writer) -> None:
    assert writer.write(OUTPUTS, "progress") == [101, 102]


def test_a_record_that_was_not_delivered_fails_the_write(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProducer, "failing", 2)
    with pytest.raises(KafkaException, match="1 of 2 delivery reports"):
        writer.write(OUTPUTS, "progress")


def test_a_producer_that_lost_its_coordinator_is_given_up(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says for ever that the call may be made again; another producer gets through."""
    lost = KafkaError(KafkaError._TIMED_OUT, "timed out", False, True)
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.2)
    monkeypatch.setattr(FakeProducer, "commit", [lost] * 1000)
    with pytest.raises(KafkaException):
        writer.write(OUTPUTS, "progress")
    assert 1 < 1000 - len(FakeProducer.commit) < 10
    writer.close()
    FakeProducer.commit[:] = [lost]
    writer.own()
    assert writer.write(OUTPUTS, "progress") == [101, 102]


def test_a_commit_that_fails_is_not_taken_for_done(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next life's transactions may take longer."""
    monkeypatch.setattr(FakeProducer, "commit", [KafkaError(KafkaError._TIMED_OUT, "no answer", True)])
    with pytest.raises(KafkaException):
        writer.write(OUTPUTS, "progress")
    assert writer.transaction_ms == 2 * SHORTEST_MS
