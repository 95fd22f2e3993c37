"""Rule hygiene: what a back-test of all rules says of each."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.archive.table import Record
from fengsui.cli import main
from tests.unit.fengsui.test_backtest import archive, fed, run, write
from tests.unit.rules.build import T0, event, rule

SUBJECTS = 40
QUIET = "{quiet: 1s}"
RULES = {
    "rule-warm": {"when": '"value > 10"', "severity": "orange"},
    "rule-warm-too": {"when": '"value > 10.5"', "severity": "orange"},  # on the same events
    "rule-hot": {"when": '"value > 30"', "severity": "yellow"},  # said by both already, and graver
    "rule-red-hot": {"when": '"value > 30"', "severity": "red"},  # of the same events, but graver than they
    "rule-everybody": {"when": '"value > 0"', "severity": "blue"},
    "rule-nobody": {"when": '"value > 1000"', "severity": "red"},
    "rule-elsewhere": {"when": '"value > 10"', "severity": "red", "sector": "fire"},
}


def house(root: Path, folder: Path) -> None:
    """Forty subjects with a reading each; a quarter are warm, some of them hot; most of what was told of the warm was wrong."""
    values = [40.0 if i % 8 == 0 else 20.0 if i % 2 == 0 else 4.0 for i in range(SUBJECTS)]
    codes = ["01234567890123", "98765432109876"]
    events = [event(i, subject=f"site:{i}", value=v, item_code=codes[i % 2]) for i, v in enumerate(values)]
    archive(root, events)
    folder.mkdir()
    for name, given in RULES.items():
        one = rule(id=name, episode=QUIET, **given)
        (folder / f"{name}.yaml").write_text(one.text, "utf-8")
    warm = run(root, rule(id="rule-warm", episode=QUIET, **RULES["rule-warm"])).clues.to_dicts()
    told = [fed(clue, "confirmed" if i < 5 else "false-alarm") for i, clue in enumerate(warm)]
    write(root, {("clue-log", 0): [Record(i, T0 + i, b"", value) for i, value in enumerate(told)]})


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> dict[str, Any]:
    """The JSON object that the command ends with."""
    main(["rules", "health", *tokens, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_what_is_wrong_with_each_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never, always, twice, covered by a graver one, mostly wrong."""
    root, folder = tmp_path / "archive", tmp_path / "rules"
    house(root, folder)
    found = said(capsys, str(folder), "--archive", str(root))
    problems = {(one["rule"], one["finding"], one["other"]) for one in found["problems"]}
    assert ("rule-nobody", "never", "") in problems
    assert ("rule-everybody", "always", "") in problems
    assert ("rule-warm-too", "duplicate", "rule-warm") in problems
    assert ("rule-warm", "imprecise", "") in problems
    assert not {
        one for one in problems if one[0] == "rule-elsewhere" and one[1] == "always"
    }  # nobody of that sector was seen
    assert not {one for one in problems if one[0] == "rule-red-hot"}
    assert not {one for one in problems if one[0] == "rule-everybody" and one[1] == "dominated"}
    sectors = {one["name"]: one for one in found["sectors"]}
    assert len(sectors) == 13
    assert sectors["food-drug"] == {
        "name": "food-drug",
        "rules": 6,
        "events": SUBJECTS,
        "subjects": SUBJECTS,
        "clues": 90,
    }
    assert sectors["fire"]["rules"] == 1
    items = {one["name"]: one for one in found["items"]}
    assert (items["01234567890123"]["events"], items["01234567890123"]["clues"]) == (SUBJECTS // 2, 20)
    main(["rules", "health", str(folder), "--archive", str(root)])
    assert "查准率过低 mostly false alarms 25%" in capsys.readouterr().out
    assert not {p["finding"] for p in said(capsys, str(folder), "--archive", str(root), "--bar", "0.1")["problems"]} & {
        "imprecise"
    }


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 2."""
    (tmp_path / "none").mkdir()
    for wrong in (["--bar", "2"], [str(tmp_path / "none")]):
        with pytest.raises(SystemExit) as leaving:
            main(["rules", "health", *wrong, "--archive", str(tmp_path)])
        assert leaving.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
