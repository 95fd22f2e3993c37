"""The live view in a real Redis-compatible server: what it shows, and that it applies each record once."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from prometheus_client import CollectorRegistry

from connectors.view import Logged, ViewGap, ViewLost, ViewReader, ViewWriter
from connectors.view.metrics import ViewMetrics
from connectors.view.writer import listening
from fengsui.embedded.valkey import ValkeyService
from tests.unit.connectors.view_log import CLOSED, NOW, Log, city, contents
from tests.unit.streams.desk_scene import DAY, MONDAY, OTHER


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def writer(valkey: ValkeyService, topic_prefix: str) -> Iterator[ViewWriter]:
    writer = ViewWriter(valkey.url, topic_prefix, clock=lambda: NOW)
    writer.open()
    yield writer
    writer.close()


@pytest.fixture
def reader(valkey: ValkeyService, topic_prefix: str) -> Iterator[ViewReader]:
    reader = ViewReader(valkey.url, topic_prefix)
    yield reader
    reader.close()


def test_the_view_shows_each_clue_as_the_desk_holds_it(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    city(log)
    assert writer.apply(log.records) == log.records
    for number in range(30):
        case = log.desk.case(f"c{number:02}")
        assert case is not None
        assert reader.get(case.clue_id) == msgspec.json.decode(case.json())
    assert reader.get("no-such") is None


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"department": "education"},
        {"state": "closed"},
        {"sector": "fire"},
        {"severity": "red", "state": "dispatched"},
        {"department": "drug-supervision", "state": "claimed", "severity": "red"},
        {"subject": "uscc:91350100M000100Y43"},
        {"subject": "site:none"},
    ],
)
def test_lists_are_exact_whatever_the_filter_and_the_page(
    log: Log, writer: ViewWriter, reader: ViewReader, wanted: dict[str, str]
) -> None:
    """Newest first, and pages of any size join to the same list, though many clues share a time."""
    city(log)
    writer.apply(log.records)
    cases = [case for number in range(30) if (case := log.desk.case(f"c{number:02}")) is not None]
    fitting = [case for case in cases if all(getattr(case, name) == value for name, value in wanted.items())]
    expected = [case.clue_id for case in sorted(fitting, key=lambda case: (case.raised_at, case.clue_id), reverse=True)]
    for limit in (1, 4, 100):
        found, cursor = [], None
        while True:
            page = reader.list(limit=limit, cursor=cursor, **wanted)
            found += [state["clue_id"] for state in page.clues]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == expected


def test_counts_are_those_of_the_clues(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    city(log)
    writer.apply(log.records)
    by_state: dict[tuple[str, ...], int] = {}
    for number in range(30):
        case = log.desk.case(f"c{number:02}")
        assert case is not None
        by_state[case.state,] = by_state.get((case.state,), 0) + 1
    assert reader.counts("state") == by_state
    assert sum(reader.counts().values()) == 30


def test_what_is_due_next(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    """A clue's claim limit counts until it is claimed, then its feedback limit, then none."""
    for name, severity in (("a", "red"), ("b", "blue"), ("c", "red")):
        log.clue(name, severity=severity)
    log.do("c", "claim")
    writer.apply(log.records)
    assert [state["clue_id"] for state in reader.due(MONDAY + 90 * DAY)] == ["a", "b", "c"]
    assert [state["clue_id"] for state in reader.due(MONDAY + 3 * DAY)] == ["a"]
    log.do("c", "feedback", verdict="unclear", text="t")
    writer.apply(log.records[-1:])
    assert [state["clue_id"] for state in reader.due(MONDAY + 90 * DAY)] == ["a", "b"]


def test_a_wrong_filter_and_a_wrong_cursor_are_named(reader: ViewReader) -> None:
    with pytest.raises(TypeError, match="owner"):
        reader.list(owner="li")
    with pytest.raises(ValueError, match="cursor"):
        reader.list(cursor="nonsense")


def test_records_that_come_again_change_nothing(
    log: Log, writer: ViewWriter, valkey: ValkeyService, topic_prefix: str
) -> None:
    """Any split into batches, any repeat of what was applied: the same view."""
    city(log)
    writer.apply(log.records)
    before = contents(valkey, topic_prefix)
    again = ViewWriter(valkey.url, topic_prefix, clock=lambda: NOW)
    again.open()
    again._read[0] = 0
    assert again.apply(log.records) == []
    assert again.apply(log.records[10:20]) == []
    assert contents(valkey, topic_prefix) == before
    again.close()


def test_a_batch_that_was_applied_in_part_goes_on_where_it_stands(
    log: Log, writer: ViewWriter, valkey: ValkeyService, topic_prefix: str
) -> None:
    """A second writer's larger batch: what is new in it is applied, and each answer is heard once."""
    city(log)
    behind = ViewWriter(valkey.url, topic_prefix, clock=lambda: NOW)
    behind.open()
    client = redis.Redis.from_url(valkey.url, decode_responses=True)
    with listening(client) as channel:
        channel.subscribe(f"{topic_prefix}view:replies")
        writer.apply(log.records[:40])
        assert behind.apply(log.records) == log.records[40:]
        heard: list[str] = []
        while (message := channel.get_message(timeout=0.2)) is not None or not heard:
            heard += [msgspec.json.decode(message["data"])["command_id"]] if message else []
    client.close()
    behind.close()
    assert heard == [
        logged.record["command_id"] for logged in log.records if logged.record and logged.record["command_id"]
    ]


def test_two_writers_side_by_side_make_the_view_of_one(
    log: Log, valkey: ValkeyService, topic_prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each record is applied by exactly one of them, whichever is ahead."""
    city(log)
    applied: list[Logged] = []
    lock = threading.Lock()

    def write(size: int) -> None:
        writer = ViewWriter(valkey.url, topic_prefix, clock=lambda: NOW)
        position = writer.open().get(0, 0)
        rest = [logged for logged in log.records if logged.offset >= position]
        for first in range(0, len(rest), size):
            new = writer.apply(rest[first : first + size])
            with lock:
                applied.extend(new)
        writer.close()

    threads = [threading.Thread(target=write, args=(size,)) for size in (3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == log.records
    both = contents(valkey, topic_prefix)
    alone = ViewWriter(valkey.url, f"{topic_prefix}alone.", clock=lambda: NOW)
    alone.open()
    alone.apply(log.records)
    alone.close()
    one = contents(valkey, f"{topic_prefix}alone.")
    assert {key.removeprefix(f"{topic_prefix}alone."): value for key, value in one.items()} == {
        key.removeprefix(topic_prefix): value for key, value in both.items()
    }


def test_a_hole_is_refused_and_the_position_told(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    """A writer that has read past what the view holds must go back, whoever moved the view."""
    city(log)
    writer.apply(log.records[:5])
    writer._read[0] = log.records[9].offset
    with pytest.raises(ViewGap) as gap:
        writer.apply(log.records[9:])
    assert gap.value.position == log.records[4].offset + 1 == reader.positions()[0]


def test_an_emptied_redis_refuses_until_the_view_is_begun_anew(
    log: Log, writer: ViewWriter, reader: ViewReader, valkey: ValkeyService, topic_prefix: str
) -> None:
    city(log)
    writer.apply(log.records[:20])
    client = redis.Redis.from_url(valkey.url)
    for key in client.scan_iter(f"{topic_prefix}*"):
        client.delete(key)
    client.close()
    assert not writer.alive()
    with pytest.raises(ViewLost):
        writer.apply(log.records[20:])
    assert contents(valkey, topic_prefix) == {}
    assert writer.open() == {}
    assert writer.began
    assert not reader.complete()
    writer.apply(log.records)
    writer.complete()
    assert reader.complete()
    assert len(reader.list(limit=100).clues) == 30


def test_what_is_left_without_an_epoch_is_not_trusted(
    log: Log, writer: ViewWriter, valkey: ValkeyService, topic_prefix: str
) -> None:
    """Redis may evict or lose a part: then the whole view is made again."""
    city(log)
    writer.apply(log.records)
    whole = contents(valkey, topic_prefix)
    client = redis.Redis.from_url(valkey.url)
    client.delete(f"{topic_prefix}view:epoch", f"{topic_prefix}view:ix:all:")
    client.close()
    writer.open()
    assert contents(valkey, topic_prefix) == {}
    writer.apply(log.records)
    assert contents(valkey, topic_prefix) == whole


def test_answers_are_the_desks_own(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    log.clue("a")
    outcomes = [log.do("a", "claim"), log.do("a", "claim", actor="wang"), log.do("nobody", "claim")]
    writer.apply(log.records)
    for number, outcome in enumerate(outcomes, 1):
        assert reader.reply(f"k{number}") == outcome.answer


def test_an_answer_that_was_forgotten_is_found_in_the_clues_history(
    log: Log, writer: ViewWriter, reader: ViewReader
) -> None:
    log.clue("a")
    answer = log.do("a", "claim", at=MONDAY - DAY).answer
    writer.apply(log.records)
    assert reader.reply("k1") is None
    assert reader.reply("k1", "a") == answer


def test_waiting_for_an_answer(log: Log, writer: ViewWriter, reader: ViewReader) -> None:
    """It is heard as soon as it is there; without one the wait ends in time."""
    log.clue("a")
    log.do("a", "claim")
    assert reader.wait_for_reply("k1", 0.05) is None
    heard: list[Any] = []
    asker = threading.Thread(target=lambda: heard.append(reader.wait_for_reply("k1", 10)))
    asker.start()
    started = time.monotonic()
    writer.apply(log.records)
    asker.join()
    assert heard[0]["accepted"]
    assert time.monotonic() - started < 5


def test_a_tombstone_and_old_closed_clues_leave_the_view(
    log: Log, writer: ViewWriter, reader: ViewReader, valkey: ValkeyService, topic_prefix: str
) -> None:
    log.clue("a")
    log.clue("b")
    for verb, given in CLOSED:
        log.do("b", verb, **given)
    writer.apply(log.records)
    assert writer.trim(MONDAY) == 0
    assert writer.trim(MONDAY + DAY) == 1
    writer.apply([Logged(0, log.records[-1].offset + 1, "a", None)])
    assert reader.list().clues == []
    assert reader.counts() == {}
    assert not any(
        ":ix:" in key or ":clue:" in key or key.endswith((":due", ":closed")) for key in contents(valkey, topic_prefix)
    )


def test_the_mark_of_a_clue_closed_long_ago_does_not_replace_it(
    log: Log, writer: ViewWriter, reader: ViewReader
) -> None:
    log.clue("b")
    for verb, given in CLOSED:
        log.do("b", verb, **given)
    log.desk.tick(MONDAY + 3 * DAY)
    answer = log.do("b", "claim", OTHER, at=MONDAY + 3 * DAY).answer
    writer.apply(log.records)
    state = reader.get("b")
    assert state is not None
    assert state["verdict"] == "unclear"
    assert reader.reply("k4") == answer


def test_claim_and_feedback_times_are_measured_by_sector(log: Log) -> None:
    registry = CollectorRegistry()
    metrics = ViewMetrics(registry)
    log.clue("a", sector="fire")
    log.do("a", "claim", at=MONDAY + 60_000)
    log.do("a", "claim", actor="wang", at=MONDAY + 70_000)
    log.do("a", "feedback", verdict="unclear", text="t", at=MONDAY + 120_000)
    log.do("a", "feedback", verdict="confirmed", text="t", at=MONDAY + 180_000)
    metrics.observe(log.records)
    for name, seconds in (("claim", 60.0), ("feedback", 120.0)):
        labels = {"sector": "fire"}
        assert registry.get_sample_value(f"fengsui_clue_{name}_seconds_count", labels) == 1
        assert registry.get_sample_value(f"fengsui_clue_{name}_seconds_sum", labels) == seconds


def test_a_server_that_is_away_is_an_error_not_a_wait(valkey: ValkeyService, topic_prefix: str) -> None:
    del valkey
    writer = ViewWriter("redis://127.0.0.1:1/0", topic_prefix)
    with pytest.raises(redis.ConnectionError):
        writer.open()
