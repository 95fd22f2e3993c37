"""The last events of the topics, read when a gateway starts: what the one before it wrote, but did not live to answer, and the
episodes of cameras that are still open.

At most so many messages are under way at once (`pipe.MOST_FRAMES`), so that the newest records of each partition are enough.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import polars as pl
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.devices.rows import COLUMNS
from topics.columns import decode_chunk
from topics.events import KINDS, Kind

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
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        kinds = {prefix + KINDS[code].topic: KINDS[code] for code in COLUMNS}
        consumer.assign(_starts(consumer, kinds, records))
        yield from _frames(consumer, kinds)
    except KafkaException as error:
        log.warning("gateway.tail", error=str(error)[:200])
    finally:
        consumer.close()


def _starts(consumer: Consumer, names: Iterable[str], records: int) -> list[TopicPartition]:
    """Where to begin in each partition that has anything."""
    places = []
    for name in names:
        for number in consumer.list_topics(name, timeout=_ANSWER_SECONDS).topics[name].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_ANSWER_SECONDS)
            if low < high:
                places.append(TopicPartition(name, number, max(low, high - records)))
    return places


def _frames(consumer: Consumer, kinds: Mapping[str, Kind]) -> Iterator[tuple[str, pl.DataFrame]]:
    left = {(place.topic, place.partition) for place in consumer.assignment()}
    deadline = time.monotonic() + _SECONDS
    while left and time.monotonic() < deadline:
        values: dict[str, list[bytes | None]] = {}
        for message in consumer.consume(5_000, 0.05):
            error = message.error()
            if error is None:
                values.setdefault(message.topic() or "", []).append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic(), message.partition()))
        for name, given in values.items():
            yield kinds[name].code, decode_chunk(kinds[name], given).frame
