"""HJ 212 over TCP on a real broker: answered once Kafka has it, each reading once, unknown devices parked and replayed."""

import signal
import time

import httpx
import pytest

from connectors.protocols import hj212
from fengsui.settings import Settings
from tests.acceptance.device_helpers import (
    answer_of,
    data_frame,
    gateway,
    make_topics,
    register,
    stamp,
    talk,
    until,
)
from tests.acceptance.gateway_helpers import read, records

pytestmark = pytest.mark.broker


def now() -> int:
    return time.time_ns() // 1_000_000


def test_answered_when_every_reader_sees_it(settings: Settings) -> None:
    """9014 comes after the event is there; the event is the register's subject, the standard's metric and unit, its flag."""
    make_topics(settings)
    register(settings, "hj212:A1", channels={"w01018": {"scale": 2, "offset": 1}}, device_id="cod-1")
    with gateway(settings) as door:
        at = now() // 1000 * 1000
        frame = data_frame("A1", at, 10.5)
        assert talk(door.ports["hj212"], frame, len(answer_of(frame))) == answer_of(frame)
        (event,) = records(settings, "events.iot")
    wanted = {
        "subject": "site:A1", "sector": "ecology", "region": "330106", "device_id": "cod-1", "metric": "cod",
        "value": 22.0, "unit": "mg/L", "flag": "N", "occurred_at": at, "observed_at": at, "source": "hj212",
    }  # fmt: skip
    assert wanted.items() <= event.items()


def test_sent_again_is_answered_and_written_once(settings: Settings) -> None:
    """After a reconnect, with another QN, and after kill -9 of the gateway: the answer again, the event no second time."""
    make_topics(settings)
    register(settings, "hj212:A1")
    at = now()
    frame = data_frame("A1", at, 1.0)
    again = hj212.encode(
        {"QN": stamp(at + 5000), "ST": 32, "CN": 2011, "PW": 123456, "MN": "A1", "Flag": 9, "RF": 1},
        hj212.encode_area({"DataTime": stamp(at)[:14]}, {"w01018": {"Rtd": 1.0, "Flag": "N"}}),
    )
    with gateway(settings) as door:
        for sent in (frame, frame, again):
            assert talk(door.ports["hj212"], sent, len(answer_of(sent))) == answer_of(sent)
        door.kill()
        door.start()
        assert talk(door.ports["hj212"], frame, len(answer_of(frame))) == answer_of(frame)
        assert len(records(settings, "events.iot")) == 1


def test_unknown_devices_are_parked_and_replayed(settings: Settings) -> None:
    """Parked messages are answered (they are kept); once the device is registered they are events, in order, each once."""
    make_topics(settings)
    start = now() // 1000 * 1000 - 60_000
    frames = [data_frame("B7", start + 1000 * i, float(i)) for i in range(20)]
    answers = b"".join(map(answer_of, frames))
    with gateway(settings) as door:
        assert talk(door.ports["hj212"], b"".join(frames), len(answers)) == answers
        assert records(settings, "events.iot") == []
        assert len(records(settings, "parking")) == 20
        register(settings, "hj212:B7")
        until(lambda: len(records(settings, "events.iot")) == 20)
        until(lambda: len(records(settings, "parking")) == 21)
        assert [event["value"] for event in records(settings, "events.iot")] == [float(i) for i in range(20)]
        later = data_frame("B7", start + 30_000, 30.0)
        assert talk(door.ports["hj212"], later, len(answer_of(later))) == answer_of(later)
        door.kill(signal.SIGTERM)
        door.start()  # reads the parking topic from its beginning, and finds nothing left to do
        page = httpx.get(f"{door.url}/metrics").text
        assert 'outcome="replayed"' not in page
        assert len(records(settings, "events.iot")) == 21


def test_wrong_passwords_and_bad_frames_are_named(settings: Settings) -> None:
    """A wrong PW is not answered; broken frames are dead letters with their bytes; good ones around them go on."""
    make_topics(settings)
    register(settings, "hj212:A1", password="654321")
    at = now()
    wrong, right = data_frame("A1", at, 1.0), data_frame("A1", at + 1000, 2.0, pw="654321")
    broken = right.replace(b"Rtd=2.0", b"Rtd=9.0")
    nan = hj212.encode(
        {"QN": stamp(at), "ST": 32, "CN": 2011, "PW": 654321, "MN": "A1", "Flag": 5},
        hj212.encode_area({"DataTime": stamp(at)[:14]}, {"w01001": {"Rtd": "--", "Flag": "D"}}),
    )
    with gateway(settings) as door:
        sent = wrong + broken + b"noise" + nan + right
        answers = answer_of(nan) + answer_of(right)
        assert talk(door.ports["hj212"], sent, len(answers)) == answers
        letters = {letter["reason"]: letter for letter in records(settings, "rejected")}
        assert letters.keys() == {"bad-credentials", "bad-crc", "garbage", "bad-value"}
        assert letters["bad-crc"]["value"] == broken
        assert letters["bad-credentials"]["value"] == wrong
        assert [event["value"] for event in records(settings, "events.iot")] == [2.0]
        page = httpx.get(f"{door.url}/metrics").text
        assert 'fengsui_gateway_device_refused_total{device="hj212:A1",reason="bad-credentials"} 1.0' in page
        assert 'fengsui_gateway_device_clock_skew_seconds{device="hj212:A1"}' in page


def test_a_dry_run_writes_nothing(settings: Settings) -> None:
    """Everything is judged, counted and answered; no topic has anything."""
    make_topics(settings)
    register(settings, "hj212:A1")
    with gateway(settings, gateway_dry_run="true") as door:
        frame = data_frame("A1", now(), 1.0) + data_frame("C3", now(), 1.0)
        answers = b"".join(answer_of(data) for data in (frame[: len(frame) // 2], frame[len(frame) // 2 :]))
        assert talk(door.ports["hj212"], b"##0003xx\r\n" + frame, len(answers)) == answers
        page = httpx.get(f"{door.url}/metrics").text
        assert 'fengsui_gateway_frames_total{gateway="hj212",outcome="accepted"} 1.0' in page
        for topic in ("events.iot", "parking", "rejected"):
            assert read(settings, topic) == []
