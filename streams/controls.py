"""Control topics (rules, models, lists) as every task of a worker sees them: one reader, records in order, never ahead of it.

A task writes into its progress how far it obeyed each control topic, so that a replay judges every batch by what was in force.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

from connectors.following import Follower
from streams.ledger import Ledger
from streams.stage import ControlRecord

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
        self._changed = threading.Condition()
        self._follower = Follower(client, prefix, "controls", self.ends, self._keep, self._move)

    def start(self) -> None:
        """Begin to read."""
        self._follower.start()

    def stop(self) -> None:
        """Stop reading."""
        self._follower.stop()

    def wait_ready(self, timeout: float) -> bool:
        """True once everything that stood in the topics at start has been read."""
        return self._follower.wait_ready(timeout)

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

    def _keep(self, topic: str, offset: int, key: bytes, value: bytes | None) -> None:
        with self._changed:
            if offset < self._ends[topic]:
                return
            self._records[topic].append(ControlRecord(offset, key, value))
            self._ends[topic] = offset + 1
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
