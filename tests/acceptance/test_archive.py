"""The archive on a real broker: every record once, whatever happens to archivers, disks, topics and transactions."""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import REGISTRY

from connectors.archive.layout import positions, spans
from connectors.archive.reading import UNREADABLE
from connectors.archive.verify import Report, verify
from fengsui.settings import Settings
from streams.archive import Archiver
from streams.archive_buffer import Flush
from tests.acceptance.archive_helpers import Shell, make_topics, producer, send, until
from tests.unit.topics.samples import event

pytestmark = pytest.mark.broker

QUICK = Flush(seconds=0.3)


@contextmanager
def archiving(settings: Settings, flush: Flush = QUICK, **given: Any) -> Iterator[Archiver]:
    """An archiver at work; at the end it has stopped cleanly."""
    archiver = Archiver(
        settings.kafka_client(), settings.group, settings.topic_prefix, settings.archive_dir, flush=flush, **given
    )
    archiver.start()
    try:
        yield archiver
    finally:
        assert archiver.stop()


def test_records_of_several_topics_arrive(settings: Settings) -> None:
    """What was there before and what comes later is archived; a second run goes on where the first ended."""
    make_topics(settings, "clues", "events.iot")
    send(settings, "clues", [(b"k%d" % i, b"v%d" % i) for i in range(100)])
    with archiving(settings):
        until(lambda: sum(positions(settings.archive_dir, "clues").values()) == 100)
        send(settings, "events.iot", [(b"k", b"v")] * 10)
        until(lambda: sum(positions(settings.archive_dir, "events.iot").values()) == 10)
    send(settings, "clues", [(b"k%d" % i, b"v%d" % i) for i in range(50)])
    with archiving(settings):
        until(lambda: sum(positions(settings.archive_dir, "clues").values()) == 150)


def check(settings: Settings, wait: float = 30.0) -> Report:
    """A verification of the test's topics."""
    return verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=wait)


def test_what_kafka_holds_is_there_once_byte_for_byte(settings: Settings) -> None:
    """Broken bytes, tombstones, headers, aborted transactions: the archive is what a read-committed reader sees."""
    make_topics(settings, "events.iot", "clue-log", "progress")
    odd = [
        (None, None),
        (b"", b""),
        (b"\xff\x00", b"\x00\x00\x00\x03\xe9junk"),
        ("键", '{"kind":"火"'.encode()),
        (b"k", b"x" * 900_000),
    ]
    with archiving(settings):
        send(settings, "events.iot", odd, headers=[("h", b"\x00\xff"), ("h", None), ("空", b"")])
        for i, abort in enumerate([False, True, False, True]):
            out = producer(settings, **{"transactional.id": f"{settings.topic_prefix}t"})
            out.init_transactions(30)
            out.begin_transaction()
            for n in range(50):
                out.produce(settings.topic_prefix + "clue-log", b"v%d" % n, b"k%d" % i)
            out.flush(30)
            (out.abort_transaction if abort else out.commit_transaction)(30)
        report = check(settings)
    assert report.ok, report.differences
    assert report.by_topic == {"events.iot": 5, "clue-log": 100, "progress": 0}
    again = check(settings, wait=0)
    assert again.ok
    assert again.records == 105


def test_hostile_headers_stop_nobody(settings: Settings) -> None:
    """A header name that is not UTF-8, and 10,000 headers: the records are archived and verified like any other."""
    make_topics(settings, "events.iot", partitions=1)
    name = settings.topic_prefix + "events.iot"
    environment = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}  # its pure-Python form encodes what we give it
    subprocess.run([sys.executable, "-c", _BAD_HEADER, settings.kafka, name], env=environment, check=True)
    send(settings, "events.iot", [(b"k", b"v")], headers=[(f"h{i}", b"") for i in range(10_000)])
    send(settings, "events.iot", [(b"k", b"v")] * 200)  # a reader that has run hot must survive it too
    subprocess.run([sys.executable, "-c", _BAD_HEADER, settings.kafka, name], env=environment, check=True)
    with archiving(settings):
        report = check(settings)
    assert report.ok, report.differences
    assert report.records == 205
    (span,) = spans(settings.archive_dir, "events.iot")
    rows = pq.read_table(span.path(settings.archive_dir), partitioning=None).to_pylist()
    assert [row["_value"] for row in rows] == [b"bad name", b"after", *[b"v"] * 201, b"bad name", b"after"]
    assert rows[0]["_headers"] == rows[-2]["_headers"] == [{"key": UNREADABLE, "value": b"\xff\xfe"}]
    assert len(rows[2]["_headers"]) == 10_000


_BAD_HEADER = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Bad(str):
    def encode(self, *_):
        return bytes([255, 254])

async def go(server, topic):
    async with AIOKafkaProducer(bootstrap_servers=server) as producer:
        await producer.send_and_wait(topic, b"bad name", headers=[(Bad("x"), b"1")])
        await producer.send_and_wait(topic, b"after")

asyncio.run(go(*sys.argv[1:]))
"""


def test_differences_are_found(settings: Settings) -> None:
    """A lost file, a changed byte, a doubled file and a torn file are each named."""
    make_topics(settings, "clues", "audit", "ticks", "lists", partitions=1)
    with archiving(settings):
        for part in (b"first", b"second"):
            for name in ("clues", "audit", "ticks", "lists"):
                send(settings, name, [(b"k", b"%s %d" % (part, i)) for i in range(5)])
            assert check(settings).ok
    root = settings.archive_dir
    first, _ = spans(root, "clues")
    first.path(root).unlink()
    first, _ = spans(root, "audit")
    rows = pq.read_table(first.path(root), partitioning=None)
    values = rows["_value"].to_pylist()
    values[3] = b"forged"
    pq.write_table(rows.set_column(rows.schema.get_field_index("_value"), "_value", pa.array(values)), first.path(root))
    first, _ = spans(root, "ticks")
    shutil.copy(first.path(root), first.path(root).with_name("0-0-3.parquet"))
    first, second = spans(root, "lists")
    second.path(root).write_bytes(second.path(root).read_bytes()[:-20])
    report = check(settings, wait=0)
    assert not report.ok
    assert report.counts == {"hole": 1, "missing": 10, "different": 1, "repeated": 5, "unreadable": 1}
    assert {(d.what, d.topic) for d in report.differences} == {
        ("hole", "clues"),
        ("missing", "clues"),
        ("different", "audit"),
        ("repeated", "ticks"),
        ("unreadable", "lists"),
        ("missing", "lists"),
    }


def test_a_zombie_and_its_successor_write_nothing_twice(settings: Settings) -> None:
    """Two archivers that both believe to own everything: the lock lets one write, the other goes on where it ended."""
    make_topics(settings, "clues")
    other = settings.model_copy(update={"group": settings.group + "-other"})
    with archiving(settings):
        send(settings, "clues", [(b"k%d" % i, b"v") for i in range(200)])
        assert check(settings).ok
        with archiving(other):
            send(settings, "clues", [(b"k%d" % i, b"v") for i in range(200)])
            assert check(settings).ok
            until(lambda: value("fengsui_archive_waits_total", cause="lock"))
    with archiving(other):
        send(settings, "clues", [(b"k%d" % i, b"v") for i in range(200)])
        report = check(settings)
    assert report.ok
    assert report.records == 600


def test_workers_share_and_hand_over(settings: Settings) -> None:
    """Archivers of one group come and go while records flow: each record is archived once."""
    make_topics(settings, "clues", "events.iot", partitions=4)
    with archiving(settings):
        send(settings, "events.iot", [(b"%d" % i, b"v") for i in range(2000)])
        with archiving(settings):
            send(settings, "events.iot", [(b"%d" % i, b"v") for i in range(2000)])
            with archiving(settings):
                send(settings, "clues", [(b"%d" % i, b"v") for i in range(2000)])
        send(settings, "clues", [(b"%d" % i, b"v") for i in range(2000)])
        report = check(settings)
    assert report.ok, report.differences[:3]
    assert report.records == 8000


def test_killed_archivers_leave_nothing_out_and_nothing_twice(settings: Settings) -> None:
    """kill -9 of the process at any moment, several times: the files name what is done, the next one goes on there."""
    make_topics(settings, "events.iot", partitions=2)
    draw = random.Random(7)

    def covered() -> int:
        return sum(positions(settings.archive_dir, "events.iot").values())

    for life in range(4):
        before = covered()
        with archiver_process(
            settings, f"{settings.group}-{life}"
        ) as process:  # its own group: no wait for a dead member
            send(settings, "events.iot", [(b"%d" % i, b"v%d" % i) for i in range(3000)])
            until(partial(_more, covered, before))
            time.sleep(draw.uniform(0, 0.2))  # the moment of death is the thing drawn here
            process.kill()
    with archiving(settings):
        report = check(settings)
    assert report.ok, report.differences[:3]
    assert report.records == 12_000


def _more(count: Callable[[], int], before: int) -> bool:
    return count() > before


@contextmanager
def archiver_process(settings: Settings, group: str) -> Iterator[subprocess.Popen[bytes]]:
    """An archiver in a process of its own that writes many small files; killed at the end."""
    code = (
        "import sys, threading; from pathlib import Path; from streams.archive import Archiver;"
        "from streams.archive_buffer import Flush; server, group, prefix, root = sys.argv[1:];"
        "Archiver({'bootstrap.servers': server}, group, prefix, Path(root),"
        " flush=Flush(rows=50, seconds=0.01, batch=50)).start(); threading.Event().wait()"
    )
    given = (settings.kafka, group, settings.topic_prefix, str(settings.archive_dir))
    process = subprocess.Popen([sys.executable, "-c", code, *given])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_costs_time_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While writes fail the archiver waits and says so; afterwards everything is there once."""
    make_topics(settings, "clues", partitions=1)
    real, full = pq.write_table, threading.Event()
    full.set()

    def write(rows: Any, file: Any, **given: Any) -> None:
        if full.is_set():
            file.write(b"half")
            raise OSError(28, "No space left on device")
        real(rows, file, **given)

    monkeypatch.setattr(pq, "write_table", write)
    before = value("fengsui_archive_waits_total", cause="disk")
    with archiving(settings):
        send(settings, "clues", [(b"k", b"v%d" % i) for i in range(100)])
        until(lambda: value("fengsui_archive_waits_total", cause="disk") >= before + 2)
        send(settings, "clues", [(b"k", b"w%d" % i) for i in range(100)])
        assert positions(settings.archive_dir, "clues") == {}
        full.clear()
        report = check(settings)
    assert report.ok
    assert report.records == 200


def test_what_a_full_disk_paused_goes_on_when_it_is_given_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition is paused by a full disk, goes to a second archiver meanwhile, and comes back: librdkafka keeps a pause."""
    make_topics(settings, "clues", partitions=2)
    real, full = pq.write_table, threading.Event()

    def write(rows: Any, file: Any, **given: Any) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        real(rows, file, **given)

    def archived() -> int:
        return sum(positions(settings.archive_dir, "clues").values())

    monkeypatch.setattr(pq, "write_table", write)
    stalls = value("fengsui_reader_stalls_total", reader="archive")
    with archiving(settings):
        send(settings, "clues", [(b"k%d" % i, b"v") for i in range(40)])
        until(lambda: archived() == 40)
        full.set()
        before = value("fengsui_archive_waits_total", cause="disk")
        send(settings, "clues", [(b"k%d" % i, b"v") for i in range(40)])
        until(lambda: value("fengsui_archive_waits_total", cause="disk") >= before + 2)  # both partitions
        with archiver_process(settings, settings.group) as other:
            until(lambda: archived() > 40)  # its disk has room: one of the two is its own now
            full.clear()
            other.kill()
        until(lambda: archived() == 80)
        send(settings, "clues", [(b"k%d" % i, b"v") for i in range(40)])
        until(lambda: archived() == 120)
        assert check(settings).ok
    assert value("fengsui_reader_stalls_total", reader="archive") == stalls  # nobody had to find out


def test_retention_is_told_apart_from_loss(settings: Settings) -> None:
    """Records deleted before they were archived are noted as such; those deleted afterwards stay in the archive."""
    make_topics(settings, "ticks", partitions=1)
    send(settings, "ticks", [(b"k", b"a%d" % i) for i in range(30)])
    name = settings.topic_prefix + "ticks"
    admin = AdminClient({**settings.kafka_client()})
    admin.delete_records([TopicPartition(name, 0, 10)])[TopicPartition(name, 0, 10)].result(30)
    with archiving(settings):
        until(lambda: positions(settings.archive_dir, "ticks").get(0) == 30)
    admin.delete_records([TopicPartition(name, 0, 20)])[TopicPartition(name, 0, 20)].result(30)
    report = check(settings, wait=0)
    assert report.ok, report.differences
    assert (report.records, report.deleted, report.expired) == (10, {"ticks/0": 10}, {"ticks/0": 10})


def test_a_topic_made_again_is_not_mistaken_for_the_old_one(settings: Settings) -> None:
    """Old progress does not hide new records: the partition is refused, loudly, until the old files are moved away."""
    make_topics(settings, "clues", partitions=1)
    with archiving(settings):
        send(settings, "clues", [(b"k", b"old")] * 5)
        assert check(settings).ok
    admin = AdminClient({**settings.kafka_client()})
    name = settings.topic_prefix + "clues"
    admin.delete_topics([name])[name].result(30)
    until(lambda: name not in admin.list_topics(timeout=10).topics)
    until(lambda: made_again(settings, "clues"))
    send(settings, "clues", [(b"k", b"new")] * 3)
    with archiving(settings):
        until(lambda: value("fengsui_archive_refused_partitions") == 1)
    assert not check(settings, wait=0).ok
    (settings.archive_dir / "clues").rename(settings.archive_dir / ".old-clues")
    with archiving(settings):
        assert check(settings).records == 3


def test_the_commands(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`archive verify` waits, exits 0 on a whole archive and 1 on another; `archive query` answers over it."""
    shell = Shell(settings, monkeypatch, capsys)
    make_topics(settings, "events.iot")
    with archiving(settings):
        send(settings, "events.iot", [(b"k", event("iot", value=float(i))) for i in range(20)])
        code, report = shell.json("archive", "verify", "--wait", "30")
    assert (code, report["ok"], report["records"]) == (0, True, 20)
    assert "归档一致" in shell.run("archive", "verify")[1]
    code, answer = shell.json("archive", "query", "select sum(value) s from events_iot")
    assert (code, answer["rows"]) == (0, [[190.0]])
    assert "190" in shell.run("archive", "query", "select sum(value) s from events_iot")[1]
    for span in spans(settings.archive_dir, "events.iot"):
        span.path(settings.archive_dir).unlink()
    code, out, err = shell.run("archive", "verify")
    assert (code, err) == (1, "the archive differs from Kafka: 20 missing\n")
    assert "缺失 missing: events.iot/" in out
    assert shell.run("archive", "query", "select 1; select 2")[0] == 2
    assert shell.run("archive", "query", "select nothing from events_iot")[0] == 1
    assert shell.run("archive", "verify", "--wait", "-1")[0] == 2
    assert shell.run("archive", "query", "select 1", "--archive", str(settings.data_dir / "nowhere"))[0] == 2
    monkeypatch.setenv("FENGSUI_TOPIC_PREFIX", "no.such.")
    assert shell.run("archive", "verify")[0] == 2


def made_again(settings: Settings, name: str) -> bool:
    """Create a topic that is perhaps still being deleted -> whether it worked."""
    try:
        make_topics(settings, name, partitions=1)
    except KafkaException:
        return False
    return True


def value(name: str, **labels: str) -> float:
    """A metric's value in this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
