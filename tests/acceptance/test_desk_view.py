"""The dispatch desk and its live view on a real broker and a real Redis: claimers in a crowd, Redis lost in mid-run."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from connectors.admin import ensure_topics
from connectors.view import DeskClient, NoAnswer, Projector, ViewReader, ViewWriter, command
from connectors.view.logged import Logged, read_log
from connectors.view.metrics import ViewMetrics
from connectors.view.projector import log_consumer, partitions_of
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings
from tests.acceptance.archive_helpers import until
from tests.acceptance.desk_loop import DispatchLoop, dispatching, put_clues
from tests.unit.connectors.view_log import contents
from tests.unit.streams.desk_scene import HOME, OTHER, clue

pytestmark = pytest.mark.broker


@contextmanager
def projecting(settings: Settings, metrics: ViewMetrics | None = None) -> Iterator[Projector]:
    url = settings.redis_url.get_secret_value()
    projector = Projector(
        settings.kafka_client(), settings.topic_prefix, url, metrics=metrics or ViewMetrics(CollectorRegistry())
    )
    projector.start()
    try:
        yield projector
    finally:
        projector.stop()


def client_of(settings: Settings, redis_url: str | None = None) -> DeskClient:
    url = settings.redis_url.get_secret_value() if redis_url is None else redis_url
    return DeskClient(settings.kafka_client(), prefix=settings.topic_prefix, redis_url=url)


@pytest.fixture
def loop(settings: Settings) -> Iterator[DispatchLoop]:
    with dispatching(settings) as loop:
        yield loop


@pytest.fixture
def reader(settings: Settings) -> Iterator[ViewReader]:
    reader = ViewReader(settings.redis_url.get_secret_value(), settings.topic_prefix)
    yield reader
    reader.close()


def whole_log(settings: Settings) -> list[Logged]:
    """Every committed record of the clue log."""
    consumer = log_consumer(settings.kafka_client(), f"{settings.topic_prefix}test")
    topic = f"{settings.topic_prefix}clue-log"
    left = set(partitions_of(consumer, topic))
    consumer.assign([TopicPartition(topic, number, 0) for number in left])
    found: list[Logged] = []
    while left:
        message = consumer.poll(10)
        assert message is not None
        if message.error() is not None:
            left.discard(message.partition() or 0)
            continue
        record = read_log(message.value() or b"")
        found.append(Logged(message.partition() or 0, message.offset() or 0, record["clue_id"], record))
    consumer.close()
    return found


def test_a_hundred_claimers_on_fifty_clues(loop: DispatchLoop, settings: Settings, reader: ViewReader) -> None:
    """Each clue has one owner, all others are told who; log, desk and view agree; hundreds of commands a second."""
    ids = [f"clue-{number}" for number in range(50)]
    put_clues(settings, [clue(one) for one in ids])
    claimers = [f"claimer-{number}" for number in range(100)]
    start = threading.Barrier(len(claimers))
    with projecting(settings), client_of(settings) as desk:
        until(lambda: len(reader.list(limit=100).clues) == 50)

        def rush(actor: str) -> list[dict[str, Any]]:
            mine = random.Random(actor).sample(ids, len(ids))
            records = [command("claim", one, actor=actor, department=HOME) for one in mine]
            start.wait()
            return desk.post_many(records, 120)

        began = time.monotonic()
        with ThreadPoolExecutor(len(claimers)) as crowd:
            answers = [answer for own in crowd.map(rush, claimers) for answer in own]
        rate = len(answers) / (time.monotonic() - began)
        for one in ids:
            told = [answer for answer in answers if answer["clue_id"] == one]
            (winner,) = [answer for answer in told if answer["accepted"]]
            assert len(told) == 100
            assert {answer["owner"] for answer in told} == {winner["owner"]}
            assert {answer["owner_department"] for answer in told} == {HOME}
            assert {answer["reason"] for answer in told if not answer["accepted"]} == {"already-claimed"}
            state = reader.get(one)
            assert state is not None
            assert state["owner"] == loop.case(one).owner == winner["owner"]
    accepted = [logged.record for logged in whole_log(settings) if logged.record and logged.record["accepted"]]
    assert len(accepted) == 100  # a dispatch and one claim for each clue
    assert rate > 200


def test_redis_killed_and_emptied_in_mid_run_is_rebuilt_with_nothing_lost(
    loop: DispatchLoop, settings: Settings, reader: ViewReader, valkey: ValkeyService
) -> None:
    """Commands go on while Redis is away; each is answered, and the view comes to equal one made from the whole log."""
    ids = [f"clue-{number}" for number in range(200)]
    put_clues(settings, [clue(one) for one in ids])
    metrics = ViewMetrics(registry := CollectorRegistry())
    with projecting(settings, metrics), projecting(settings), client_of(settings) as desk:
        until(lambda: len(reader.list(limit=1000).clues) == 200)
        desk.post_many([command("claim", one, actor="li", department=HOME) for one in ids[:100]], 60)
        valkey.kill()
        with ThreadPoolExecutor(1) as aside:
            away = aside.submit(
                desk.post_many, [command("claim", one, actor="li", department=HOME) for one in ids[100:]], 60
            )
            until(lambda: loop.case(ids[-1]).owner == "li")  # the desk decides without Redis
            valkey.restart()
            assert all(answer["accepted"] for answer in away.result())
        desk.post_many([command("handle", one, {"note": "现场检查"}, actor="li", department=HOME) for one in ids], 60)
        until(reader.complete)
    shown = {state["clue_id"]: state for state in reader.list(limit=1000).clues}
    assert shown == {one: msgspec.json.decode(loop.case(one).json()) for one in ids}
    assert reader.counts("state") == {("handling",): 200}
    assert (registry.get_sample_value("fengsui_view_waits_total", {"service": "redis"}) or 0) >= 1
    afresh(settings, valkey)


def afresh(settings: Settings, valkey: ValkeyService) -> None:
    """The view is the one that a writer makes from the whole log at once (answers have an age, and are left out)."""
    other = f"{settings.topic_prefix}afresh."
    writer = ViewWriter(valkey.url, other)
    writer.open()
    writer.apply(whole_log(settings))
    writer.close()

    def stripped(prefix: str) -> dict[str, Any]:
        held = contents(valkey, prefix)
        return {key.removeprefix(prefix): value for key, value in held.items() if ":reply:" not in key}

    assert stripped(settings.topic_prefix) == stripped(other)


def test_without_redis_answers_come_from_the_log(loop: DispatchLoop, settings: Settings) -> None:
    """Whether none is set, or the one that is set does not answer."""
    put_clues(settings, [clue("a"), clue("b")])
    until(lambda: loop.case("a") and loop.case("b"))
    for name, url in (("a", ""), ("b", "redis://127.0.0.1:1/0")):
        with client_of(settings, url) as desk:
            first = desk.post(command("claim", name, actor="li", department=HOME))
            second = desk.post(command("claim", name, actor="wang", department=HOME))
        assert (first["accepted"], second["reason"], second["owner"]) == (True, "already-claimed", "li")


def test_a_command_sent_again_is_answered_again(loop: DispatchLoop, settings: Settings, reader: ViewReader) -> None:
    put_clues(settings, [clue("a")])
    record = command("claim", "a", actor="li", department=HOME)
    with projecting(settings):
        until(lambda: reader.get("a"))
        with client_of(settings) as desk:
            first = desk.post(record)
        with client_of(settings) as desk:
            assert desk.post(record) == first
    assert loop.case("a").seq == 2


def test_no_desk_no_answer(settings: Settings) -> None:
    """The asker is told in time that nobody decided; a missing clue log is an error."""
    with pytest.raises(KafkaException):
        client_of(settings, "")
    ensure_topics(dict(settings.kafka_client()), settings.topic_prefix, settings.partitions, 1)
    with client_of(settings, "") as desk, pytest.raises(NoAnswer, match="1 of 1"):
        desk.post(command("claim", "a", actor="li", department=HOME), 1.0)


def run(settings: Settings, *words: str) -> tuple[int, str, str]:
    """`fengsui clues …` as a process of its own."""
    environment = {
        "FENGSUI_KAFKA": settings.kafka,
        "FENGSUI_REDIS_URL": settings.redis_url.get_secret_value(),
        "FENGSUI_TOPIC_PREFIX": settings.topic_prefix,
        "PATH": "/usr/bin:/bin",
        "HOME": str(settings.data_dir),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [sys.executable, "-m", "fengsui", "clues", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_desk_from_a_shell(loop: DispatchLoop, settings: Settings, reader: ViewReader) -> None:
    """Accepted is 0, refused is 1 with the reason and the owner, wrong use is 2 with one line."""
    put_clues(settings, [clue("a"), clue("b", severity="red")])
    li = ("--actor", "li", "--department", HOME)
    with projecting(settings):
        until(lambda: reader.get("b"))
        code, out, _ = run(settings, "claim", "a", "b", *li, "--json")
        assert (code, json.loads(out)["accepted"]) == (0, 2)
        code, _, err = run(settings, "claim", "a", "--actor", "wang", "--department", HOME)
        assert code == 1
        assert err.count("\n") == 1
        assert "线索已被认领" in err
        assert "li" in err
        assert run(settings, "feedback", "a", *li, "--verdict", "perhaps", "--text", "t")[0] == 2
        assert run(settings, "assist", "a", *li, "--to", OTHER, "--ask", "请查", "--by", "2999-01-01")[0] == 1
        code, out, err = run(settings, "feedback", "a", *li, "--verdict", "confirmed", "--text", "制冷机故障")
        assert (code, err) == (0, "")
        assert "已受理" in out
        code, out, _ = run(
            settings, "raise", *li, "--title", "无证经营", "--sector", "market", "--severity", "blue",
            "--responsible", OTHER, "--subject", "site:s1", "--explanation", "巡查发现", "--json",
        )  # fmt: skip
        raised = json.loads(out)["answers"][0]["clue_id"]
        code, out, _ = run(settings, "list", "--state", "dispatched", "--json")
        assert [state["clue_id"] for state in json.loads(out)["clues"]] == [raised]
        assert "无证经营" in run(settings, "list")[1]
        code, out, _ = run(settings, "show", "a")
        assert code == 0
        assert "属实" in out
        assert run(settings, "show", "nobody")[0] == 1
        assert run(settings, "list", "--state", "lost")[0] == 2
