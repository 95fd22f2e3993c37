"""CloudEvents: the specification's own examples, and what a receiver must refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.cloudevents import (
    _NOT_TEXT,
    BATCH,
    REASON,
    STRUCTURED,
    Bad,
    Event,
    decode,
    describe,
    header_text,
    to_mapping,
)
from fengsui.cli.gateway import cloudevents_messages
from topics.wire import Refused

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "cloudevents.json"
GOOD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "fengsui.iot"}


def structured(**changes: Any) -> Event | Bad:
    members = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return decode({"Content-Type": STRUCTURED}, json.dumps(members).encode()).results[0]


def binary(body: bytes = b"", content_type: str = "", **changes: str) -> Event | Bad:
    headers = {f"ce-{name}": value for name, value in (GOOD | changes).items()}
    if content_type:
        headers["Content-Type"] = content_type
    return decode(headers, body).results[0]


def contains(want: Any, got: Any) -> bool:
    if isinstance(want, dict):
        return isinstance(got, dict) and all(key in got and contains(value, got[key]) for key, value in want.items())
    return bool(want == got)


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not here")
def test_vectors() -> None:
    """Every known frame decodes to its expected values; every bad one is refused."""
    for vector in json.loads(VECTORS.read_text("utf-8")):
        (answer,) = cloudevents_messages(json.dumps(vector["raw"]).encode())
        assert answer["ok"] is vector["valid"], vector["source"]
        if vector["valid"]:
            assert contains(vector["expected"], answer), vector["source"]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"id": ...}, "missing id"),
        ({"id": None}, "missing id"),
        ({"id": ""}, "empty id"),
        ({"id": 5}, "id is not a string"),
        ({"source": ""}, "empty source"),
        ({"source": "a b"}, "source is not a URI reference"),
        ({"type": ...}, "missing type"),
        ({"specversion": "0.3"}, "specversion 0.3 is not 1.0"),
        ({"specversion": 1.0}, "specversion is not a string"),
        ({"time": "2018-04-05 03:56:24Z"}, "time 2018-04-05 03:56:24Z is not RFC 3339"),
        ({"time": "2018-02-30T03:56:24Z"}, "time 2018-02-30T03:56:24Z is not RFC 3339"),
        ({"time": "2018-04-05T03:56:24"}, "time 2018-04-05T03:56:24 is not RFC 3339"),
        ({"subject": ""}, "empty subject"),
        ({"dataschema": "relative/schema"}, "dataschema is not an absolute URI"),
        ({"datacontenttype": "json"}, "datacontenttype is not a media type"),
        ({"my_ext": "x"}, "attribute name 'my_ext': lower-case letters and digits only"),
        ({"ext": 1.5}, "ext is neither text, boolean nor a 32-bit integer"),
        ({"ext": 2**31}, "ext is neither text, boolean nor a 32-bit integer"),
        ({"ext": {"a": 1}}, "ext is neither text, boolean nor a 32-bit integer"),
        ({"ext": "a\u0007"}, "ext holds a control character"),
        ({"data": 1, "data_base64": "AAEC"}, "both data and data_base64"),
        ({"data_base64": "A&EC"}, "data_base64 is not base64"),
        ({"datacontenttype": "text/plain", "data": {"a": 1}}, "data of a type that is not JSON must be a string"),
    ],
)
def test_what_breaks_the_specification_is_refused(changes: dict[str, Any], detail: str) -> None:
    """Each rule broken alone is enough, and named."""
    result = structured(**changes)
    assert isinstance(result, Bad)
    assert (result.reason, result.detail) == (REASON, detail)


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({"data": None}, None),
        ({"data": "{}"}, "{}"),
        ({"data_base64": "AAEC", "datacontenttype": "application/octet-stream"}, b"\x00\x01\x02"),
        ({"data": "<a/>", "datacontenttype": "application/xml"}, "<a/>"),
        ({"data": [1], "datacontenttype": "application/vnd.x+json; v=1"}, [1]),
        ({"time": "2016-12-31T23:59:60.5+08:00", "subject": None, "ext": True, "count": -5, "data": 0}, 0),
    ],
)
def test_what_the_specification_allows(changes: dict[str, Any], data: Any) -> None:
    """Explicit null, strings that look like JSON, bytes, leap seconds, unset attributes and typed extensions."""
    result = structured(**changes)
    assert isinstance(result, Event)
    assert (result.data, result.has_data) == (data, True)
    assert "subject" not in result.attributes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%e2%82%ac", "€"),
        ("%41%2541", "A%41"),
        ('"a \\"quoted\\" %20b"', 'a "quoted"  b'),
        ("100%", "100%"),
    ],
)
def test_header_values(text: str, value: str) -> None:
    """One unquoting, one round of percent-decoding."""
    assert header_text(text) == value


@pytest.mark.parametrize("text", ["%C0%A0", "%ff", "%E2%82", "%ED%A0%80"])
def test_broken_utf8_in_a_header(text: str) -> None:
    """Overlong, cut and surrogate sequences are refused."""
    with pytest.raises(Refused):
        header_text(text)
    assert isinstance(binary(subject=text), Bad)


def test_printable_text_needs_no_second_look() -> None:
    """No character that Python calls printable is among those that the specification keeps out of strings."""
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert len(printable) > 100_000
    assert not _NOT_TEXT.search(printable)


def test_binary_mode() -> None:
    """The body is data: a JSON value where the type says so, else text, else bytes; header names in any case."""
    assert binary(b'{"a": 1}', "application/json").data == {"a": 1}  # type: ignore[union-attr]
    assert binary(b"{", "application/json").reason == "bad-json"  # type: ignore[union-attr]
    assert binary(b"\xff", "application/octet-stream").data == b"\xff"  # type: ignore[union-attr]
    upper = decode([("CE-ID", "1"), ("CE-Source", "/s"), ("Ce-Type", "t"), ("ce-specversion", "1.0")], b"")
    assert isinstance(upper.results[0], Event)
    twice = decode(
        [("ce-id", "1"), ("ce-id", "2"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0")], b""
    )
    assert isinstance(twice.results[0], Bad)
    assert isinstance(binary(datacontenttype="text/plain"), Bad)


def test_a_batch_answers_for_each_of_its_events() -> None:
    """A bad event spoils neither its neighbours nor their order; an empty batch is valid; no array is no batch."""
    body = b'[{"specversion":"1.0","id":"a","source":"/s","type":"t"}, {"id": 1}, 5]'
    message = decode({"content-type": BATCH + "; charset=UTF-8"}, body)
    assert [type(result).__name__ for result in message.results] == ["Event", "Bad", "Bad"]
    assert message.results[1].raw == b'{"id": 1}'
    about = describe(message)
    assert (about["ok"], about["count"], about["ids"]) == (False, 3, ["a"])
    assert describe(decode({"content-type": BATCH}, b"[]"))["ok"] is True
    assert isinstance(decode({"content-type": BATCH}, b"{}").results[0], Bad)
    assert decode({"content-type": BATCH}, b"[{").unreadable


@pytest.mark.parametrize("media", ["application/cloudevents+avro", "application/cloudevents+json; charset=utf-16"])
def test_formats_that_are_not_ours(media: str) -> None:
    """Other event formats and other encodings of JSON are refused."""
    assert isinstance(decode({"Content-Type": media}, json.dumps(GOOD).encode()).results[0], Bad)


def test_an_event_of_ours_inside() -> None:
    """Attributes fill in for what data lacks, data wins where it has it; kinds come by type, extension or data."""
    result = structured(
        subject="licence:1", time="2026-01-01T00:00:00Z", sector="fire", data={"source": "own", "region": None}
    )
    assert isinstance(result, Event)
    kind, fields = to_mapping(result)
    assert kind.code == "iot"
    assert fields == {
        "event_id": "1",
        "source": "own",
        "subject": "licence:1",
        "occurred_at": "2026-01-01T00:00:00Z",
        "observed_at": "2026-01-01T00:00:00Z",
        "sector": "fire",
    }
    other = structured(type="com.example", data={"kind": "video"})
    assert isinstance(other, Event)
    assert to_mapping(other)[0].code == "video"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"type": "com.example", "data": {}}, "unknown-kind"), ({"data": [1]}, "bad-type"), ({}, "bad-type")],
)
def test_a_cloudevent_that_is_no_event_of_ours(changes: dict[str, Any], reason: str) -> None:
    """A valid CloudEvent may still say nothing to us."""
    result = structured(**changes)
    assert isinstance(result, Event)
    with pytest.raises(Refused) as refused:
        to_mapping(result)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 1),
        (b"\xff", 1),
        (b"5", 1),
        (b'{"headers": 5}', 1),
        (b'{"headers": [[1]], "body": "x"}', 1),
        (b'{"headers": {"ce-id": 1}, "body": "zz", "body_encoding": "hex"}', 1),
        (b'{"headers": {}}\n{"headers": \n\n[]', 2),
        (b'[{"headers": {}}, 1]', 2),
        (b'{"headers": {"ce-id": "1"}, "body_encoding": "nonsense", "body": "x"}', 1),
    ],
)
def test_the_command_answers_whatever_comes(data: bytes, count: int) -> None:
    """`fengsui decode cloudevents` has one refusal for each thing that is no message."""
    answers = list(cloudevents_messages(data))
    assert [answer["ok"] for answer in answers] == [False] * count
    assert all(answer["reason"] for answer in answers)


def test_a_bare_event_is_taken_as_structured() -> None:
    """A CloudEvent as JSON without headers says itself what it is."""
    (answer,) = cloudevents_messages(json.dumps(GOOD).encode())
    assert (answer["ok"], answer["mode"]) == (True, "structured")
