"""Personal data stays with the department in charge."""

import json

from streams.desk import Desk, Workdays, mask_person
from tests.unit.streams.desk_scene import HOME, MONDAY, OTHER, Scene, clue

PERSON = "11010519491231002X"


def personal() -> dict[str, str]:
    return {
        "subject": f"person:{PERSON}",
        "subject_name": "张小明",
        "key": f"person:{PERSON}",
        "explanation": f"张小明({PERSON},电话 13812345678)多次违规",
        "values": json.dumps({"person": f"person:{PERSON}", "complainant": "李四", "n": 3}),
        "evidence": json.dumps([{"event_id": f"e-{PERSON}"}]),
    }


def test_the_department_in_charge_sees_the_person_and_others_do_not() -> None:
    scene = Scene(**personal())
    assert scene.first.warnings[0][1]["subject"] == f"person:{PERSON}"
    scene.do("claim")
    asked = scene.do("assist", to=[OTHER], text="t")
    text = json.dumps(asked.warnings[0][1], ensure_ascii=False)
    for secret in (PERSON, "小明", "13812345678", "李四"):
        assert secret not in text
    assert "张**" in text


def test_a_transfer_tells_the_new_department_in_charge() -> None:
    scene = Scene(**personal())
    scene.do("claim")
    (to, warning) = scene.do("transfer", to=OTHER, reason="r").warnings[0]
    assert (to, warning["subject"]) == (OTHER, f"person:{PERSON}")


def test_supervision_does_not_spread_the_person() -> None:
    desk = Desk(Workdays())
    desk.clue(clue(**personal()), MONDAY)
    warnings = [(to, w) for outcome in desk.tick(MONDAY + 3 * 86_400_000) for to, w in outcome.warnings]
    assert {to for to, _ in warnings} == {HOME, "coordinator"}
    assert all((PERSON in json.dumps(w)) == (to == HOME) for to, w in warnings)


def test_what_is_not_personal_stays() -> None:
    """Credit codes (even of digits alone), times and figures are left alone."""
    record = clue(explanation="91350100M000100Y43 与 911101081019711234 于 1792375200000 超标 3.13812345678")
    assert mask_person(record) == record


def test_the_field_person_goes() -> None:
    assert mask_person({"person": f"person:{PERSON}", "title": f"涉及 {PERSON}"}) == {
        "title": "涉及 1101**********002X"
    }
