"""Reading whole topics once, read-committed, up to ends that were recorded first."""

import operator
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential

from connectors.admin import ends, offset_spec
from connectors.archive.table import Record

_TIMEOUT: Final = 30.0
_POLL: Final = 0.2
_BACKOFF: Final = wait_exponential(0.1, max=2)
_FETCH: Final = 10_000
UNREADABLE: Final = "unreadable-header"  # stands for headers of which one has a name that is not UTF-8


@dataclass(frozen=True, slots=True)
class Range:
    """The offsets of a partition that hold what a read-committed reader sees now: `low` up to, without, `end`."""

    low: int
    end: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """All records of one partition with offsets from `first` up to, without, `end`."""

    partition: int
    first: int
    end: int
    records: list[Record]


def _passing(error: BaseException) -> bool:
    """Whether Kafka would answer otherwise in a moment."""
    return isinstance(error, KafkaException) and (
        error.args[0].retriable()
        or error.args[0].code() in {KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH}
    )


# A broker that was just started knows less than its clients.
_patient = retry(retry=retry_if_exception(_passing), stop=stop_after_delay(_TIMEOUT), wait=_BACKOFF, reraise=True)


@_patient
def ranges(
    client: Mapping[str, Any], prefix: str, names: Collection[str], since: int | None = None
) -> dict[str, dict[int, Range]]:
    """Topic (without prefix) -> partition -> range, of those topics that exist. Raises KafkaException.

    With `since` (log time in ms) a range begins at the first record that is not older.
    """
    admin = AdminClient({**client, "log_level": 0})
    parts = _partitions(admin, prefix, names)
    if not parts:
        return {}
    begin = offset_spec.earliest() if since is None else offset_spec.for_timestamp(since)
    low = admin.list_offsets(dict.fromkeys(parts, begin), request_timeout=_TIMEOUT)
    end = ends(admin, parts)
    found: dict[str, dict[int, Range]] = {}
    for part in parts:
        first, last = low[part].result().offset, end[part].result().offset
        both = Range(first if first >= 0 else last, last)  # -1: no record is that young
        found.setdefault(part.topic.removeprefix(prefix), {})[part.partition] = both
    return found


@_patient
def unended(client: Mapping[str, Any], prefix: str, names: Collection[str]) -> list[str]:
    """Topic/partition pairs that hold records of a transaction that has not ended there: a commit reaches one after the other."""
    admin = AdminClient({**client, "log_level": 0})
    parts = _partitions(admin, prefix, names)
    whole, stable = ends(admin, parts, IsolationLevel.READ_UNCOMMITTED), ends(admin, parts)
    return [f"{p.topic}/{p.partition}" for p in parts if stable[p].result().offset < whole[p].result().offset]


def _partitions(admin: AdminClient, prefix: str, names: Collection[str]) -> list[TopicPartition]:
    """Those of the topics that exist."""
    known = admin.list_topics(timeout=_TIMEOUT).topics
    return [TopicPartition(prefix + n, p) for n in names if prefix + n in known for p in known[prefix + n].partitions]


class Reader:
    """A consumer without a group. Use it in a `with` block."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        """`client` reaches the cluster."""
        self._consumer = Consumer(
            {
                **client,
                "group.id": "fengsui-reader",  # required by the library; nothing is committed or joined
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "log_level": 0,
            }
        )

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def low(self, topic: str, partition: int) -> int:
        """The first offset that Kafka still has. Raises KafkaException."""
        found = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return int(found[0])

    def read(self, topic: str, wanted: Mapping[int, Range], rows: int = 20_000) -> Iterator[Stretch]:
        """The records of `wanted`, in stretches of about `rows`; together they cover each range.

        `topic` is the full name. Raises KafkaException when Kafka falls silent.
        """
        todo = {p: _Part(p, r.low, r.end) for p, r in wanted.items() if r.low < r.end}
        self._consumer.assign([TopicPartition(topic, p, part.first) for p, part in todo.items()])
        heard = time.monotonic()
        while todo:
            messages = self._consumer.consume(_FETCH, _POLL)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _TIMEOUT:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in messages:
                part = todo.get(message.partition() or 0)
                if part is not None:
                    part.take(message)
            for number, part in list(todo.items()):
                if part.done or len(part.records) >= rows:
                    yield part.cut()
                if part.done:
                    del todo[number]
                    self._consumer.pause([TopicPartition(topic, number)])
        self._consumer.resume([TopicPartition(topic, number) for number in wanted])  # a pause outlives its assignment
        self._consumer.unassign()


class _Part:
    """One partition on the way from `first` to `end`."""

    def __init__(self, partition: int, first: int, end: int) -> None:
        self.partition = partition
        self.first = first
        self.end = end
        self.records: list[Record] = []
        self.done = False

    def take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            self.done = self.done or message.offset() >= self.end
            return
        if message.offset() < self.end:
            self.records.append(record_of(message))
        self.done = self.done or message.offset() >= self.end - 1

    def cut(self) -> Stretch:
        end = self.end if self.done else self.records[-1].offset + 1
        stretch = Stretch(self.partition, self.first, end, self.records)
        self.first, self.records = end, []
        return stretch


def record_of(message: Any) -> Record:
    """A consumed message as a record."""
    return Record(message.offset(), message.timestamp()[1], message.key(), message.value(), _headers(message))


# Called so that the interpreter checks the outcome: with a name that is not UTF-8 the library returns a broken list *and* an
# error, and a plain call in a hot loop takes the list (whose holes crash whoever looks into it) and meets the error later.
_ask_headers: Final = operator.methodcaller("headers")


def _headers(message: Any) -> list[tuple[str, bytes | None]] | None:
    """The headers; where one has a name that is not UTF-8 none can be had, but the record must not stop the reader."""
    try:
        headers: list[tuple[str, bytes | None]] | None = _ask_headers(message)
    except SystemError as error:
        cause = error.__cause__
        return [(UNREADABLE, cause.object if isinstance(cause, UnicodeDecodeError) else b"")]
    return headers
