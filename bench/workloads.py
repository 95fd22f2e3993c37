"""The workloads of `contract.md` and how each contender is started on them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the stubs leave it out

from bench.contender import Result, result_of, together
from bench.events import PARTITIONS, produce, thresholds
from bench.peers import kafka_streams, others
from connectors.admin import ensure_topics
from fengsui.crew import MEMORY
from fengsui.publishing import publish
from fengsui.settings import Settings
from rules import Rule, parse_rule
from topics.events import KINDS

Workload = Literal["W1", "W2", "W3"]
ROOT: Final = Path(__file__).parents[1]
Command = Callable[[Settings, Path], list[str]]
# Peer -> its command. All do W1; on W2 each keeps count, sum and mean per subject and hour in the state that it offers.
PEERS: Final[Mapping[str, Command]] = {
    "kafka-streams": kafka_streams.command,
    "confluent-loop": lambda _, __: [sys.executable, "-m", "bench.peers.confluent_loop"],
    "faust": lambda _, scratch: [sys.executable, "-m", "bench.peers.faust_stock", "--datadir", str(scratch), "worker",
                                 "--without-web", "-l", "warn"],
    "quix": lambda _, __: [others.python(), "-m", "bench.peers.quix"],
    "bytewax": lambda _, __: [others.python(), "-m", "bench.peers.bytewax_flow"],
}  # fmt: skip
WORKERS: Final = 2  # of ours, and threads of Kafka Streams: the machine's cores
TIMEOUT: Final = 900

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


_WINDOWS = """
id: windows
title: 一小时均值偏高
sector: food-drug
status: live
on: iot
features:
  n_1h:   {agg: count, within: 1h}
  sum_1h: {agg: sum, of: value, within: 1h}
  avg_1h: {agg: avg, of: value, within: 1h}
when: "n_1h >= 20 AND avg_1h > 5 AND sum_1h > 100"
severity: orange
episode: {quiet: 1h}
department: market-supervision
explain: "{subject_name} 近一小时 {n_1h} 次读数,均值 {avg_1h:.1f}"
basis: benchmark
source: benchmark
runbook: 无
false_positives: [无]
tests:
  - name: twenty warm readings
    events: [{from: 0m, to: 19m, every: 1m, device_id: d1, metric: cold_store_temp, value: 6.0}]
    expect: [{at: 19m, severity: orange}]
  - name: nineteen
    events: [{from: 0m, to: 18m, every: 1m, device_id: d1, metric: cold_store_temp, value: 6.0}]
    expect: []
"""


def threshold(i: int, limit: float) -> str:
    """The i-th threshold rule."""
    return _RULE.format(i=i, limit=limit)


def rules(workload: Workload) -> list[tuple[Rule, str]]:
    """The 50 threshold rules of W1, whose every hit is a clue (an episode of no length); beyond W1 the windows' rule."""
    texts = {f"bench-{i:02d}": threshold(i, limit) for i, limit in enumerate(thresholds())}
    if workload != "W1":
        texts["windows"] = _WINDOWS
    return [(parse_rule(text, name), text) for name, text in texts.items()]


def broker(settings: Settings) -> Settings:
    """The embedded broker as one in production is: compiled with all its compilers, for every contender."""
    return settings.model_copy(update={"embedded_jit": "c2"})


class Stand:
    """A prefix of its own on a broker, with the events on it; contenders run one after the other."""

    def __init__(self, settings: Settings, events: int, workload: Workload = "W1", workers: int = WORKERS) -> None:
        self.settings, self.events, self.workload, self.workers = settings, events, workload, workers
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
        publish(self.settings, rules(self.workload), "bench")
        return produce(client, self.topic, self.events if events is None else events)

    def _forget(self) -> None:
        """Delete what the last run of ours left: progress, checkpoints and outputs; the events stay."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        prefix = self.settings.topic_prefix
        names = [prefix + name for name in ("progress", "checkpoints", "clues", "rekeyed")]
        for deleted in admin.delete_topics(names).values():
            deleted.result(30)
        while set(names) & set(admin.list_topics(timeout=10).topics):
            time.sleep(0.05)  # a deletion is done when the topic is no longer listed
        ensure_topics(self.settings.kafka_client(), prefix, self.settings.partitions, 1)

    def run(self, contender: str) -> Result:
        """One run in processes of its own, from nothing (its own group and state)."""
        if contender == "ours":
            self._forget()
            with self.crew() as crew:
                crew.go()
                return crew.end(self.ends())
        run = f"{contender}-{uuid.uuid4().hex[:6]}"
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(
                PEERS[contender](self.settings, Path(scratch)), env=self.environment(run, scratch), capture_output=True,
                text=True, timeout=TIMEOUT, check=False, cwd=ROOT,
            )  # fmt: skip
        return result_of(done.stdout + done.stderr)

    @contextlib.contextmanager
    def crew(self) -> Iterator["Crew"]:
        """Our workers, ready; they end with the block."""
        run = f"ours-{uuid.uuid4().hex[:6]}"
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            yield Crew(stack, self.environment(run, scratch), self.workers)

    def ends(self) -> list[int]:
        """The end of each partition of the events."""
        consumer = Consumer({"bootstrap.servers": self.settings.kafka, "group.id": "bench-ends"})
        try:
            return [
                consumer.get_watermark_offsets(TopicPartition(self.topic, p), timeout=30)[1] for p in range(PARTITIONS)
            ]
        finally:
            consumer.close()

    def environment(self, run: str, scratch: str) -> dict[str, str]:
        """What a contender's process is told."""
        settings = self.settings
        return dict(os.environ) | {
            "BENCH_KAFKA": settings.kafka,
            "BENCH_TOPIC": self.topic,
            "BENCH_EVENTS": str(self.events),
            "BENCH_RUN": run,
            "BENCH_WORKLOAD": self.workload,
            "BENCH_WORKERS": str(self.workers),
            "BENCH_THREADS": str(WORKERS),
            "BENCH_STATE": scratch,
            "BENCH_SCHEMA": json.dumps(KINDS["iot"].schema.avro()),
            "BENCH_LIMITS": ",".join(map(str, thresholds())),
            "FENGSUI_KAFKA": settings.kafka,
            "FENGSUI_TOPIC_PREFIX": settings.topic_prefix,
            "FENGSUI_GROUP": run,
            "FENGSUI_PARTITIONS": str(settings.partitions),
            "FENGSUI_DATA_DIR": scratch,
            "FENGSUI_CHECKPOINT_SECONDS": str(settings.checkpoint_seconds),
        }


class Crew:
    """Worker processes of ours that wait to be told to go."""

    def __init__(self, stack: contextlib.ExitStack, environment: Mapping[str, str], workers: int) -> None:
        argv = [sys.executable, "-m", "bench.ours"]
        self._workers = []
        for _ in range(workers):
            worker = subprocess.Popen(
                argv, env=MEMORY | dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(worker.kill)
            stack.enter_context(worker)
            self._workers.append(worker)
        for worker in self._workers:
            assert worker.stdout is not None
            line = worker.stdout.readline()
            while "READY" not in line:
                if not line:
                    raise RuntimeError("a worker did not start")
                line = worker.stdout.readline()

    def go(self) -> None:
        """Begin."""
        self._tell("GO")

    def end(self, ends: list[int]) -> Result:
        """Wait until each partition has been decided up to its end."""
        self._tell("END " + " ".join(map(str, ends)))
        return together([result_of(worker.stdout.read()) for worker in self._workers if worker.stdout is not None])

    def _tell(self, words: str) -> None:
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.write(words + "\n")
            worker.stdin.flush()


def compare(stand: Stand, peer: str | None, rounds: int) -> list[tuple[Result, Result | None]]:
    """Alternating rounds: ours, then the peer, on the same events."""
    results = []
    for _ in range(rounds):
        ours = stand.run("ours")
        results.append((ours, stand.run(peer) if peer else None))
    return results
