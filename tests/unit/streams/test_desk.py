"""The dispatch desk: who may do what to a clue, what they are told, what is written."""

import json

import pytest

from streams.desk import Workdays
from tests.unit.streams.desk_scene import DAY, HOME, MONDAY, OTHER, THIRD, Scene, clue
from topics.records import AUDIT, CLUE, CLUE_LOG, WARNING
from topics.wire import decode, encode


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_new_clue_goes_to_its_department_with_limits_by_severity() -> None:
    scene = Scene()
    entry, (department, warning) = scene.first.entries[0], scene.first.warnings[0]
    assert (entry["seq"], entry["verb"], entry["command_id"], entry["accepted"]) == (1, "dispatch", "", True)
    assert (department, warning["cause"]) == (HOME, "dispatch")
    assert warning["claim_by"] == Workdays().deadline(MONDAY, 1)
    assert warning["feedback_by"] == Workdays().deadline(MONDAY, 10)


def test_every_record_fits_its_schema(scene: Scene) -> None:
    """Entries, warnings and audit records survive the wire unchanged."""
    outcomes = [scene.first, scene.do("claim"), scene.do("claim", actor="wang"), *scene.desk.tick(MONDAY + 90 * DAY)]
    assert any(outcome.warnings for outcome in outcomes[1:])
    for outcome in outcomes:
        for schema, records in (
            (CLUE_LOG, outcome.entries),
            (WARNING, [w for _, w in outcome.warnings]),
            (AUDIT, outcome.audit),
        ):
            for record in records:
                assert decode(encode(schema, record))[1] == record


def test_the_state_in_the_log_is_the_whole_clue(scene: Scene) -> None:
    state = json.loads(scene.do("claim", note="马上去").entries[0]["state"])
    assert {field.name for field in CLUE.fields} <= state.keys()
    assert (state["state"], state["owner"], state["owner_department"]) == ("claimed", "li", HOME)
    assert [(past["seq"], past["verb"], past["note"]) for past in state["history"]] == [
        (1, "dispatch", ""),
        (2, "claim", "马上去"),
    ]


def test_a_repeated_clue_is_counted_and_writes_nothing(scene: Scene) -> None:
    again = scene.desk.clue(clue(severity="red"), MONDAY + 5)
    assert (again.entries, again.warnings, scene.desk.repeats, scene.case.severity) == ([], [], 1, "orange")


def test_a_clue_of_an_unknown_department_reaches_the_coordinator() -> None:
    first = Scene(department="no-such").first
    assert [to for to, _ in first.warnings] == ["coordinator"]


def test_one_claimer_wins_and_the_others_are_told_who(scene: Scene) -> None:
    won, lost = scene.do("claim", actor="li"), scene.do("claim", actor="wang")
    assert won.refused is None
    assert lost.refused == "already-claimed"
    assert (lost.answer["owner"], lost.answer["owner_department"]) == ("li", HOME)
    assert (lost.entries[0]["accepted"], lost.entries[0]["reason"], lost.entries[0]["seq"]) == (
        False,
        "already-claimed",
        2,
    )


def test_only_the_department_that_was_addressed_claims(scene: Scene) -> None:
    assert scene.do("claim", OTHER).refused == "not-addressed"
    assert scene.case.owner is None


def test_nothing_is_done_to_a_clue_before_it_is_claimed(scene: Scene) -> None:
    for verb, arguments in (
        ("handle", {"note": "n"}),
        ("feedback", {"verdict": "confirmed", "text": "t"}),
        ("transfer", {"to": OTHER, "reason": "r"}),
        ("assist", {"to": [OTHER], "text": "t"}),
        ("close", {}),
    ):
        assert scene.do(verb, **arguments).refused == "not-claimed"
    assert scene.case.seq == 1


def test_a_colleague_of_the_owner_may_go_on_but_no_other_department(scene: Scene) -> None:
    scene.do("claim")
    assert scene.do("handle", OTHER, note="n").refused == "not-owner"
    assert scene.do("handle", actor="colleague", note="n").refused is None
    assert (scene.case.state, scene.case.owner) == ("handling", "li")


def test_from_claim_to_close(scene: Scene) -> None:
    scene.do("claim")
    scene.do("handle", note="现场检查")
    assert scene.do("close").refused == "wrong-state"
    scene.do("feedback", verdict="unclear", text="待检测")
    scene.do("feedback", verdict="confirmed", text="制冷机故障", evidence=[{"sha256": "ab"}])
    assert scene.do("handle", note="n").refused == "wrong-state"
    assert scene.do("close", note="已整改").refused is None
    case = scene.case
    assert (case.state, case.verdict, case.feedback_evidence) == ("closed", "confirmed", ({"sha256": "ab"},))
    assert case.fed_back_at < case.closed_at
    assert scene.do("claim").refused == "clue-closed"


def test_the_first_return_goes_where_it_is_suggested_and_the_second_to_the_coordinator(scene: Scene) -> None:
    first = scene.do("return", reason="不属本单位职责", suggested=OTHER)
    assert [(to, w["cause"]) for to, w in first.warnings] == [(OTHER, "return")]
    assert (scene.case.department, scene.case.owner) == (OTHER, None)
    second = scene.do("return", OTHER, reason="也不是我们", suggested=THIRD)
    assert [(to, w["cause"]) for to, w in second.warnings] == [("coordinator", "return")]
    assert scene.do("transfer", "coordinator", to=THIRD, reason="指定办理").refused is None
    assert scene.do("return", THIRD, reason="r", suggested=HOME).refused == "wrong-state"


def test_a_return_needs_the_assigned_department_a_reason_and_time_left(scene: Scene) -> None:
    assert scene.do("return", OTHER, reason="r", suggested=THIRD).refused == "not-addressed"
    assert scene.do("return", reason="", suggested=THIRD).refused == "bad-command"
    assert scene.do("return", reason="r", suggested=HOME).refused == "bad-command"
    limit = scene.case.claim_by
    scene.at = limit - 1000
    assert scene.do("return", reason="r", suggested=THIRD).refused == "wrong-state"
    assert scene.at == limit
    scene.at = limit - 1001
    assert scene.do("return", reason="r", suggested=THIRD).refused is None


def test_a_transfer_frees_the_clue_and_starts_new_limits(scene: Scene) -> None:
    scene.do("claim")
    scene.at += 3 * DAY
    sent = scene.do("transfer", to=OTHER, reason="管辖在消防")
    assert (scene.case.owner, scene.case.state, scene.case.department) == (None, "dispatched", OTHER)
    assert scene.case.claim_by == Workdays().deadline(scene.at, 1)
    assert [(to, w["cause"]) for to, w in sent.warnings] == [(OTHER, "transfer")]
    assert scene.do("claim", OTHER, actor="zhao").refused is None


def test_assist_asks_copies_and_is_answered_once(scene: Scene) -> None:
    scene.do("claim")
    asked = scene.do("assist", to=[OTHER], text="请查消防记录", copies=[THIRD])
    assert [(to, w["cause"]) for to, w in asked.warnings] == [(OTHER, "assist"), (THIRD, "copy")]
    assert scene.do("assist", to=[OTHER], text="再问").refused == "wrong-state"
    assert scene.do("assist", THIRD, reply="抄告无需答复").refused == "not-addressed"
    assert scene.do("assist", OTHER, actor="zhao", reply="无记录").refused is None
    assert scene.do("assist", OTHER, reply="again").refused == "not-addressed"
    assert scene.case.assists[0].replied_by == "zhao"
    assert scene.case.owner == "li"


def test_history_is_bounded_and_keeps_the_dispatch(scene: Scene) -> None:
    scene.do("claim")
    for number in range(100):
        scene.do("handle", note=f"{number}")
    history = scene.case.history
    assert (len(history), history[0].verb, history[-1].note, scene.case.seq) == (48, "dispatch", "99", 102)
