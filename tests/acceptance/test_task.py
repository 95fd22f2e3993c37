"""A task against a real broker: whatever happens to it, its outputs are those of one undisturbed pass."""

import errno
import gc
import random
import time
from typing import Any, ClassVar

import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.admin import ends
from fengsui.embedded.kafka import KafkaService
from fengsui.settings import Settings
from streams import writer
from streams.ledger import progress_of
from streams.task import Task
from streams.writer import Writer
from tests.acceptance.house import wait_until
from tests.acceptance.toy import OUT, TOPIC, Counting, at_end, expected, numbers, open_bench
from topics.wire import decode

pytestmark = pytest.mark.broker


def test_two_tasks_of_one_name_fight_and_nothing_is_lost_or_repeated(settings: Settings) -> None:
    """Each fences the other again and again; the sequence of outputs is exact."""
    with open_bench(settings) as bench:
        bench.task(batch_rows=50)
        bench.task(batch_rows=70)
        for first in range(0, 4000, 200):
            bench.send(numbers(first, first + 200))
            time.sleep(0.1)
        at_end(bench, 4000)
        assert bench.outputs() == expected(numbers(0, 4000))


@pytest.mark.parametrize("error", [ValueError, BaseException], ids=["an exception", "a panic"])
def test_exactly_the_poisonous_record_is_a_dead_letter(settings: Settings, error: type[BaseException]) -> None:
    """All other records are counted once, in order; later lives and replays agree."""
    values = [*numbers(0, 300), b"poison", *numbers(300, 700)]
    with open_bench(settings) as bench:
        bench.send(values)
        task = bench.task(lambda: Counting(b"poison", error=error))
        wait_until(lambda: task.committed().get(TOPIC) == len(values), 60, "everything committed")
        assert bench.outputs() == expected([v for v in values if v != b"poison"])
        letters = [decode(v)[1] for p in range(settings.partitions) for v in bench.read("rejected", p)]
        assert [(letter["reason"], letter["offset"]) for letter in letters] == [("processing-failed", 300)]
        task.stop()
        task.join(30)
        bench.send(numbers(700, 800))
        bench.task(Counting)
        at_end(bench, 800)
        assert bench.outputs() == expected(numbers(0, 800))


class NoRoom(Counting):
    """Fails at each record for a while, as with a full disk."""

    failures = 0
    error: ClassVar[Exception]

    def step(self, chunk, out) -> None:  # type: ignore[no-untyped-def]
        if NoRoom.failures < 4:
            NoRoom.failures += 1
            raise NoRoom.error
        super().step(chunk, out)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no space left on device"), ImportError("failed to map segment from shared object")],
    ids=["a full disk", "a library that does not load"],
)
def test_what_the_surroundings_lack_is_no_fault_of_a_record(settings: Settings, error: Exception) -> None:
    """The task waits and tries again; nothing becomes a dead letter."""
    NoRoom.failures, NoRoom.error = 0, error
    with open_bench(settings) as bench:
        bench.send([b"alone"])
        bench.task(NoRoom)
        at_end(bench, 1)
        assert bench.outputs() == expected([b"alone"])
        assert not [v for p in range(settings.partitions) for v in bench.read("rejected", p)]
        assert NoRoom.failures == 4


class Swelling(Counting):
    """Answers one record with more than Kafka takes."""

    def step(self, chunk, out) -> None:  # type: ignore[no-untyped-def]
        super().step(chunk, out)
        if b"swell" in chunk.values:
            out.put(OUT, b"", bytes(5 * 2**20))


def test_an_output_that_kafka_would_never_take_costs_one_record(settings: Settings) -> None:
    """It is found before the commit, and its record is a dead letter; the stream goes on."""
    values = [*numbers(0, 50), b"swell", *numbers(50, 100)]
    with open_bench(settings) as bench:
        bench.send(values)
        task = bench.task(Swelling)
        wait_until(lambda: task.committed().get(TOPIC) == len(values), 60, "everything committed")
        assert bench.outputs() == expected(numbers(0, 100))
        assert sum(len(bench.read("rejected", p)) for p in range(settings.partitions)) == 1


def test_a_checkpoint_of_fifty_megabytes(settings: Settings) -> None:
    """It is written in many small transactions, restored by the next owner, and the next one takes the other keys."""
    with open_bench(settings) as bench:
        bench.send(numbers(0, 100))
        first = bench.task(lambda: Counting(ballast=50_000_000))
        ledger = bench.ledger()
        wait_until(lambda: ledger.last().checkpoint is not None, 60, "a checkpoint")
        slot = ledger.last().checkpoint.slot  # type: ignore[union-attr]
        bench.send(numbers(100, 200))
        wait_until(lambda: ledger.last().checkpoint.slot != slot, 60, "the next checkpoint")  # type: ignore[union-attr]
        first.stop()
        first.join(30)
        bench.send(numbers(200, 300))
        bench.task(lambda: Counting(ballast=50_000_000))
        at_end(bench, 300)
        assert bench.outputs() == expected(numbers(0, 300))


def test_an_unfinished_checkpoint_harms_nothing(settings: Settings) -> None:
    """An owner that dies among the parts leaves the checkpoint before it in force."""
    with open_bench(settings) as bench:
        bench.send(numbers(0, 100))
        task = bench.task()
        ledger = bench.ledger()
        wait_until(lambda: ledger.last().checkpoint is not None, 30, "a checkpoint")
        task.stop()
        task.join(30)
        last = ledger.last().checkpoint
        assert last is not None
        writer = Writer(
            bench.client, settings.topic_prefix, f"{settings.topic_prefix}{settings.group}.feedback/0", "feedback"
        )
        writer.own()
        key = f"feedback/0/{1 - last.slot}/0".encode()
        where = bench.where()
        writer.write({"checkpoints": [(key, b"garbage", where)]}, "checkpoints")
        writer.close()
        bench.send(numbers(100, 200))
        bench.task()
        at_end(bench, 200)
        assert bench.outputs() == expected(numbers(0, 200))
        wait_until(lambda: ledger.last().checkpoint.seq > last.seq, 30, "a further checkpoint")  # type: ignore[union-attr]


def test_the_broker_restarts_in_mid_stream(settings: Settings, broker: KafkaService) -> None:
    """Stopped cleanly and killed: the task waits, owns anew and goes on, exactly."""
    with open_bench(settings) as bench:
        bench.task(batch_rows=40)
        for i, end in enumerate((broker.stop, broker.kill)):
            bench.send(numbers(i * 500, i * 500 + 500))
            time.sleep(0.2)
            end()
            time.sleep(1)
            broker.restart()
        bench.send(numbers(1000, 1500))
        at_end(bench, 1500, 90)
        assert bench.outputs() == expected(numbers(0, 1500))


def test_a_task_that_is_told_to_stop_while_the_broker_is_away_stops(settings: Settings, broker: KafkaService) -> None:
    """Retries end; nobody waits for Kafka to come back."""
    with open_bench(settings) as bench:
        bench.send(numbers(0, 10))
        task = bench.task()
        at_end(bench, 10)
        broker.stop()
        try:
            bench.producer.purge()
            task.stop()
            task.join(20)
            assert not task._thread.is_alive()
        finally:
            broker.restart()


@pytest.mark.parametrize("loud", [1.0, 0.02], ids=["loud", "quiet"])
def test_random_lives(settings: Settings, loud: float) -> None:
    """Tasks come and go at random moments, with and without checkpoints; control records come between. Exact all the same, also
    where hardly a batch calls for anything."""
    rng = random.Random(5)
    with open_bench(settings) as bench:
        rules = Producer(bench.client)
        sent: list[bytes] = []
        for _ in range(8):
            task = bench.task(batch_rows=rng.randrange(10, 200), checkpoint_seconds=rng.choice([0.05, 0.5, 60]))
            task.wait_owned(20)
            for _ in range(rng.randrange(1, 4)):
                fresh = [v if rng.random() < loud else b"." + v for v in numbers(len(sent), len(sent) + 150)]
                bench.send(fresh)
                sent += fresh
                if rng.random() < 0.5:
                    rules.produce(settings.topic_prefix + "rules", b"x", b"%d" % len(sent))
                    rules.flush(10)
                time.sleep(rng.random() * 0.5)
            _end(task)
        bench.task()
        bench.send([b"last"])
        plain = [v.split(b" ") for v in expected([*sent, b"last"])]
        at_end(bench, len(plain))
        got = [v.split(b" ") for v in bench.outputs()]
        assert [(n, s, v) for n, s, _, v in got] == [(n, s, v) for n, s, _, v in plain]
        obeyed = [int(r) for _, _, r, _ in got]
        assert obeyed == sorted(obeyed)  # a life that forgot or repeated a control record would fall or overshoot
        assert obeyed[-1] <= len(bench.read("rules"))


def test_batches_that_call_for_nothing_share_their_commits(settings: Settings) -> None:
    """Some transactions a second, however many batches; what an owner had not committed when it ended is decided anew."""
    quiet = [b"." + v for v in numbers(0, 2100)]
    with open_bench(settings) as bench:
        first = bench.task(checkpoint_seconds=60)
        for at in range(0, 2000, 20):
            bench.send(quiet[at : at + 20])
            time.sleep(0.02)
        wait_until(lambda: first.committed().get(TOPIC) == 2000, 30, "everything committed")
        progress = [progress_of(v) for v in bench.read("progress", bench.where())]
        slices = [one for record in progress for one in record.slices]
        assert [slices[0][1], *(end for _, _, end in slices)] == [*(first for _, first, _ in slices), 2000]
        assert len(slices) >= 2 * len(progress)
        _end(first)
        bench.send(quiet[2000:])
        second = bench.task()
        wait_until(lambda: second.positions()[TOPIC] == 2100, 30, "everything taken")
        _end(second)  # most likely before its commit: it had 0.2 s
        bench.task()
        bench.send([b"last"])
        at_end(bench, 1)
        assert bench.outputs() == expected([*quiet, b"last"])


def _end(task: Task) -> None:
    task.stop()
    task.join(30)


def test_a_fenced_life_leaves_no_producer_behind(settings: Settings) -> None:
    """A task that is fenced lets go of its producer: each holds threads, connections and a queue."""
    with open_bench(settings) as bench:
        task = bench.task()
        for i in range(2):
            bench.send(numbers(i * 10, i * 10 + 10))
            at_end(bench, i * 10 + 10)
            rival = Writer(
                bench.client, settings.topic_prefix, f"{settings.topic_prefix}{settings.group}.feedback/0", "feedback"
            )
            rival.own()
            rival.close()
        bench.send(numbers(20, 30))
        at_end(bench, 30)
        _end(task)
        del rival
        gc.collect()
        assert [p for p in gc.get_objects() if isinstance(p, Producer)] == [bench.producer]


def unfinished(settings: Settings, topic: str) -> bool:
    """Whether a transaction is open in some partition of a topic."""
    admin = AdminClient(settings.kafka_client())
    places = [TopicPartition(settings.topic_prefix + topic, p) for p in range(settings.partitions)]
    committed, all_there_is = (
        [answer.result().offset for answer in ends(admin, places, level).values()]
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return committed != all_there_is


def test_a_batch_that_takes_longer_than_a_transaction_may_is_given_more_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each life twice as much, until it gets through, once; then it is short again."""
    given: list[int] = []  # what each life was given, in ms
    own, produce = Writer.own, Writer._produce

    def owning(self: Writer) -> None:
        given.append(self.transaction_ms)
        own(self)

    def slowly(producer: Producer, topic: str, records: Any, placed: Any) -> None:
        """Two lives hand over the batch that holds the slow record until the broker has given them up."""
        produce(producer, topic, records, placed)
        if len(given) < 3 and any(value.endswith(b" slow") for _, value, _ in records):
            assert producer.flush(10) == 0
            wait_until(lambda: not unfinished(settings, topic), 30, "the broker gives the transaction up")

    monkeypatch.setattr(writer, "SHORTEST_MS", 1000)
    monkeypatch.setattr(Writer, "own", owning)
    monkeypatch.setattr(Writer, "_produce", staticmethod(slowly))
    values = [*numbers(0, 50), b"slow", *numbers(50, 100)]
    with open_bench(settings) as bench:
        bench.send(values)
        task = bench.task(batch_rows=10)
        wait_until(lambda: task.committed().get(TOPIC) == len(values), 120, "everything committed")
        assert given == [1000, 2000, 4000]
        rival = Writer(
            bench.client, settings.topic_prefix, f"{settings.topic_prefix}{settings.group}.feedback/0", "feedback"
        )
        own(rival)
        rival.close()
        bench.send(numbers(100, 110))
        at_end(bench, len(values) + 10)
        assert given[-1] == 1000
        assert bench.outputs() == expected([*values, *numbers(100, 110)])
