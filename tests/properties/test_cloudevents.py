"""Laws of the CloudEvents decoder: it answers whatever comes, and what is encoded by the book comes back."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from connectors.cloudevents import BATCH, STRUCTURED, Bad, Event, decode, describe, to_mapping
from fengsui.cli.gateway import cloudevents_messages
from topics.reasons import REASONS
from topics.wire import Refused

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=40)
NAMES = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(
    lambda n: (
        n not in {"id", "source", "type", "specversion", "time", "subject", "datacontenttype", "dataschema", "data"}
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
ATTRIBUTES = st.builds(
    lambda required, subject, extensions: {**extensions, **required, **({"subject": subject} if subject else {})},
    st.fixed_dictionaries({"id": TEXT, "source": st.just("/s"), "type": TEXT, "specversion": st.just("1.0")}),
    st.none() | TEXT,
    st.dictionaries(NAMES, TEXT | st.booleans() | st.integers(-(2**31), 2**31 - 1), max_size=4),
)
MEDIA = st.sampled_from([STRUCTURED, BATCH, "application/json", "text/plain", "application/cloudevents", ""]) | st.text(
    max_size=30
)


@given(
    st.lists(st.tuples(st.text(max_size=12) | st.sampled_from(["ce-id", "ce-source"]), st.text(max_size=20))),
    MEDIA,
    st.binary(),
)
def test_never_raises(headers: list[tuple[str, str]], media: str, body: bytes) -> None:
    """Any headers and any body get an answer: events, or refusals with a known reason."""
    message = decode([*headers, ("Content-Type", media)], body)
    assert message.mode == "batch" or len(message.results) == 1
    for result in message.results:
        if isinstance(result, Bad):
            assert result.reason in REASONS
    json.dumps(describe(message))


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_the_command_never_raises(data: bytes) -> None:
    """Any bytes on standard input get at least one answer, except an empty array, which holds no message."""
    answers = list(cloudevents_messages(data))
    assert answers or data.strip() == b"[]"
    assert all(answer["ok"] or answer["reason"] in REASONS for answer in answers)


@given(JSON)
def test_any_json_in_place_of_an_event(value: Any) -> None:
    """Structured and batch bodies of any JSON get an answer, and what is taken maps to an event or names why not."""
    for media, body in ((STRUCTURED, value), (BATCH, [value])):
        for result in decode({"content-type": media}, json.dumps(body).encode()).results:
            if isinstance(result, Event):
                assert _refusal(result) in {None, *REASONS}


def _refusal(event: Event) -> str | None:
    try:
        to_mapping(event)
    except Refused as refused:
        return refused.reason
    return None


@given(ATTRIBUTES, JSON)
def test_round_trips(attributes: dict[str, Any], data: Any) -> None:
    """One event says the same in all three modes."""
    text = json.dumps(attributes | {"datacontenttype": "application/json", "data": data}).encode()
    headers = {f"ce-{name}": _canonical(value) for name, value in attributes.items()}
    one = decode({"content-type": STRUCTURED}, text).results
    many = decode({"content-type": BATCH}, b"[" + text + b"," + text + b"]").results
    bare = decode(headers | {"Content-Type": "application/json"}, json.dumps(data).encode()).results
    expected = attributes | {"datacontenttype": "application/json"}
    for result in (*one, *many):
        assert isinstance(result, Event)
        assert (result.attributes, result.data) == (expected, data)
    (event,) = bare
    assert isinstance(event, Event)
    assert event.data == data
    assert event.attributes == {name: _canonical_text(value) for name, value in expected.items()}


def _canonical_text(value: Any) -> str:
    """The type system's string form: the binary mode does not tell types apart."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _canonical(value: Any) -> str:
    """The same as a header value, percent-encoded by the book."""
    return quote(_canonical_text(value), safe="!#$&'()*+,/:;=?@[]^_`{|}~<>\\")
