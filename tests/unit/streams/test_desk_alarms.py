"""What the passing of time does at the dispatch desk: reminders, supervision, closed clues leaving."""

import json

import pytest

from streams.desk import Desk, Workdays
from tests.unit.streams.desk_scene import DAY, HOME, MONDAY, OTHER, Scene, clue


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_reminder_then_supervision_each_once(scene: Scene) -> None:
    """80 % of the working time to claim, then the limit itself."""
    case = scene.case
    assert scene.desk.tick(case.claim_remind_at - 1) == []
    (reminder,) = scene.desk.tick(case.claim_remind_at)
    assert (reminder.entries[0]["verb"], [(to, w["cause"]) for to, w in reminder.warnings]) == (
        "remind",
        [(HOME, "reminder")],
    )
    assert scene.desk.tick(case.claim_by - 1) == []
    (overdue,) = scene.desk.tick(case.claim_by)
    assert overdue.entries[0]["verb"] == "supervise"
    assert [(to, w["cause"]) for to, w in overdue.warnings] == [("coordinator", "overdue"), (HOME, "overdue")]
    assert scene.case.supervised
    assert scene.desk.tick(case.claim_by + 1) == []
    assert [o.entries[0]["verb"] for o in scene.desk.tick(case.feedback_by)] == ["remind", "supervise"]
    assert scene.desk.tick(case.feedback_by + 400 * DAY) == []


def test_a_claimed_clue_is_not_reminded_to_be_claimed(scene: Scene) -> None:
    limit = scene.case.claim_by
    scene.do("claim")
    assert scene.desk.tick(limit) == []


def test_feedback_quiets_the_alarms(scene: Scene) -> None:
    scene.do("claim")
    scene.do("feedback", verdict="false-alarm", text="除霜")
    assert scene.desk.tick(MONDAY + 300 * DAY) == []


def test_one_extension_asked_for_in_time(scene: Scene) -> None:
    scene.do("claim")
    limit = scene.case.feedback_by
    assert scene.do("handle", note="等待检测报告", extend=True).refused is None
    assert scene.case.feedback_by == Workdays().deadline(limit - 1, 10)
    assert scene.do("handle", note="再等", extend=True).refused == "wrong-state"
    assert scene.desk.tick(limit) == []


def test_an_assist_that_is_not_answered_is_supervised(scene: Scene) -> None:
    scene.do("claim")
    scene.do("assist", to=[OTHER], text="t", by=scene.at + 2 * DAY)
    scene.do("feedback", verdict="confirmed", text="t")
    outcomes = scene.desk.tick(scene.at + 3 * DAY)
    assert [[(to, w["cause"]) for to, w in o.warnings] for o in outcomes] == [
        [(OTHER, "reminder")],
        [("coordinator", "overdue"), (OTHER, "overdue")],
    ]


def test_a_closed_clue_leaves_after_a_day_and_is_still_known_as_closed(scene: Scene) -> None:
    scene.do("claim")
    scene.do("feedback", verdict="confirmed", text="t")
    scene.do("close")
    scene.desk.tick(scene.at + DAY - 1)
    assert len(scene.desk) == 1
    scene.desk.tick(scene.at + DAY)
    assert len(scene.desk) == 0
    late = scene.do("claim", OTHER)
    assert (late.refused, late.answer["state"]) == ("clue-closed", "closed")
    assert json.loads(late.entries[0]["state"]) == {"clue_id": "c1", "state": "closed", "compact": True}
    assert scene.desk.clue(clue(), scene.at).entries == []


def test_alarms_that_no_longer_hold_do_not_pile_up() -> None:
    """Clues that come, are worked on and leave: the queue of alarms stays in proportion to the clues that are there."""
    desk = Desk(Workdays())
    for number in range(3000):
        at = MONDAY + number * 60_000
        desk.clue(clue(f"c{number}"), at)
        for verb, arguments in (("claim", {}), ("feedback", {"verdict": "unclear", "text": "t"}), ("close", {})):
            desk.command(
                {
                    "command_id": f"{number}{verb}",
                    "clue_id": f"c{number}",
                    "verb": verb,
                    "actor": "li",
                    "department": HOME,
                    "issued_at": at,
                    "arguments": json.dumps(arguments),
                },
                at,
            )
        desk.tick(at)
    assert len(desk) <= 1441
    assert len(desk._alarms) <= 1000 + 12 * 1442
