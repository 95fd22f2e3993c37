"""Control topics (rules, models, lists) as every task of a worker sees them: one reader, records in order, never ahead of it.

A task writes into its progress how far it obeyed each control topic, so that a replay judges every batch by what was in force.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from connectors.stalls import Place, Stalled, Watch
from streams.ledger import Ledger
from streams.stage import ControlRecord

log = structlog.get_logger()
_POLL_SECONDS: Final = 0.1
_BATCH: Final = 1000
NEWEST: Final = 1000  # records of a topic that are kept whatever their keys


class Controls:
    """Reads every control topic from its beginning, in a thread. In memory it keeps the newest records, and of older ones each
    key's last; a task that needs one of the others (it recovers from long ago) has them read again."""

    def __init__(self, client: dict[str, Any], prefix: str, topics: Sequence[str]) -> None:
        self._client = client
        self._prefix = prefix
        self._records: dict[str, list[ControlRecord]] = {topic: [] for topic in topics}
        self._ends: dict[str, int] = dict.fromkeys(topics, 0)
        self._thinned: dict[str, int] = dict.fromkeys(topics, 0)  # before this offset some are no longer in memory
        self._thin_at: dict[str, int] = dict.fromkeys(topics, 2 * NEWEST)
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="controls", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def wait_ready(self, timeout: float) -> bool:
        """True once everything that stood in the topics at start has been read."""
        return self._ready.wait(timeout)

    def wait_for(self, ends: dict[str, int], timeout: float) -> bool:
        """True once the reader has come to these positions."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self._ends.get(t, 0) >= e for t, e in ends.items()), timeout)

    def ends(self) -> dict[str, int]:
        """Control topic -> next offset."""
        with self._changed:
            return dict(self._ends)

    def between(self, topic: str, first: int, end: int) -> list[ControlRecord]:
        """Records with first <= offset < end. Raises KafkaException, LedgerUnreachableError."""
        with self._changed:
            if first >= self._thinned[topic]:
                return [r for r in self._records[topic] if first <= r.offset < end]
        ledger = Ledger(self._client, self._prefix, 0)
        try:
            rows = ledger.rows(self._prefix + topic, 0, first, end)
        finally:
            ledger.close()
        return [ControlRecord(row.offset, row.key or b"", row.value) for row in rows]

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(Stalled):  # it has been told
                self._read()

    def _read(self) -> None:
        """With one consumer, from where the topics have been read to."""
        watch = Watch(self._client, "controls")
        consumer = Consumer(
            self._client
            | {
                "group.id": "fengsui-controls",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # librdkafka's own default would skip records
            }
        )
        consumer.assign(
            [TopicPartition(self._prefix + topic, 0, end or OFFSET_BEGINNING) for topic, end in self.ends().items()]
        )
        waiting = set(self._records)
        try:
            while not self._stopping.is_set():
                messages = consumer.consume(_BATCH, _POLL_SECONDS)
                for message in messages:
                    topic = (message.topic() or "").removeprefix(self._prefix)
                    error = message.error()
                    if error is None:
                        self._keep(topic, ControlRecord(message.offset() or 0, message.key() or b"", message.value()))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        self._move(topic, message.offset() or 0)
                        waiting.discard(topic)
                        if not waiting:
                            self._ready.set()
                    else:
                        log.warning("controls.wait", topic=topic, error=str(error))
                watch.look(self._stands, len(messages) < _BATCH)
        finally:
            consumer.close()

    def _stands(self) -> dict[Place, int]:
        return {(self._prefix + topic, 0): end for topic, end in self.ends().items()}

    def _keep(self, topic: str, record: ControlRecord) -> None:
        with self._changed:
            if record.offset < self._ends[topic]:
                return
            self._records[topic].append(record)
            self._ends[topic] = record.offset + 1
            if len(self._records[topic]) >= self._thin_at[topic]:
                self._thin(topic)
            self._changed.notify_all()

    def _thin(self, topic: str) -> None:
        records = self._records[topic]
        old, new = records[:-NEWEST], records[-NEWEST:]
        last = {record.key: record.offset for record in records}
        kept = [record for record in old if last[record.key] == record.offset]
        if len(kept) < len(old):
            self._thinned[topic] = old[-1].offset + 1
        self._records[topic] = kept + new
        self._thin_at[topic] = 2 * max(NEWEST, len(self._records[topic]))

    def _move(self, topic: str, end: int) -> None:
        with self._changed:
            self._ends[topic] = max(self._ends[topic], end)
            self._changed.notify_all()
