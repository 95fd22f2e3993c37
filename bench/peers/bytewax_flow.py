"""Bytewax, one worker, no recovery store: fastavro, 50 comparisons; W2: a stateful count and sum per subject."""

import os
from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from bench.contender import Meter
from bench.peers.work import EVENTS, HOUR_MS, SERVERS, TOPIC, WINDOWS, decode, hits, warm

meter = Meter()
State = tuple[int, int, float]


class Counting:
    """Ends the process once the last event is through."""

    seen = found = 0

    def judge(self, message: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Decode, compare."""
        meter.begin()
        event = decode(message.value)
        outputs = list(hits(event))
        self.found += len(outputs)
        return event, outputs

    def count(self, _: object) -> None:
        """One more event is through."""
        self.seen += 1
        if self.seen == EVENTS:
            meter.done(self.seen, self.found)
            os._exit(0)


counting = Counting()


def add(state: State | None, event: dict[str, Any]) -> tuple[State, State]:
    """Count and sum of the event's hour."""
    hour = event["occurred_at"] // HOUR_MS
    _, count, total = state if state is not None and state[0] == hour else (hour, 0, 0.0)
    now = hour, count + 1, total + event["value"]
    return now, now


def through(one: tuple[str, State]) -> Iterable[KafkaSinkMessage[None, bytes]]:
    """The output of an hour, if it calls for one."""
    _, count, total = one[1]
    outputs = [KafkaSinkMessage(None, str(count).encode())] if warm(count, total) else []
    counting.count(one)
    return outputs


flow = Dataflow("bench")
source = kafka.input("in", flow, brokers=[SERVERS], topics=[TOPIC], tail=False, batch_size=5000)
judged = op.map("judge", source.oks, counting.judge)
found = op.flat_map("hits", judged, lambda one: [KafkaSinkMessage(None, hit) for hit in one[1]])
kafka.output("out", found, brokers=[SERVERS], topic=f"{TOPIC}.out")
if WINDOWS:
    keyed = op.map("key", judged, lambda one: (one[0]["subject"], one[0]))
    hours = op.stateful_map("hours", keyed, add)
    kafka.output("warm", op.flat_map("through", hours, through), brokers=[SERVERS], topic=f"{TOPIC}.out")
else:
    op.inspect("count", judged, lambda _, one: counting.count(one))

if __name__ == "__main__":
    run_main(flow)
