"""The dead-letter desk: read the `rejected` topic; send mended records again, with audit, in one transaction."""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException, Producer

from connectors.archive.reading import Range, Reader, ranges
from connectors.archive.table import Record
from connectors.producing import producer_config
from fengsui.mending import Letter, Mended, Mending, mend
from fengsui.settings import Settings
from topics.records import AUDIT, REJECTED
from topics.wire import Refused, decode, encode

TOPIC: Final = "rejected"
HEADER: Final = "mends"  # on a record sent again: the id of the dead letter
ACTION: Final = "rejected.replay"
_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Found:
    """Dead letters that a search found: the newest of them, newest first, and how many there are of each reason."""

    letters: list[Letter]
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter: sent to `where` (topic/partition/offset), or refused for a named reason."""

    id: str
    ok: bool
    where: str = ""
    reason: str = ""
    detail: str = ""


class Desk:
    """The dead letters of a cluster. Raises KafkaException when it does not answer."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the cluster and the prefix."""
        self._client = settings.kafka_client()
        self._prefix = settings.topic_prefix
        self._most = settings.max_event_bytes

    def search(self, accept: Callable[[Letter], bool], limit: int, since: int | None = None) -> Found:
        """The newest `limit` letters that are accepted; `since` is log time in ms."""
        counts: Counter[str] = Counter()
        newest: dict[int, deque[Letter]] = {}
        with Reader(self._client) as reader:
            for wanted in ranges(self._client, self._prefix, [TOPIC], since).values():
                for stretch in reader.read(self._prefix + TOPIC, wanted):
                    kept = newest.setdefault(stretch.partition, deque(maxlen=limit))
                    for letter in filter(accept, _letters(stretch.partition, stretch.records)):
                        counts[letter.reason] += 1
                        kept.append(letter)
        letters = sorted((x for kept in newest.values() for x in kept), key=_age, reverse=True)
        return Found(letters[:limit], counts)

    def get(self, ids: Sequence[str]) -> dict[str, Letter]:
        """Letters by id (`rejected/partition/offset`), those that are there. Raises ValueError on a bad id."""
        found: dict[str, Letter] = {}
        with Reader(self._client) as reader:
            known = ranges(self._client, self._prefix, [TOPIC]).get(TOPIC, {})
            for partition, offset in dict.fromkeys(map(parse_id, ids)):
                here = known.get(partition)
                if here is None or not here.low <= offset < here.end:
                    continue
                for stretch in reader.read(self._prefix + TOPIC, {partition: Range(offset, offset + 1)}):
                    found.update((letter.id, letter) for letter in _letters(partition, stretch.records))
        return found

    def replay(self, letters: Sequence[Letter], how: Mending, now: int, actor: str, department: str) -> list[Outcome]:
        """Send letters again as mended, all in one transaction with an audit record for each; `now` in ms.

        A letter that would be refused again is not sent, and its outcome says why.
        """
        outcomes: list[Outcome] = []
        with self._transaction() as producer:
            for letter in letters:
                try:
                    mended = mend(letter, how, now, self._most)
                    where = self._send(producer, mended, [(HEADER, letter.id.encode())])
                    outcome = Outcome(letter.id, True, where)
                except Refused as refused:
                    outcome = Outcome(letter.id, False, "", refused.reason, refused.detail)
                audit = {
                    "at": now,
                    "actor": actor,
                    "department": department,
                    "action": ACTION,
                    "object": letter.id,
                    "result": outcome.where if outcome.ok else outcome.reason,
                }
                self._send(producer, Mended("audit", actor.encode(), encode(AUDIT, audit)), [])
                outcomes.append(outcome)
        return outcomes

    @contextmanager
    def _transaction(self) -> Iterator[Producer]:
        config = producer_config(self._client, _SECONDS)
        producer = Producer({**config, "transactional.id": f"{self._prefix}{TOPIC}-{uuid.uuid4()}", "linger.ms": 0})
        producer.init_transactions(_SECONDS)
        producer.begin_transaction()
        try:
            yield producer
        except BaseException:
            producer.abort_transaction(_SECONDS)
            raise
        producer.commit_transaction(_SECONDS)

    def _send(self, producer: Producer, record: Mended, headers: list[tuple[str, str | bytes | None]]) -> str:
        """Write one record and wait for its place -> topic/partition/offset."""
        told: list[Any] = []
        producer.produce(
            self._prefix + record.topic,
            record.value,
            record.key,
            headers=headers,
            on_delivery=lambda error, message: told.append((error, message)),
        )
        producer.flush(_SECONDS)
        error, message = told[0] if told else (None, None)
        if error is not None:
            raise KafkaException(error)
        if message is None:
            raise TimeoutError(f"Kafka did not take a record within {_SECONDS:g} s")
        return f"{record.topic}/{message.partition()}/{message.offset()}"


def parse_id(text: str) -> tuple[int, int]:
    """Partition and offset of an id. Raises ValueError.

    >>> parse_id("rejected/2/15")
    (2, 15)
    """
    parts = text.removeprefix(f"{TOPIC}/").split("/")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):  # noqa: PLR2004
        raise ValueError(f"not the id of a dead letter (rejected/partition/offset): {text[:60]}")
    return int(parts[0]), int(parts[1])


def _age(letter: Letter) -> tuple[int, int]:
    return letter.at, parse_id(letter.id)[1]


def _letters(partition: int, records: Sequence[Record]) -> Iterator[Letter]:
    for record in records:
        place = f"{TOPIC}/{partition}/{record.offset}"
        try:
            name, fields = decode(record.value or b"")
            if name != REJECTED.name:
                raise Refused("wrong-kind", name)
        except Refused as refused:  # what somebody else wrote there is shown too, as it is
            raw = ("", -1, -1, record.key, record.value)
            yield Letter(place, record.timestamp, refused.reason, refused.detail, "rejected", *raw)
            continue
        own = (fields[f] for f in ("reason", "detail", "stage", "topic", "partition", "offset", "key", "value"))
        yield Letter(place, record.timestamp, *own)
