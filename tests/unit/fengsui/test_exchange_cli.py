"""`fengsui exchange` from a shell, without a broker: dry runs, what is printed, keys, wrong use."""

import json
import stat
from pathlib import Path

import pytest

from fengsui.cli import main
from fengsui.cli.exchange import _person_key
from fengsui.settings import load
from tests.unit.connectors.exchange.tables import GOOD, House, rows_of


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A folder to be in, with an empty data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FENGSUI_DATA_DIR", str(tmp_path / "data"))
    return House(tmp_path)


def run(*words: str) -> None:
    main(["exchange", *words])


def test_a_dry_run_in_json(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with counts by rule, the report's place, and columns that were not understood."""
    rows = rows_of("penalty", 5)
    rows[1]["CF_JDRQ"] = "soon"
    run("penalty", str(house.csv([row | {"x": "y"} for row in rows])), "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["read"], found["sent"], found["refused"]) == (5, 4, {"bad-time": 1})
    assert (found["unknown_columns"], found["dry_run"], found["finished_before"]) == (["x"], True, False)
    assert Path(found["report"]).read_text("utf-8-sig").count("bad-time") == 1


def test_what_people_read(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Chinese first, then English, then each rule with its count."""
    run(
        "inspection",
        str(house.csv([GOOD["inspection"] | {"check_personnel": "李四"}])),
        "--dry-run",
        "--report",
        "r.csv",
    )
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == "行政检查记录：读取 1 行，可发送 1，跳过 0，拒绝 0；报告 r.csv"
    assert second == "read 1, to be sent 1, skipped 0, refused 0; report r.csv"
    assert any("few-officers: 1  检查人员少于 2 人" in line for line in rest)


def test_a_database_out_of_the_environment(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`env:NAME` keeps a password out of the list of processes."""
    import sqlite3

    base = sqlite3.connect(house.folder / "d.db")
    base.execute("CREATE TABLE gd (工单编号, 被诉对象, 受理时间, 承办单位)")
    base.execute("INSERT INTO gd VALUES ('1', '某饭店', '2026-03-01', '某区市场监督管理局')")
    base.commit()
    base.close()
    monkeypatch.setenv("THE_BASE", f"sqlite:///{house.folder / 'd.db'}")
    run("hotline", "env:THE_BASE", "--table", "gd", "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["sent"], found["report"]) == (1, "database-gd.hotline.dry-run.report.csv")


def test_the_key_is_made_once(house: House) -> None:
    """Nobody else may read it; it stays; a setting goes before it."""
    settings = load()
    first = _person_key(settings)
    assert (len(first), _person_key(settings)) == (32, first)
    (path,) = (house.folder / "data").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_from_the_settings(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same on every machine that has it."""
    monkeypatch.setenv("FENGSUI_PERSON_KEY", "0123456789abcdef")
    assert _person_key(load()) == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("gossip", "x.csv"), 2, "no such form"),
        (("penalty", "x.csv", "--sector", "alchemy"), 2, "no such sector"),
        (("penalty", "x.csv", "--dry-run"), 2, "x.csv"),
        (("penalty", "t.csv", "--table", "t", "--dry-run"), 2, "--table"),
        (("penalty", "t.csv"), 2, "fengsui up"),
        (("penalty", "sqlite:///x.db", "--dry-run"), 2, "--query"),
        (("penalty", "bad.csv", "--dry-run"), 1, "every row"),
    ],
)
def test_wrong_use_is_one_line(
    house: House, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, says: str
) -> None:
    """What a person gets wrong is told in one line, never as a traceback."""
    house.csv([GOOD["penalty"]])
    house.csv([GOOD["penalty"] | {"CF_JDRQ": None}], "bad.csv")
    with pytest.raises(SystemExit) as raised:
        run(*words)
    error = capsys.readouterr().err
    assert raised.value.code == code
    assert says in error
    assert error.count("\n") == 1


def test_a_weak_key_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that can be guessed protects nobody."""
    monkeypatch.setenv("FENGSUI_PERSON_KEY", "secret")
    with pytest.raises(SystemExit):
        run("penalty", str(house.csv([GOOD["penalty"]])), "--dry-run")
    assert "at least 16" in capsys.readouterr().err
