"""The versions of a published rule: what each changed, how long it stood, how its clues fared; withdrawals among them."""

import json
from pathlib import Path

import pytest

from connectors.archive.table import Record
from fengsui.backtest import backtest
from fengsui.cli import main
from rules.selftest import LATENESS
from tests.unit.fengsui.test_backtest import archive, fed, write
from tests.unit.fengsui.test_beside import published
from tests.unit.rules.build import HOUR, MINUTE, T0, event, rule
from topics.records import CLUE
from topics.wire import encode

LOOSE = rule(id="test-one", when='"value > 8"', episode="{quiet: 10m}")
STRICT = rule(id="test-one", when='"value > 10"', episode="{quiet: 10m}")


def lived(root: Path) -> None:
    """Loose for three hours, published twice; then strict; withdrawn after six. An episode an hour, one not heard."""
    values = [9.0, 12.0, 9.0, 12.0, 12.0]
    archive(root, [event(i * 60, value=v) for i, v in enumerate(values)])
    stood = [published(0, T0 - HOUR, LOOSE), published(1, T0 - MINUTE, LOOSE), published(2, T0 + 150 * MINUTE, STRICT)]
    write(root, {("rules", 0): [*stood, Record(3, T0 + 6 * HOUR, b"test-one", None)]})
    rows: list[Record] = []
    log: list[Record] = []
    for one, hours in ((LOOSE, (0, 1, 2)), (STRICT, (3, 4))):
        for clue in backtest([one], root, lateness=LATENESS, threads=1).clues.to_dicts():
            hour = (clue["occurred_at"] - T0) // HOUR
            if hour in hours:
                rows.append(
                    Record(len(rows), clue["raised_at"], b"", encode(CLUE, clue | {"origin_version": one.version}))
                )
                if hour != 3:
                    verdict = "confirmed" if values[hour] > 10 else "false-alarm"
                    log.append(Record(len(log), T0 + 7 * HOUR, b"", fed(clue, verdict)))
    write(root, {("clues", 0): rows, ("clue-log", 0): log})


def test_versions_and_how_they_fared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text again is no new version; precision is that of the version's own clues."""
    lived(tmp_path)
    main(["rules", "history", "test-one", "--archive", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["versions"]
    told = [(v["status"], v["clues"], v["confirmed"], v["false_alarms"], v["precision"]) for v in found]
    assert told == [
        ("live", 3, 1, 2, pytest.approx(1 / 3)),
        ("live", 2, 1, 0, 1.0),
        ("withdrawn", 0, 0, 0, None),
    ]  # fmt: skip
    assert [v["version"] for v in found] == [LOOSE.version, STRICT.version, ""]
    assert [(v["since"] - T0) // MINUTE for v in found] == [-60, 150, 360]
    assert found[0]["until"] == found[1]["since"]
    assert [(c["said"], c["effect"]) for c in found[1]["changes"]] == [("value > 8 → value > 10", "less")]
    main(["rules", "history", "test-one", "--archive", str(tmp_path)])
    out = capsys.readouterr().out
    assert "触发减少 fires less" in out
    assert "查准率 precision 33.3%" in out


def test_a_rule_that_was_never_published_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 2."""
    lived(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "history", "test-two", "--archive", str(tmp_path)])
    assert leaving.value.code == 2
    assert "no published rule 'test-two'" in capsys.readouterr().err
