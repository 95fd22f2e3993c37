"""Payloads of sensor and camera gateways: what becomes an event, what is refused and why, what has which id."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.devices.device import Device, parse
from connectors.devices.message import MOST_ELEMENTS, Message, device_name, key_of, unparked
from connectors.devices.mqtt import events, sent_at
from connectors.devices.rows import COLUMNS, Rows, make
from topics.events import KINDS
from topics.reasons import REASONS
from topics.wire import Refused, decode, encode

AT = 1_790_000_000_000
BODY = {
    "subject": "licence:7", "sector": "food-drug", "region": "330106", "subject_name": "七号厨房",
    "channels": {
        "t": {"metric": "cold_store_temp", "unit": "Cel", "scale": 0.1, "offset": 1.0},
        "hidden": {"ignore": True},
        "next_door": {"subject": "licence:8", "device_id": "door-8"},
    },
    "labels": {"mouse": "rat"},
}  # fmt: skip
WHOLE = {"kind": "iot", "event_id": "e1", "occurred_at": AT, "observed_at": AT, "metric": "t", "value": 1.0}


def device(**changes: Any) -> Device:
    return parse("mqtt:k7", msgspec.json.encode(BODY | changes))


def rows_of(payload: Any, *, arrived: int = AT + 500, retained: bool = False, of: Device | None = None) -> Rows:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    rows = Rows()
    events(of or device(), Message("fengsui/k7/events", raw, retained), arrived, rows)
    return rows


def readings(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS["iot"], row, strict=True)) for row in rows.rows["iot"]]


def made(rows: Rows) -> list[dict[str, Any]]:
    """Every event as it goes to Kafka."""
    found = []
    for shape, of in rows.rows.items():
        if of:
            found += [decode(value)[1] for _, value in make(shape, of, rows.owners[shape], AT + 500).pairs]
    return found


def reasons(rows: Rows) -> list[str]:
    return [reason for _, reason, _ in rows.refused]


def test_a_reading() -> None:
    """Subject and sector are the register's; the channel gives name, unit and calibration; time and sent are the sender's."""
    (found,) = readings(rows_of({"metric": "t", "value": 22, "time": AT, "sent": AT + 100, "flag": "N"}))
    wanted = {
        "event_id": f"mqtt:k7/t/{AT}", "subject": "licence:7", "metric": "cold_store_temp", "unit": "Cel", "flag": "N",
        "occurred_at": AT, "observed_at": AT + 100, "source": "mqtt", "device_id": "mqtt:k7", "subject_name": "七号厨房",
    }  # fmt: skip
    assert wanted.items() <= found.items()
    assert found["value"] == pytest.approx(3.2)


def test_several_values_and_arrays() -> None:
    """Each value is a reading; truth is 1 and 0; a channel may be another device's, or nobody's; times may be RFC 3339."""
    told = {"time": "2026-09-21T22:13:20+08:00", "values": {"x": 1, "hidden": 5, "next_door": True}}
    found = readings(rows_of([told, {"metric": "y", "value": False, "time": AT + 1}]))
    assert [(one["metric"], one["value"]) for one in found] == [("x", 1.0), ("next_door", 1.0), ("y", 0.0)]
    assert (found[1]["subject"], found[1]["device_id"]) == ("licence:8", "door-8")
    assert found[0]["occurred_at"] == AT


def test_a_finding_of_a_camera() -> None:
    """Labels are translated by the register; confidence, picture and digest are kept."""
    rows = rows_of({"label": "mouse", "confidence": 1, "picture": "s3://p/1.jpg", "sha256": "ab", "time": AT})
    (found,) = made(rows)
    assert (found["label"], found["confidence"], found["picture"]) == ("rat", 1.0, "s3://p/1.jpg")
    assert found["event_id"] == f"mqtt:k7/label:mouse/{AT}"


@pytest.mark.parametrize(
    "payload",
    [
        WHOLE,
        {"specversion": "1.0", "id": "e1", "source": "/k7", "type": "fengsui.iot", "data": WHOLE},
        encode(
            KINDS["iot"].schema,
            WHOLE | {"subject": "licence:7", "sector": "food-drug", "source": "s", "device_id": "mqtt:k7"},
        ),
    ],
    ids=["json", "cloudevent", "avro"],
)
def test_whole_events(payload: Any) -> None:
    """A whole event keeps its own id and value, uncalibrated; what it leaves out is the register's."""
    (found,) = made(rows_of(payload))
    wanted = {"event_id": "e1", "subject": "licence:7", "sector": "food-drug", "device_id": "mqtt:k7", "value": 1.0}
    assert wanted.items() <= found.items()


def test_whole_events_of_other_kinds() -> None:
    """Every kind comes through; fields that a reading does not have, too."""
    record = WHOLE | {"kind": "complaint", "complaint_type": "report", "text": "鼠患", "person": "person:1"}
    (found,) = made(rows_of(record))
    assert (found["text"], found["person"], found["chain"]) == ("鼠患", "person:1", None)


@pytest.mark.parametrize(
    "change", [{"subject": "licence:8x"}, {"sector": "fire"}, {"device_id": "mqtt:k8"}, {"subject": "uscc:1"}]
)
def test_whole_events_of_others_are_refused(change: dict[str, str]) -> None:
    """A device speaks for its own subject, sector and id only; its channels' own subject and id are its own."""
    assert reasons(rows_of(WHOLE | change)) == ["not-your-device"]
    assert reasons(rows_of(WHOLE | {"subject": "licence:8", "device_id": "door-8"})) == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty-value"),
        (b"{", "bad-json"),
        (b"[1,", "bad-json"),
        (b'{"metric": "\xff"}', "bad-utf8"),
        (b"[" * 100_000, "bad-json"),
        ("text", "unknown-payload"),
        ({"temperature": 1}, "unknown-payload"),
        ({"metric": "t"}, "bad-value"),
        ({"metric": "t", "value": "1"}, "bad-value"),
        ({"metric": "", "value": 1}, "missing-field"),
        ({"metric": 5, "value": 1}, "bad-type"),
        ({"metric": "t", "value": 10**400}, "bad-json"),
        ({"metric": "t", "value": 1, "time": "2026-01-01 08:00"}, "bad-time"),
        ({"metric": "t", "value": 1, "time": True}, "bad-time"),
        ({"metric": "t", "value": 1, "time": 10**30}, "bad-time"),
        ({"metric": "t", "value": 1, "unit": 4}, "bad-type"),
        ({"metric": "t", "value": 1, "id": "x" * 300}, "bad-type"),
        ({"label": 7}, "bad-type"),
        ({"kind": "gossip"}, "unknown-kind"),
        ({"kind": "iot"}, "missing-field"),
        ({"specversion": "1.0"}, "bad-cloudevent"),
        (b"\0", "unknown-format"),
        (b"\0\0\0\0\1", "unknown-schema"),
        (b"\0" + (4001).to_bytes(4, "big") + b"\1\2", "broken-avro"),
        ([1] * (MOST_ELEMENTS + 1), "too-large"),
    ],
)
def test_what_is_wrong_is_named(payload: Any, reason: str) -> None:
    """A named reason each, and no event."""
    if payload == {"metric": "t", "value": 10**400}:
        payload = b'{"metric": "t", "value": 1e400}'
    rows = rows_of(payload)
    assert reasons(rows) == [reason]
    assert made(rows) == []


def test_one_bad_part_spoils_no_other() -> None:
    """Elements and values are refused in their place, which the detail names."""
    rows = rows_of([{"metric": "t", "value": 1, "time": AT}, {"metric": "u"}, {"values": {"a": 1, "b": "no"}}])
    assert [detail.split()[0] for _, _, detail in rows.refused] == ["[1]", "[2]"]
    assert len(rows.rows["iot"]) == 2


def test_sent_again_has_the_same_id() -> None:
    """By id, by time, or by content within a minute; the same value a minute later is another event."""

    def one(payload: dict[str, Any], arrived: int) -> str:
        return str(readings(rows_of(payload, arrived=arrived))[0]["event_id"])

    untimed, minute = {"metric": "door", "value": 1}, 60_000
    start = AT // minute * minute
    assert one({"metric": "t", "value": 1, "id": 7}, start) == one({"metric": "t", "value": 1, "id": 7}, start + 10**7)
    assert one(untimed | {"time": AT}, start) == one(untimed | {"time": AT, "value": 2}, start + 10**7)
    assert one(untimed, start) == one(untimed, start + minute - 1) != one(untimed, start + minute)
    two = readings(rows_of([untimed, untimed]))
    assert two[0]["event_id"] != two[1]["event_id"]


def test_clocks_and_old_news() -> None:
    """A device without a clock has ours; a retained message needs a time of its own, from a clock that counts."""
    (found,) = readings(rows_of({"metric": "t", "value": 1, "time": 5}, of=device(clock="gateway")))
    assert found["occurred_at"] == AT + 500
    assert reasons(rows_of({"metric": "t", "value": 1}, retained=True)) == ["no-time"]
    assert reasons(rows_of({"metric": "t", "value": 1, "time": 5}, retained=True, of=device(clock="gateway"))) == [
        "no-time"
    ]
    assert reasons(rows_of({"metric": "t", "value": 1, "time": AT}, retained=True)) == []
    assert sent_at(Message("a", b'{"sent": 5}')) == 5
    assert sent_at(Message("a", b'{"sent": 5}', retained=True)) is None
    assert sent_at(Message("a", b'{"sent": "soon"}')) is None


def test_names_in_topics() -> None:
    """The first + of the first filter that fits; what could not be registered has no key."""
    filters = ["fengsui/+/events", "a/b/+/+"]
    assert device_name(filters, "fengsui/k7/events") == "k7"
    assert device_name(filters, "a/b/c/d") == "c"
    assert device_name(filters, "fengsui/k7/events/more") == ""
    assert (key_of("k7"), key_of(""), key_of("a b"), key_of("x" * 200)) == ("mqtt:k7", "", "", "")


def test_parked_and_back() -> None:
    """A parked message is the same afterwards; other bytes are refused."""
    message = Message("fengsui/k7/events", b"\0\1\xff", True)
    assert unparked(message.parked()) == message
    with pytest.raises(Refused, match="unknown-format"):
        unparked(b"{}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_NAMES = ("metric", "value", "time", "sent", "unit", "flag", "id", "values", "label", "confidence", "kind", "subject",
          "specversion", "type", "source", "data", "event_id", "occurred_at", "observed_at", "sha256", "picture")  # fmt: skip
_LIKELY = st.sampled_from(["iot", "video", "fengsui.iot", "1.0", "t", "licence:7", "2026-01-01T00:00:00Z", 1, 1.5, AT])
_OBJECT = st.dictionaries(st.sampled_from(_NAMES), _LIKELY | _JSON, max_size=10)


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda tail: b"\0" + (4001).to_bytes(4, "big") + tail)
    | (_OBJECT | st.lists(_OBJECT | _JSON, max_size=4)).map(lambda value: json.dumps(value).encode()),
    st.booleans(),
)
def test_nothing_raises(payload: bytes, retained: bool) -> None:
    """Whatever comes, there are events that Kafka takes, or named reasons; never an exception."""
    message, rows = Message("fengsui/k7/events", payload, retained), Rows()
    sent_at(message)
    events(device(), message, AT + 500, rows)
    made(rows)
    assert all(reason in REASONS for reason in reasons(rows))
