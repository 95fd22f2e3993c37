"""Frames -> readings: metrics, units, times, flags, identities."""

import datetime as dt
import json
from typing import Any

import pytest

from connectors.devices import gb26875, hj212
from connectors.devices.device import Device, parse
from connectors.devices.rows import COLUMNS, Rows
from connectors.protocols import gb26875 as gb
from connectors.protocols import hj212 as hj

NOW = 1_767_200_400_000
DAY = 86_400_000
AT = 1_767_196_800_000  # 2026-01-01T00:00:00+08:00
STAMP = "20260101000000"


def device(**more: Any) -> Device:
    return parse("hj212:A1", json.dumps({"subject": "site:1", "sector": "ecology"} | more))


def readings(
    area: str, cn: str = "2011", *, qn: str | None = "20260101000002500", arrived: int = NOW, **more: Any
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    header = {"QN": qn} if qn else {}
    (frame,) = hj.decode(hj.encode(header | {"ST": 32, "CN": cn, "MN": "A1", "Flag": 4}, area))
    assert isinstance(frame, hj.Frame)
    rows = Rows()
    hj212.events(device(**more), frame, arrived, rows)
    return [dict(zip(COLUMNS["iot"], row, strict=True)) for row in rows.rows["iot"]], rows.refused


@pytest.mark.parametrize(
    ("cn", "field", "metric", "occurred"),
    [
        ("2011", "Rtd", "cod", AT),
        ("2051", "Avg", "cod_minute", AT + 600_000),
        ("2061", "Avg", "cod_hour", AT + DAY // 24),
        ("2031", "Avg", "cod_day", AT + DAY),
    ],
)
def test_kinds_of_data(cn: str, field: str, metric: str, occurred: int) -> None:
    """An interval's mean is known at its end; DataTime is its beginning."""
    ((one,), refused) = readings(f"DataTime={STAMP};w01018-{field}=28.5,w01018-Flag=N", cn)
    wanted = {"metric": metric, "value": 28.5, "unit": "mg/L", "flag": "N", "occurred_at": occurred}
    assert wanted.items() <= one.items()
    assert one["observed_at"] == AT + 2_500
    assert refused == []


def test_old_codes_own_channels_and_unknown_ones() -> None:
    area = f"DataTime={STAMP};011-Rtd=1;x7-Rtd=2;w01001-Rtd=3"
    channels = {"w01001": {"metric": "pool_ph", "scale": 0.5, "offset": 1}, "x9": {"ignore": True}}
    found, _ = readings(area + ";x9-Rtd=4", channels=channels)
    assert {(one["metric"], one["value"]) for one in found} == {("cod", 1.0), ("hj212_x7", 2.0), ("pool_ph", 2.5)}


def test_the_same_data_sent_again_has_the_same_id() -> None:
    area = f"DataTime={STAMP};w01018-Rtd=1;w01001-Rtd=7"
    first, _ = readings(area)
    again, _ = readings(area, qn="20260101000930000")
    other, _ = readings(area.replace(STAMP, "20260101000001"))
    ids = [one["event_id"] for one in first]
    assert ids == [one["event_id"] for one in again]
    assert len(set(ids) | {one["event_id"] for one in other}) == 4


def test_a_device_without_a_clock_gets_ours() -> None:
    ((one,), _) = readings(f"DataTime={STAMP};w01018-Rtd=1", clock="gateway")
    assert (one["occurred_at"], one["observed_at"]) == (NOW, NOW)
    ((one,), _) = readings("w01018-Rtd=1", qn=None)
    assert (one["occurred_at"], one["observed_at"]) == (NOW, NOW)


def test_frames_without_times_are_told_by_what_they_are_and_when_they_came() -> None:
    """Two thousand different frames in a minute are as many readings; the same one again is the same."""
    ids = {readings(f"w01018-Rtd={value}", qn=None)[0][0]["event_id"] for value in range(2_000)}
    assert len(ids) == 2_000
    again = readings("w01018-Rtd=7", qn=None)[0][0]["event_id"]
    assert again in ids
    assert readings("w01018-Rtd=7", qn=None, arrived=NOW + 60_000)[0][0]["event_id"] not in ids


def test_a_clock_that_stands_still_hides_nothing() -> None:
    ids = {
        readings(f"DataTime=20000101000000;w01018-Rtd={value}", qn=None, clock="gateway")[0][0]["event_id"]
        for value in range(5)
    }
    assert len(ids) == 5


def test_two_devices_of_one_name_have_ids_of_their_own() -> None:
    """A register may call two devices alike; their readings stay two."""
    (frame,) = hj.decode(
        hj.encode({"QN": STAMP + "000", "ST": 32, "CN": 2011, "Flag": 4}, f"DataTime={STAMP};w01018-Rtd=1")
    )
    assert isinstance(frame, hj.Frame)
    rows = Rows()
    for key in ("hj212:A1", "hj212:A2"):
        hj212.events(parse(key, b'{"subject": "site:1", "sector": "ecology", "device_id": "x"}'), frame, NOW, rows)
    assert len({row[0] for row in rows.rows["iot"]}) == 2


def test_equipment_and_boots() -> None:
    found, _ = readings(f"DataTime={STAMP};SB1-RS=1;SB2-RS=0", "2021")
    assert [(one["metric"], one["value"]) for one in found] == [
        ("equipment_state_sb1", 1.0),
        ("equipment_state_sb2", 0.0),
    ]
    ((one,), _) = readings("RestartTime=20260101000001", "2081")
    assert (one["metric"], one["occurred_at"]) == ("device_restart", AT + 1000)


def test_what_is_no_data_says_nothing() -> None:
    assert readings("", "9014") == ([], [])
    assert readings("QnRtn=1", "9011") == ([], [])
    assert readings(f"DataTime={STAMP};w01018-Cou=5", "2061") == ([], [])


def test_what_is_no_number_is_named() -> None:
    assert readings(f"DataTime={STAMP};w01018-Rtd=1_0", arrived=NOW)[1] == [(0, "bad-value", "w01018-Rtd=1_0")]
    assert readings("DataTime=20261301000000;w01018-Rtd=1")[1] == [(0, "bad-time", "DataTime 20261301000000")]


@pytest.mark.parametrize("mn", ["", "a b", ":b", "a\x01", "a" * 200])
def test_names_that_cannot_be_registered(mn: str) -> None:
    (frame,) = hj.decode(hj.encode({"QN": STAMP + "000", "ST": 32, "CN": 2011, "MN": mn, "Flag": 4}))
    assert isinstance(frame, hj.Frame)
    assert hj212.key_of(frame) == ""


PART = {"system_type": 1, "system_addr": 2, "part_type": 40, "part_addr_hex": "05000600", "time": "2026-01-01T00:00:00"}


def fire(kind: int, *objects: dict[str, Any], sequence: int = 1, **more: Any) -> list[dict[str, Any]]:
    unit = gb.encode_unit(kind, objects)
    raw = gb.encode(sequence, gb.SEND, unit, time=dt.datetime(2026, 1, 1, 0, 0, 2), source=b"\1" * 6, target=bytes(6))
    (frame,) = gb.decode(raw)
    assert isinstance(frame, gb.Frame)
    rows = Rows()
    body = {"subject": "site:1", "sector": "fire"} | more
    gb26875.events(parse(gb26875.key_of(frame), json.dumps(body)), frame, NOW, rows)
    return [dict(zip(COLUMNS["iot"], row, strict=True)) for row in rows.rows["iot"]]


def test_analogue_values_in_the_rules_units() -> None:
    found = fire(3, PART | {"analog_type": 9, "analog_raw": 3}, PART | {"analog_type": 5, "analog_raw": 3200})
    assert [(one["metric"], one["value"], one["unit"]) for one in found] == [
        ("residual_current", 300.0, "mA"),
        ("water_pressure", 0.32, "MPa"),
    ]
    assert found[0]["device_id"] == "gb26875:010101010101/1-2-40-05000600"
    assert (found[0]["occurred_at"], found[0]["observed_at"]) == (AT, AT + 2000)


def test_states_by_bit_and_an_alarm_that_ends() -> None:
    on = fire(2, PART | {"status": 0b10, "description": ""})
    off = fire(2, PART | {"status": 0, "description": ""})
    assert [(one["metric"], one["value"]) for one in on + off] == [("fire_alarm", 1.0), ("fire_alarm", 0.0)]
    assert on[0]["event_id"] != off[0]["event_id"]
    assert [one["metric"] for one in fire(21, {"status": 0b101, "time": PART["time"]})] == [
        "transmitter_normal",
        "fire_alarm",
        "transmitter_fault",
    ]


def test_fire_frames_sent_again_have_the_same_ids() -> None:
    value = PART | {"analog_type": 3, "analog_raw": 300}
    assert fire(3, value)[0]["event_id"] == fire(3, value, sequence=2)[0]["event_id"]
    timeless = value | {"time": None}
    assert fire(3, timeless)[0]["event_id"] == fire(3, timeless)[0]["event_id"]
    assert fire(3, timeless)[0]["event_id"] != fire(3, timeless, sequence=2)[0]["event_id"]


def test_a_part_may_be_another_subjects() -> None:
    value = PART | {"analog_type": 3, "analog_raw": 300}
    (one,) = fire(3, value, channels={"1-2-40-05000600": {"subject": "site:2", "device_id": "c", "scale": 2}})
    assert (one["subject"], one["device_id"], one["value"]) == ("site:2", "c", 60.0)
