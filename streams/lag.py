"""How far the committed transactions stand behind Kafka, by topic and partition."""

from faust.types import TP

from streams import metrics
from streams.runtime import Runtime


def tell_lag(runtime: Runtime) -> None:
    """Set `fengsui_lag` for every partition that this worker owns. Transaction markers count: a lag of one may stand."""
    consumer = runtime.consumer
    for tp, committed in runtime.seen().items():
        end = _end(consumer, tp)
        if end is not None:
            topic = tp.topic.removeprefix(runtime.prefix)
            metrics.LAG.labels(topic, str(tp.partition)).set(max(0, end - committed))


def _end(consumer: object, tp: TP) -> int | None:
    end: int | None = consumer.stable_end(tp) if consumer is not None else None  # type: ignore[attr-defined]
    return end
