"""Quix Streams, at least once (its default): fastavro, 50 comparisons; W2: a tumbling window with its changelog."""

import os
from datetime import timedelta
from typing import Any

from quixstreams import Application

from bench.contender import Meter
from bench.peers.work import EVENTS, RUN, SERVERS, TOPIC, WINDOWS, decode, hits, warm


class Counting:
    """Ends the process once the last event is through."""

    def __init__(self) -> None:
        self.meter, self.seen, self.found = Meter(), 0, 0

    def judge(self, value: bytes) -> dict[str, Any]:
        """Decode, compare."""
        self.meter.begin()
        event = decode(value)
        event["hits"] = list(hits(event))
        self.found += len(event["hits"])
        return event

    def count(self, _: object) -> None:
        """One more event is through."""
        self.seen += 1
        if self.seen == EVENTS:
            self.meter.done(self.seen, self.found)
            os._exit(0)


def add(total: list[float], event: dict[str, Any]) -> list[float]:
    """Count and sum of an hour."""
    return [total[0] + 1, total[1] + event["value"]]


def main() -> None:
    """Run until the process is ended."""
    app = Application(
        broker_address=SERVERS, consumer_group=RUN, auto_offset_reset="earliest", loglevel="ERROR", commit_every=20_000,
        state_dir=os.environ["BENCH_STATE"],
    )  # fmt: skip
    source = app.topic(TOPIC, value_deserializer="bytes", key_deserializer="bytes")
    target = app.topic(f"{TOPIC}.out", value_serializer="bytes", key_serializer="bytes")
    counting = Counting()
    events = app.dataframe(source).apply(counting.judge)
    events[events["hits"].apply(bool)].apply(lambda event: event["hits"], expand=True).to_topic(target)
    if WINDOWS:
        hours = events.tumbling_window(timedelta(hours=1)).reduce(add, lambda event: [1, event["value"]]).current()
        hours.update(counting.count)
        hours.filter(lambda row: warm(*row["value"])).apply(lambda row: str(row["value"][0]).encode()).to_topic(target)
    else:
        events.update(counting.count)
    app.run()


if __name__ == "__main__":
    main()
