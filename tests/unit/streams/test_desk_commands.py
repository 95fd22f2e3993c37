"""Commands at the dispatch desk: checked, answered once and the same, audited."""

import json
from typing import Any

import pytest

from streams.desk import parse_command
from tests.unit.streams.desk_scene import HOME, OTHER, Scene, clue
from topics.codes import DEPARTMENTS
from topics.reasons import REASONS
from topics.records import CLUE, COMMAND
from topics.wire import Refused, encode


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("verb", "arguments", "reason"),
    [
        ("transfer", {"to": "no-such", "reason": "r"}, "unknown-department"),
        ("transfer", {"to": OTHER}, "bad-command"),
        ("feedback", {"verdict": "maybe", "text": "t"}, "bad-command"),
        ("feedback", {"verdict": 7, "text": "t"}, "bad-command"),
        ("assist", {}, "bad-command"),
        ("assist", {"to": [OTHER], "text": "t", "by": 5}, "bad-command"),
        ("handle", {"note": "n", "surprise": 1}, "bad-command"),
        ("raise", {}, "bad-command"),
    ],
)
def test_wrong_arguments_are_refused_with_a_named_reason(verb: str, arguments: dict[str, Any], reason: str) -> None:
    scene = Scene()
    scene.do("claim")
    before = scene.case
    assert scene.do(verb, **arguments).refused == reason
    assert scene.case == before
    assert reason in REASONS


def test_a_command_of_an_unknown_clue_is_answered_without_a_state() -> None:
    scene = Scene(clue_id="other")
    outcome = scene.do("claim")
    assert (outcome.refused, outcome.entries[0]["state"], outcome.entries[0]["seq"]) == ("unknown-clue", "null", 0)


def test_a_person_raises_a_clue_by_hand() -> None:
    scene = Scene(clue_id="other")
    raised = scene.do(
        "raise",
        title="无证经营",
        sector="market",
        severity="yellow",
        department=OTHER,
        subject="site:s1",
        explanation="巡查发现",
    )
    assert (raised.refused, raised.entries[0]["seq"]) == (None, 1)
    assert (scene.case.origin, scene.case.actor, scene.case.department) == ("manual", "li", OTHER)
    assert [to for to, _ in raised.warnings] == [OTHER]
    assert scene.do("raise", title="t").refused == "bad-command"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("sector", "moon", "unknown-sector"),
        ("department", "moon", "unknown-department"),
        ("severity", "pink", "bad-command"),
        ("subject", "nobody", "bad-subject"),
    ],
)
def test_a_raised_clue_is_checked(field: str, value: str, reason: str) -> None:
    scene = Scene(clue_id="other")
    fields = {
        "title": "t",
        "sector": "market",
        "severity": "blue",
        "department": OTHER,
        "subject": "site:s",
        "explanation": "e",
    }
    assert scene.do("raise", **(fields | {field: value})).refused == reason
    assert scene.case is None


def test_a_repeated_command_is_answered_the_same_and_not_applied_twice(scene: Scene) -> None:
    first = scene.do("claim", command_id="k")
    again = scene.do("claim", command_id="k")
    assert again.answer == first.answer
    assert (again.entries, scene.case.seq) == ([], 2)


def test_a_refused_command_stays_refused_when_repeated(scene: Scene) -> None:
    """Even when the reason has gone in the meantime; it is logged again for the one who asks again."""
    scene.do("claim", actor="li")
    refused = scene.do("claim", OTHER, actor="zhao", command_id="z")
    scene.do("transfer", to=OTHER, reason="r")
    again = scene.do("claim", OTHER, actor="zhao", command_id="z")
    assert (again.refused, again.answer, len(again.entries)) == ("already-claimed", refused.answer, 1)
    assert scene.case.owner is None


def test_a_storm_of_refusals_does_not_push_out_what_was_done(scene: Scene) -> None:
    won = scene.do("claim", command_id="k")
    for number in range(500):
        scene.do("claim", actor=f"a{number}")
    assert scene.do("claim", command_id="k").answer == won.answer
    assert len(scene.case.history) == 2


def test_every_step_is_audited(scene: Scene) -> None:
    accepted, refused = scene.do("claim").audit[0], scene.do("claim", actor="wang").audit[0]
    assert (accepted["actor"], accepted["action"], accepted["object"], accepted["result"]) == (
        "li",
        "clue.claim",
        "c1",
        "accepted",
    )
    assert (refused["actor"], refused["result"]) == ("wang", "already-claimed")
    assert {accepted["department"], refused["department"]} <= DEPARTMENTS.keys()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b'{"command_id": 5}',
        b"\x00\x00\x00\x52\x09",
        encode(CLUE, clue()),
        json.dumps(
            {
                "command_id": "k",
                "clue_id": "c",
                "verb": "dance",
                "actor": "a",
                "department": "d",
                "issued_at": 1,
                "arguments": "{}",
            }
        ).encode(),
        json.dumps(
            {
                "command_id": "k",
                "clue_id": "c",
                "verb": "claim",
                "actor": " ",
                "department": "d",
                "issued_at": 1,
                "arguments": "{}",
            }
        ).encode(),
        json.dumps(
            {
                "command_id": "k",
                "clue_id": "c",
                "verb": "claim",
                "actor": "a",
                "department": "d",
                "issued_at": 1,
                "arguments": "[]",
            }
        ).encode(),
        json.dumps(
            {
                "command_id": "k",
                "clue_id": "c",
                "verb": "claim",
                "actor": "a",
                "department": "d",
                "issued_at": True,
                "arguments": "{}",
            }
        ).encode(),
    ],
)
def test_what_is_no_command_is_refused_before_it_reaches_the_desk(value: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_command(value)
    assert refused.value.reason in REASONS


def test_json_and_avro_commands_are_the_same() -> None:
    record = {
        "command_id": "k",
        "clue_id": "c",
        "verb": "claim",
        "actor": "a",
        "department": HOME,
        "issued_at": 1,
        "arguments": "{}",
    }
    assert parse_command(json.dumps(record).encode()) == parse_command(encode(COMMAND, record)) == parse_command(record)
