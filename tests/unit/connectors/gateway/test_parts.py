"""What gateways are made of: split messages, buckets, remembered ids."""

import datetime as dt
import tracemalloc

from connectors.gateway.item import NOT_KEPT
from connectors.gateway.limits import Bucket
from connectors.gateway.recent import Recent
from connectors.gateway.splits import Splits
from connectors.gateway.wires import Gb26875
from connectors.protocols import gb26875, hj212
from tests.unit.connectors.gateway.fakes import metrics


def packet(number: int, area: str, count: int = 2, when: str = "20260101000000") -> hj212.Frame:
    header = {
        "QN": f"2026010100000{number}000",
        "ST": 32,
        "CN": 2051,
        "MN": "A1",
        "Flag": 7,
        "PNUM": count,
        "PNO": number,
    }
    (one,) = hj212.decode(hj212.encode(header, f"DataTime={when};{area}"))
    assert isinstance(one, hj212.Frame)
    return one


def test_a_factor_that_is_cut_in_two_is_put_together() -> None:
    counts, registry = metrics()
    splits = Splits(metrics=counts)
    first = splits.joined(packet(1, "w01018-Avg=1,w01018-Flag=N;w01001-Min=6"))
    second = splits.joined(packet(2, "w01001-Avg=7,w01001-Flag=N"))
    assert first.factors == {"w01018": {"Avg": "1", "Flag": "N"}}
    assert second.factors == {"w01001": {"Min": "6", "Avg": "7", "Flag": "N"}}
    assert len(splits) == 0
    assert registry.get_sample_value("fengsui_gateway_split_messages_total", {"outcome": "complete"}) == 1


def test_packets_in_any_order_and_of_messages_between_each_other() -> None:
    splits = Splits(metrics=metrics()[0])
    assert splits.joined(packet(2, "w01001-Avg=7")).factors == {"w01001": {"Avg": "7"}}
    assert splits.joined(packet(1, "w01018-Min=1", when="20260101001000")).factors == {}
    assert splits.joined(packet(1, "w01018-Avg=1")).factors == {"w01018": {"Avg": "1"}}
    assert splits.joined(packet(2, "w01018-Avg=2", when="20260101001000")).factors == {
        "w01018": {"Min": "1", "Avg": "2"}
    }


def test_a_packet_that_does_not_come_is_not_waited_for() -> None:
    now = [0.0]
    counts, registry = metrics()
    splits = Splits(60, lambda: now[0], counts)
    splits.joined(packet(1, "w01018-Min=1"))
    now[0] = 61.0
    assert splits.joined(packet(2, "w01018-Avg=2")).factors == {"w01018": {"Avg": "2"}}
    assert registry.get_sample_value("fengsui_gateway_split_messages_total", {"outcome": "incomplete"}) == 1


def test_packets_without_sense_are_taken_as_they_are() -> None:
    splits = Splits(metrics=metrics()[0])
    assert splits.joined(packet(5, "w01018-Min=1", count=2)).factors == {"w01018": {"Min": "1"}}
    assert len(splits) == 0


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = [0.0]
    bucket = Bucket(10, 5, lambda: now[0])
    assert [bucket.allow() for _ in range(6)] == [True] * 5 + [False]
    now[0] = 0.35
    assert [bucket.allow() for _ in range(4)] == [True] * 3 + [False]
    now[0] = 100.0
    assert bucket.take(5) == 0.0
    assert bucket.take(1) == 0.1


def row(name: str, subject: str = "site:1") -> tuple[str, str, str, str]:
    return (name, "iot", "fire", subject)


def test_at_least_a_generation_is_remembered() -> None:
    recent = Recent(100)
    recent.remember((f"e{i}", "site:1") for i in range(1_000))
    assert recent.new([row(f"e{i}") for i in range(900, 1_000)], list(range(100))) == ([], [])
    assert recent.new([row("e700")], [7]) == ([row("e700")], [7])


def test_no_subject_uses_up_anothers_ids() -> None:
    recent = Recent()
    recent.remember([("e1", "site:1")])
    assert recent.new([row("e1", "site:2"), row("e1")], [0, 1]) == ([row("e1", "site:2")], [0])


def test_what_was_not_written_after_all_is_new() -> None:
    recent = Recent()
    recent.written([row("e1"), row("e2")])
    recent.forget([row("e1")])
    assert recent.new([row("e1"), row("e2")], [0, 1]) == ([row("e1")], [0])


def test_thousands_of_packets_announced_cost_nothing() -> None:
    """PNUM is the sender's word: what is kept is what came."""
    splits = Splits(metrics=metrics()[0])
    tracemalloc.start()
    for second in range(100):
        splits.joined(packet(1, "w01018-Min=1", count=9_999, when=f"2026010100{second // 60:02d}{second % 60:02d}"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(splits) == 100
    assert held < 500_000


def test_what_may_be_taken_later_is_neither_confirmed_nor_denied() -> None:
    """A device may drop what is denied; what is not answered it sends again."""
    when = dt.datetime(2026, 1, 1)
    (sent,) = gb26875.decode(gb26875.encode(7, gb26875.SEND, time=when, source=b"\1" * 6, target=bytes(6)))
    assert isinstance(sent, gb26875.Frame)
    wire = Gb26875(lambda: when)
    commands = {}
    for outcome in ("", "bad-source", *NOT_KEPT):
        answer = wire.answer(sent, outcome)
        (told,) = gb26875.decode(answer) if answer else (None,)
        commands[outcome] = told.command if isinstance(told, gb26875.Frame) else None
    assert commands == {"": gb26875.CONFIRM, "bad-source": gb26875.DENY} | dict.fromkeys(NOT_KEPT)
