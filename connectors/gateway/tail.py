"""The last events of the topics, read when a gateway starts: what the one before it wrote, but did not live to answer, and the
episodes of cameras that are still open.

At most so many messages are under way at once (`pipe.MOST_FRAMES`), so that the newest records of each partition are enough.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.devices.rows import COLUMNS
from topics.columns import decode_chunk
from topics.events import KINDS

log = structlog.get_logger(__name__)
RECORDS: Final = 20_000  # of each partition
_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 10.0


def newest(client: Mapping[str, Any], prefix: str, records: int = RECORDS) -> Iterator[tuple[str, pl.DataFrame]]:
    """(code of the kind, events) of the newest records of sensors' and cameras' topics. A broker that does not answer in time is
    told and left: what is written twice then, the engine drops."""
    consumer = Consumer(
        {
            **client,
            "group.id": "fengsui-tail",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        | {"auto.offset.reset": "earliest"}
    )
    try:
        for code in COLUMNS:
            yield from ((code, frame) for frame in _frames(consumer, prefix, code, records))
    except KafkaException as error:
        log.warning("gateway.tail", error=str(error)[:200])
    finally:
        consumer.close()


def _frames(consumer: Consumer, prefix: str, code: str, records: int) -> Iterator[pl.DataFrame]:
    kind = KINDS[code]
    name = prefix + kind.topic
    meta = consumer.list_topics(name, timeout=_ANSWER_SECONDS).topics[name]
    starts = []
    for number in meta.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_ANSWER_SECONDS)
        starts.append(TopicPartition(name, number, max(low, high - records)))
    consumer.assign(starts)
    left, deadline = {place.partition for place in starts}, time.monotonic() + _SECONDS
    while left and time.monotonic() < deadline:
        values = []
        for message in consumer.consume(10_000, 0.2):
            error = message.error()
            if error is None:
                values.append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
        if values:
            yield decode_chunk(kind, values).frame
