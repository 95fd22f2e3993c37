"""A writer for tests that write events and dead letters without a broker."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from connectors.producing import Pair
from topics.wire import decode


@dataclass
class Kept:
    """A writer that keeps records by topic, acknowledged at once."""

    records: list[tuple[str, Pair]] = field(default_factory=list)
    failure: Exception | None = None

    def submit(self, topic: str, pairs: list[Pair], wait_seconds: float = 0.0) -> Future[int]:
        future: Future[int] = Future()
        if self.failure:
            future.set_exception(self.failure)
        else:
            self.records += [(topic, pair) for pair in pairs]
            future.set_result(len(pairs))
        return future

    def events(self) -> list[dict[str, Any]]:
        return [decode(value)[1] for topic, (_, value) in self.records if topic != "rejected"]

    def letters(self) -> list[dict[str, Any]]:
        return [decode(value)[1] for topic, (_, value) in self.records if topic == "rejected"]
