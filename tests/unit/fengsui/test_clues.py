"""`fengsui clues` without services: what a shell's words become, and what is shown."""

import json
from pathlib import Path

import msgspec
import pytest

from fengsui.cli import clues_desk as desk
from fengsui.cli import clues_text as text
from fengsui.cli.common import Wrong
from streams.desk import arguments_of, parse_command
from tests.unit.streams.desk_scene import HOME, OTHER, Scene
from topics.reasons import REASONS

ROW = {
    "title": "无证经营",
    "sector": "market",
    "severity": "blue",
    "department": OTHER,
    "subject": "site:s1",
    "explanation": "巡查发现",
}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROW, indent=1),
        json.dumps([ROW, ROW]),
        json.dumps(ROW) + "\n" + json.dumps(ROW) + "\n",
    ],
)
def test_a_file_holds_one_object_a_list_or_one_a_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "clues.json"
    file.write_text(content, "utf-8")
    assert set(map(msgspec.json.encode, desk.rows_of(file))) == {msgspec.json.encode(ROW)}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_file_that_holds_no_clues_is_wrong_use(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "clues.json"
    file.write_bytes(content)
    with pytest.raises(Wrong):
        desk.post([desk.raised(row, "li", HOME) for row in desk.rows_of(file)], 1, json=False)


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match=r"none\.json"):
        desk.rows_of(tmp_path / "none.json")


def test_the_same_row_raises_the_same_clue_and_another_row_another() -> None:
    """So a file that is sent twice raises its clues once."""
    first, again = desk.raised(ROW, "li", HOME), desk.raised(dict(reversed(ROW.items())), "li", HOME)
    other = desk.raised(ROW | {"title": "另一件"}, "li", HOME)
    assert (first["clue_id"], first["command_id"]) == (again["clue_id"], again["command_id"])
    assert {first["clue_id"], first["command_id"]}.isdisjoint({other["clue_id"], other["command_id"]})
    arguments_of(parse_command(first))
    assert desk.raised(ROW | {"clue_id": "mine"}, "li", HOME)["clue_id"] == "mine"


def test_a_date_is_its_end_and_a_time_needs_its_zone() -> None:
    assert desk.end_of("2026-10-19", "Asia/Shanghai") == desk.end_of("2026-10-20T00:00:00+08:00", "Asia/Shanghai")
    for wrong in ("2026-02-30", "tomorrow", "2026-10-20T00:00:00"):
        with pytest.raises(Wrong, match="--by"):
            desk.end_of(wrong, "Asia/Shanghai")


def test_every_reason_has_a_line_chinese_first() -> None:
    for code, reason in REASONS.items():
        line = text.answered({"clue_id": "c", "verb": "claim", "accepted": False, "reason": code, "owner": None})
        assert line.index(reason.zh) < line.index(reason.en)


def test_a_person_is_shown_to_the_department_in_charge_alone() -> None:
    scene = Scene(subject="person:11010519491231002X", subject_name="张小明", explanation="张小明多次违规")
    scene.do("claim", note="联系张小明")
    state = json.loads(scene.case.json())
    assert desk.seen(state, HOME) == state
    for department in (None, OTHER):
        shown = json.dumps(desk.seen(state, department), ensure_ascii=False)
        assert "小明" not in shown
        assert "11010519491231002X" not in shown


def test_every_state_can_be_shown() -> None:
    """List and sheet of a clue through its whole life."""
    scene = Scene()
    scene.desk.tick(scene.case.feedback_by)
    for verb, given in (
        ("claim", {}),
        ("handle", {"note": "n"}),
        ("feedback", {"verdict": "unclear", "text": "t"}),
        ("close", {}),
    ):
        state = json.loads(scene.case.json())
        assert text.table_of([state], "Asia/Shanghai").row_count == 1
        assert text.sheet_of(state, "Asia/Shanghai").row_count > len(state["history"])
        scene.do(verb, **given)
