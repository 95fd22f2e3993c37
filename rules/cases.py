"""Reading the tests inside a rule file: relative times, series (`from`, `to`, `every`), defaults for what is unsaid.

A test starts at midnight, Beijing time, of Monday 2026-01-05, unless its `start` says otherwise, so that
`at: 22h30m` is half past ten in the evening.
"""

from collections.abc import Iterator
from typing import Any, Final

from rules.derived import moment
from rules.durations import milliseconds
from rules.errors import meant
from rules.explain import from_beijing
from rules.model import RANKS, Case, Expected
from rules.nodes import Value
from topics.events import KINDS, Kind
from topics.fields import Field

START: Final = "2026-01-05 00:00"
MAX_EVENTS: Final = 20_000
_TIMES: Final = ("at", "from", "to", "every")
_OWN_DEFAULTS: Final = {"device_id": "device-1", "complaint_type": "complaint", "channel": "12345", "text": "测试"}
_ENVELOPE_DEFAULTS: Final = {
    "subject": "uscc:91350100M000100Y43",
    "subject_name": "测试单位",
    "region": "320102",
    "source": "test",
}


def read_case(value: Value, sector: str, on: tuple[str, ...]) -> Case:
    """One test. Raises RuleError."""
    keys = value.mapping(("name", "start", "events", "expect", "lists", "until"), ("name", "events", "expect"))
    start = _start(keys.get("start"))
    events = [event for item in keys["events"].many() for event in _series(item, start, sector, on)]
    if not events:
        keys["events"].fail("a test needs at least one event")
    if len(events) > MAX_EVENTS:
        keys["events"].fail(f"a test has at most {MAX_EVENTS} events")
    events.sort(key=lambda event: event["observed_at"])
    for number, event in enumerate(events):
        event["event_id"] = event["event_id"] or f"e{number:05d}"
    lists = keys["lists"].mapping(keys["lists"].keys) if "lists" in keys else {}
    return Case(
        keys["name"].string(),
        start,
        tuple(events),
        tuple(sorted((_expected(item) for item in keys["expect"].many()), key=lambda e: (e.at, e.severity))),
        tuple((name, _entries(entries)) for name, entries in lists.items()),
        value.line,
        start + duration(keys["until"]) if "until" in keys else events[-1]["observed_at"],
    )


def duration(value: Value) -> int:
    """A duration in ms."""
    try:
        return milliseconds(value.string())
    except ValueError as error:
        value.fail(str(error))


def _entries(value: Value) -> tuple[tuple[str, int | None], ...]:
    """Entries of a list, or of a mapping from entry to the day on which it expires."""
    if value.shape == "mapping":
        return tuple((entry, moment(until)) for entry, until in value.keys.items())
    return tuple((entry, None) for entry in value.strings())


def _start(value: Value | None) -> int:
    text = value.string() if value else START
    try:
        return from_beijing(text, "%Y-%m-%d %H:%M")
    except ValueError:
        assert value is not None  # noqa: S101 - the default reads
        value.fail("start is written like 2026-01-05 08:00, Beijing time")


def _expected(value: Value) -> Expected:
    keys = value.mapping(("at", "severity"), ("at", "severity"))
    severity = keys["severity"].string()
    if severity not in RANKS:
        keys["severity"].fail(f"severity is one of {', '.join(RANKS)}")
    return Expected(duration(keys["at"]), severity)


def _series(value: Value, start: int, sector: str, on: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The events of one entry: one at a time, or a series, `to` included."""
    code = value.keys["kind"].string() if "kind" in value.keys else on[0]
    if code not in KINDS:
        value.keys["kind"].fail(f"unknown kind '{code}'{meant(code, KINDS)}")
    keys = value.mapping((*_TIMES, *KINDS[code].schema.columns))
    for at in _moments(value, keys):
        yield _event(
            KINDS[code], value, start, {"sector": sector, "occurred_at": start + at, "observed_at": start + at}
        )


def _moments(value: Value, keys: dict[str, Value]) -> range | tuple[int]:
    if "at" in keys:
        if {"from", "to", "every"} & keys.keys():
            value.fail("write either at, or from, to and every")
        return (duration(keys["at"]),)
    if not {"from", "to", "every"} <= keys.keys():
        value.fail("an event needs at, or from, to and every")
    first, last, step = (duration(keys[name]) for name in ("from", "to", "every"))
    if step <= 0 or last < first or (last - first) // step >= MAX_EVENTS:
        value.fail(f"from, to and every must give 1 to {MAX_EVENTS} events")
    return range(first, last + 1, step)


def _event(kind: Kind, value: Value, start: int, given: dict[str, Any]) -> dict[str, Any]:
    """Every column of one event: what the test writes, then what is `given`, then defaults."""
    keys, envelope = value.keys, {**_ENVELOPE_DEFAULTS, "kind": kind.code, "event_id": "", **given}
    event = {field.name: envelope.get(field.name) for field in kind.schema.fields}
    for field in kind.schema.fields:
        if field.name in keys:
            event[field.name] = _typed(field, keys[field.name], start)
        elif event[field.name] is None and field.required:
            if field.name not in _OWN_DEFAULTS:
                value.fail(f"an event of kind {kind.code} needs '{field.name}'")
            event[field.name] = _OWN_DEFAULTS[field.name]
    return event


def _typed(field: Field, value: Value, start: int) -> Any:
    """A value as its column's type says; times are relative to the start of the test."""
    if value.shape != "scalar":
        value.fail(f"{field.name} takes one value")
    if value.text is None:
        return None
    text = value.text.strip()
    try:
        match field.type:
            case "long":
                return start + milliseconds(text) if field.name.endswith("_at") else int(text)
            case "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (ValueError, KeyError):
        value.fail(
            f"{field.name} takes a {'time such as 5m' if field.name.endswith('_at') else field.type}, not '{text[:40]}'"
        )
