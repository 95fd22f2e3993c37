"""Ranges of topics: what a broker that was just started answers is asked again, what stays wrong is raised."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from connectors.archive import reading


@pytest.mark.parametrize(
    ("code", "calls"), [(KafkaError.UNKNOWN_LEADER_EPOCH, 3), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 1)]
)
def test_passing_errors_are_asked_again(code: int, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_: Any, prefix: str, *__: Any) -> list[TopicPartition]:
        asked.append(prefix)
        if len(asked) < 3:
            raise KafkaException(KafkaError(code))
        return []

    monkeypatch.setattr(reading, "AdminClient", dict)
    monkeypatch.setattr(reading, "_partitions", answer)
    if calls == 1:
        with pytest.raises(KafkaException):
            reading.ranges({}, "p.", ["clues"])
    else:
        assert reading.ranges({}, "p.", ["clues"]) == {}
    assert asked == ["p."] * calls
