"""JSON events: hostile texts get a named reason, quickly; odd but meant ones get through."""

import json
import time
from typing import Any

import pytest

from tests.unit.topics.samples import AT, record
from topics.columns import decode_chunk
from topics.events import KINDS
from topics.jsonform import from_json
from topics.reasons import REASONS
from topics.wire import Refused

IOT = KINDS["iot"]
GOOD = json.dumps(record("iot", metric="m", value=1.0)).encode()
SECONDS = 1.0


def with_value(text: bytes) -> bytes:
    """A good event with another text where the value stands."""
    return GOOD.replace(b'"value": 1.0', b'"value": ' + text)


def with_metric(text: bytes) -> bytes:
    """A good event with another text where the metric stands."""
    return GOOD.replace(b'"metric": "m"', b'"metric": ' + text)


def and_field(text: bytes) -> bytes:
    """A good event with one more field, which no schema knows."""
    return GOOD[:-1] + b', "other": ' + text + b"}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "bad-json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "bad-json"),
        (and_field(b"[" * 100_000 + b"]" * 100_000), "bad-json"),
        (with_value(b"1e999"), "bad-json"),
        (with_value(b"-1e999"), "bad-json"),
        (with_value(b"NaN"), "bad-json"),
        (with_value(b"-Infinity"), "bad-json"),
        (with_value(b"9" * 10_000), "bad-json"),
        (and_field(b"9" * 10_000), "bad-json"),
        (with_value(b"0." + b"9" * 100_000 + b"x"), "bad-json"),
        (with_metric(b'"\\ud800"'), "bad-json"),
        (with_metric(b'"\xed\xa0\x80"'), "bad-utf8"),
        (with_metric(b'"\xe9"'), "bad-utf8"),
        (with_metric(b'"\x00"'), "bad-json"),
        (GOOD[:-5], "bad-json"),
        (GOOD + b"{}", "bad-json"),
        (b"{", "bad-json"),
        (b"   ", "bad-json"),
        (b"[]", "bad-json"),
        (with_metric(b"{}"), "bad-type"),
        (with_metric(b"1"), "bad-type"),
        (with_value(b"true"), "bad-type"),
        (with_value(b'"1.0"'), "bad-type"),
        (with_metric(b"null"), "missing-field"),
        (with_metric(b'""'), "missing-field"),
        (GOOD.replace(b'"kind": "iot"', b'"kind": ["iot"]'), "wrong-kind"),
        (GOOD.replace(b'"kind": "iot"', b'"kind": "video"'), "wrong-kind"),
    ],
)
def test_hostile_texts_are_named_quickly(data: bytes, reason: str) -> None:
    """Depth, size, non-numbers and broken text cost little and never more than a reason."""
    began = time.perf_counter()
    decoded = decode_chunk(IOT, [data])
    assert [bad.reason for bad in decoded.bad] == [reason]
    assert time.perf_counter() - began < SECONDS
    assert reason in REASONS


@pytest.mark.parametrize("data", [b"\xa0{}", b"\xff\xfe{\x00", b"\xef\xbb\xbf{}", b"hello", b"\x01\x00\x00\x0f\xa1"])
def test_what_is_neither_json_nor_avro(data: bytes) -> None:
    """Other first bytes are another format."""
    assert [bad.reason for bad in decode_chunk(IOT, [data]).bad] == ["unknown-format"]


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        (GOOD[:-1] + b', "metric": "second"}', "metric", "second"),
        (with_metric(b'"\\u0000"'), "metric", "\0"),
        (with_metric(b'"\\ud83d\\ude00"'), "metric", "😀"),
        (with_value(b"3"), "value", 3.0),
        (with_value(b"1e308"), "value", 1e308),
        (and_field(b'{"a": [1, 2]}'), "metric", "m"),
        (b" \n" + GOOD, "metric", "m"),
    ],
)
def test_odd_but_meant(data: bytes, field: str, value: Any) -> None:
    """The last of doubled keys counts, escapes are text, whole numbers are numbers, unknown fields are left out."""
    decoded = decode_chunk(IOT, [data])
    assert decoded.frame[field].to_list() == [value]


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        (AT, AT),
        (float(AT), AT),
        ("2026-01-01T12:00:00+08:00", AT),
        ("2026-01-01T04:00:00Z", AT),
        ("2026-01-01T04:00:00.0004Z", AT),
        ("1969-12-31T23:59:59Z", -1000),
    ],
)
def test_times_as_number_or_text(given: Any, milliseconds: int) -> None:
    """Milliseconds or RFC 3339 with a zone."""
    assert from_json(IOT, json.dumps(record("iot", occurred_at=given)).encode())["occurred_at"] == milliseconds


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("2026-01-01T12:00:00", "bad-time"),
        ("2026-01-01", "bad-time"),
        ("yesterday", "bad-time"),
        ("0000-01-01T00:00:00Z", "bad-time"),
        ("2026-12-31T23:59:60Z", "bad-time"),
        ("9" * 10_000, "bad-time"),
        (AT + 0.5, "bad-type"),
        (True, "bad-type"),
        (2**63, "bad-type"),
        (1e300, "bad-type"),
        ([], "bad-type"),
        (None, "missing-field"),
    ],
)
def test_times_that_are_none(given: Any, reason: str) -> None:
    """A time without a zone is refused rather than guessed."""
    with pytest.raises(Refused) as refused:
        from_json(IOT, json.dumps(record("iot", occurred_at=given)).encode())
    assert refused.value.reason == reason
