"""How far the committed transactions stand behind Kafka, by topic and partition."""

from streams import metrics
from streams.runtime import Runtime


def tell_lag(runtime: Runtime) -> None:
    """Set `fengsui_lag` for every partition that this worker owns: offsets up to the last record, markers behind it left out."""
    if runtime.consumer is None:
        return
    for tp, committed in runtime.seen().items():
        end: int | None = runtime.consumer.unread(tp, committed)
        topic = tp.topic.removeprefix(runtime.prefix)
        metrics.LAG.labels(topic, str(tp.partition)).set(max(0, end - committed) if end is not None else 0)
