"""The lag that operators see."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams import metrics
from streams.lag import tell_lag

IOT, TICKS = TP("p.events.iot", 0), TP("p.ticks.detect", 3)


def runtime(consumer: Any) -> Any:
    return SimpleNamespace(prefix="p.", consumer=consumer, seen=lambda: {IOT: 40, TICKS: 9})


def shown(topic: str, partition: int) -> float:
    return float(metrics.LAG.labels(topic, str(partition))._value.get())


def test_lag_is_what_is_left_and_a_marker_is_nothing() -> None:
    """A partition whose last record is committed has none, whatever markers follow; without a consumer nothing is said."""
    tell_lag(runtime(SimpleNamespace(unread=lambda tp, taken: {IOT: 100}.get(tp))))
    assert shown("events.iot", 0) == 60
    assert shown("ticks.detect", 3) == 0
    tell_lag(runtime(None))
    assert shown("events.iot", 0) == 60
