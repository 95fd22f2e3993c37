"""A shadow rule beside the live one: which clues both raised, which only one, and how each fares by what departments said."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.archive.table import Record
from fengsui.backtest import backtest
from fengsui.cli import main
from rules import Rule
from rules.selftest import LATENESS
from tests.unit.fengsui.test_backtest import archive, fed, write
from tests.unit.rules.build import DAY, HOUR, MINUTE, T0, event, rule
from topics.records import CLUE, RULE
from topics.wire import encode

LIVE = rule(id="live-one", when='"value > 8"', episode="{quiet: 10m}")
SHADOW = rule(id="shadow-one", status="shadow", when='"value > 10 OR value < 0"', episode="{quiet: 30m}")
# An episode an hour: what is read in its two minutes, and what the department said of the live rule's clue.
EPISODES = [
    (9.0, 9.5, "false-alarm"),  # only live
    (9.0, 12.0, "confirmed"),  # both: the shadow rule a minute later
    (-5.0, -5.0, None),  # only shadow
    (12.0, 12.0, "confirmed"),  # both
    (9.0, 9.0, "confirmed"),  # only live: what the shadow rule would miss
    (9.0, 9.0, None),  # only live, nobody said
]


def published(number: int, at: int, one: Rule) -> Record:
    """A record of the rules topic."""
    said = {"rule_id": one.id, "version": one.version, "text": one.text, "actor": "a", "published_at": at}
    return Record(number, at, one.id.encode(), encode(RULE, said))


def traffic(root: Path) -> None:
    """What both raised on the same events; the shadow rule was published an hour after the live one, at the start of all this."""
    archive(
        root, [event(i * 60 + j, value=v[j]) for i, v in enumerate(EPISODES) for j in (0, 1)] + [event(400, value=0.0)]
    )
    before = rule(id="shadow-one", status="shadow", when='"value > 99"')
    stood = [published(0, T0 - DAY, LIVE), published(1, T0 - HOUR, before), published(2, T0 - MINUTE, SHADOW)]
    write(root, {("rules", 0): stood})
    for one, topic in ((LIVE, "clues"), (SHADOW, "shadow-clues")):
        raised = backtest([one], root, lateness=LATENESS, threads=1).clues.to_dicts()
        raised = [clue | {"origin_version": one.version} for clue in raised]
        old = [clue | {"clue_id": "old", "origin_version": "000000000000"} for clue in raised[:1]]
        rows = [Record(i, clue["raised_at"], b"", encode(CLUE, clue)) for i, clue in enumerate([*old, *raised])]
        write(root, {(topic, 0): rows})
        if topic == "clues":
            told = [verdict for _, _, verdict in EPISODES if verdict is not None]
            heard = [clue for clue in raised if EPISODES[(clue["occurred_at"] - T0) // HOUR][2] is not None]
            log = [Record(i, T0 + DAY, b"", fed(c, v)) for i, (c, v) in enumerate(zip(heard, told, strict=True))]
            write(root, {("clue-log", 0): log})


def compared(capsys: pytest.CaptureFixture[str], root: Path, *tokens: str) -> dict[str, Any]:
    """The JSON object of the command."""
    main(["rules", "compare", "shadow-one", "live-one", "--archive", str(root), *tokens, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_both_and_only_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clue by clue, with labels: the shadow rule is never wrong where anybody said, misses one, and finds one more."""
    traffic(tmp_path)
    found = compared(capsys, tmp_path)
    mine, live = found["candidate"], found["live"]
    assert found["both"] == 2
    assert (mine["clues"], mine["confirmed"], mine["false_alarms"], mine["unknown"]) == (3, 2, 0, 1)
    assert (live["clues"], live["confirmed"], live["false_alarms"], live["unknown"]) == (5, 3, 1, 1)
    assert (mine["precision"], mine["recall"]) == (1.0, pytest.approx(2 / 3))
    assert (live["precision"], live["recall"]) == (pytest.approx(3 / 4), 1.0)
    assert (mine["alone"]["clues"], live["alone"]["clues"]) == (1, 3)
    assert {name: live["alone"][name] for name in ("confirmed", "false-alarm", "unknown")} == {
        "confirmed": 1,
        "false-alarm": 1,
        "unknown": 1,
    }
    assert found["minutes_saved"] > 0
    main(["rules", "compare", "shadow-one", "live-one", "--archive", str(tmp_path)])
    out = capsys.readouterr().out
    assert "+ 只有影子 only the shadow: 1" in out
    assert "- 只有正式 only the live one: 3" in out


def test_it_is_about_the_time_in_which_both_stood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From when the younger version was published, or from the day that is asked for."""
    traffic(tmp_path)
    assert compared(capsys, tmp_path)["since"] == T0 - MINUTE
    part = compared(capsys, tmp_path, "--from", "2026-01-05", "--to", "2026-01-06")
    assert part["since"] == T0
    write(tmp_path, {("rules", 0): [published(7, T0 + 90 * MINUTE, rule(id="live-one", when='"value > 7"'))]})
    later = compared(capsys, tmp_path)
    assert (later["since"], later["live"]["clues"], later["candidate"]["clues"]) == (T0 + 90 * MINUTE, 0, 2)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (("nothing", "live-one"), "no published rule 'nothing'"),
        (("live-one", "shadow-one"), "live-one is live, not shadow"),
        (("shadow-one", "live-one", "--from", "2026-02-01"), "nothing to compare yet"),
    ],
)
def test_wrong_use_is_one_line(
    tokens: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    traffic(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "compare", *tokens, "--archive", str(tmp_path)])
    assert leaving.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
