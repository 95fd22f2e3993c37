"""The workloads of `contract.md` and how each contender is started on them."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the stubs leave it out

from bench.contender import Result, result_of
from bench.events import PARTITIONS, produce, thresholds
from connectors.admin import ensure_topics
from fengsui.publishing import publish
from fengsui.settings import Settings
from rules import Rule, parse_rule

PEERS = {"faust": "bench.peers.faust_stock", "confluent-loop": "bench.peers.confluent_loop"}
WORKLOADS = ("W1",)
TIMEOUT = 900

_RULE = """
id: bench-{i:02d}
title: 阈值 {limit}
sector: food-drug
status: live
on: iot
when: "sector = 'food-drug' AND metric = 'cold_store_temp' AND value > {limit}"
severity: orange
episode: {{by: event_id, quiet: 1s}}
department: market-supervision
explain: "{{subject_name}} {{value:.1f}} 高于 {limit}"
basis: benchmark
source: benchmark
runbook: 无
false_positives: [无]
tests:
  - name: above
    events: [{{at: 0m, device_id: d1, metric: cold_store_temp, value: 99.0}}]
    expect: [{{at: 0m, severity: orange}}]
  - name: below
    events: [{{at: 0m, device_id: d1, metric: cold_store_temp, value: 1.0}}]
    expect: []
"""


def rules() -> list[tuple[Rule, str]]:
    """The 50 threshold rules of W1; every hit is a clue (an episode of no length)."""
    texts = [_RULE.format(i=i, limit=limit) for i, limit in enumerate(thresholds())]
    return [(parse_rule(text, f"bench-{i:02d}"), text) for i, text in enumerate(texts)]


class Stand:
    """A prefix of its own on a broker, with the events on it; contenders run one after the other."""

    def __init__(self, settings: Settings, events: int) -> None:
        self.settings = settings
        self.events = events
        self.topic = ""

    def prepare(self, events: int | None = None) -> float:
        """A new prefix with topics, rules and events (default: all); returns the seconds to produce them."""
        self.settings = self.settings.model_copy(update={"topic_prefix": f"bench{uuid.uuid4().hex[:6]}."})
        self.topic = self.settings.topic_prefix + "events.iot"
        client = self.settings.kafka_client()
        ensure_topics(client, self.settings.topic_prefix, self.settings.partitions, 1)
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        for created in admin.create_topics([NewTopic(f"{self.topic}.out", PARTITIONS, 1)]).values():
            created.result(30)
        publish(self.settings, rules(), "bench")
        return produce(client, self.topic, self.events if events is None else events)

    def _forget(self) -> None:
        """Delete what the last run of ours left: progress, checkpoints and outputs; the events stay."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        prefix = self.settings.topic_prefix
        names = [prefix + name for name in ("progress", "checkpoints", "clues")]
        for deleted in admin.delete_topics(names).values():
            deleted.result(30)
        while set(names) & set(admin.list_topics(timeout=10).topics):
            time.sleep(0.05)  # a deletion is done when the topic is no longer listed
        ensure_topics(self.settings.kafka_client(), prefix, self.settings.partitions, 1)

    def run(self, contender: str) -> Result:
        """One run in a process of its own, from nothing (its own group and state)."""
        if contender == "ours":
            self._forget()
        run = f"{contender}-{uuid.uuid4().hex[:6]}"
        module = "bench.ours" if contender == "ours" else PEERS[contender]
        argv = [sys.executable, "-m", module]
        with tempfile.TemporaryDirectory() as scratch:
            if contender == "faust":
                argv += ["--datadir", scratch, "worker", "--without-web", "-l", "warn"]
            done = subprocess.run(
                argv, env=self.environment(run, scratch), capture_output=True, text=True, timeout=TIMEOUT, check=False,
                cwd=Path(__file__).parents[1],
            )  # fmt: skip
        return result_of(done.stdout + done.stderr)

    def environment(self, run: str, scratch: str) -> dict[str, str]:
        """What a contender's process is told."""
        settings = self.settings
        return dict(os.environ) | {
            "BENCH_KAFKA": settings.kafka,
            "BENCH_TOPIC": self.topic,
            "BENCH_EVENTS": str(self.events),
            "BENCH_RUN": run,
            "FENGSUI_KAFKA": settings.kafka,
            "FENGSUI_TOPIC_PREFIX": settings.topic_prefix,
            "FENGSUI_GROUP": run,
            "FENGSUI_PARTITIONS": str(settings.partitions),
            "FENGSUI_DATA_DIR": scratch,
            "FENGSUI_CHECKPOINT_SECONDS": str(settings.checkpoint_seconds),
        }


def compare(stand: Stand, peer: str | None, rounds: int) -> list[tuple[Result, Result | None]]:
    """Alternating rounds: ours, then the peer, on the same events."""
    results = []
    for _ in range(rounds):
        ours = stand.run("ours")
        results.append((ours, stand.run(peer) if peer else None))
    return results
