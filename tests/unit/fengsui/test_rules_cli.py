"""`fengsui rules` without a broker: what it prints and how it exits."""

import json
from pathlib import Path

import pytest

from fengsui.cli import main
from tests.unit.rules.test_load import GOOD


def run(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = 0
    try:
        main(["rules", *tokens])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """One good rule file."""
    path = tmp_path / "food-cold-store-warm.yaml"
    path.write_text(GOOD, "utf-8")
    return path


def test_check_says_where_it_is_wrong(capsys: pytest.CaptureFixture[str], good: Path) -> None:
    """A good file passes with 0; a broken one is named with line and column and exits 1, one line on stderr."""
    assert run(capsys, "check", str(good))[0] == 0
    good.write_text(GOOD.replace("> 8", "> 'x'"), "utf-8")
    code, out, err = run(capsys, "check", str(good))
    assert code == 1
    assert f"{good}:9:" in out
    assert len(err.splitlines()) == 1
    code, out, _ = run(capsys, "check", str(good), "--json")
    assert json.loads(out.splitlines()[-1])["errors"][0]["line"] == 9


def test_check_wants_both_kinds_of_test(capsys: pytest.CaptureFixture[str], good: Path) -> None:
    """A rule without a quiet test is refused, unless it is a draft."""
    text = GOOD[: GOOD.index("  - name: one opened")]
    good.write_text(text, "utf-8")
    assert run(capsys, "check", str(good))[0] == 1
    good.write_text(text.replace("status: live", "status: draft"), "utf-8")
    assert run(capsys, "check", str(good))[0] == 0


def test_test_counts(capsys: pytest.CaptureFixture[str], good: Path) -> None:
    """`test --json` ends with the contract's keys; a failing test exits 1 and says what came instead."""
    code, out, _ = run(capsys, "test", str(good), "--json")
    said = json.loads(out.splitlines()[-1])
    assert code == 0
    assert {k: said[k] for k in ("rules", "sectors", "passed", "failed")} == {
        "rules": 1,
        "sectors": 1,
        "passed": 2,
        "failed": 0,
    }
    assert said["seconds"] > 0
    good.write_text(GOOD.replace("at: 4m", "at: 5m"), "utf-8")
    code, out, err = run(capsys, "test", str(good))
    assert code == 1
    assert "expected orange at 5m, got orange at 4m" in out
    assert err


def test_list_and_show(capsys: pytest.CaptureFixture[str], good: Path) -> None:
    """The rules of a folder, and one of them by id or by file."""
    code, out, _ = run(capsys, "list", str(good.parent), "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["rules"]] == ["food-cold-store-warm"]
    by_id = run(capsys, "show", "food-cold-store-warm", str(good.parent))
    assert by_id[0] == 0
    assert by_id == run(capsys, "show", str(good))
    assert "冷藏库温度持续超标" in by_id[1]
    assert json.loads(run(capsys, "show", str(good), "--json")[1])["episode"]["quiet"] == 7_200_000


@pytest.mark.parametrize(
    "tokens",
    [
        ("check", "/nowhere"),
        ("test", "{folder}"),
        ("show", "nobody-has-this", "{good}"),
        ("list", "{broken}"),
        ("publish", "{broken}"),
        ("diff", "{good}"),
        ("frobnicate",),
    ],
)
def test_wrong_use_exits_two(
    tokens: tuple[str, ...], capsys: pytest.CaptureFixture[str], good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input and wrong use: exit code 2, one line on stderr, no traceback."""
    monkeypatch.setenv("FENGSUI_DATA_DIR", str(good.parent / "data"))
    folder = good.parent / "empty"
    folder.mkdir()
    broken = good.parent / "broken.txt"
    broken.write_text("id: [", "utf-8")
    names = {"folder": folder, "broken": broken, "good": good}
    code, _, err = run(capsys, *(token.format(**names) for token in tokens))
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_a_lock_shows_what_changed_and_check_refuses_what_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a lock file nothing is asked; with one, a changed meaning must be locked before it passes."""
    path = tmp_path / "food-cold-store-warm.yaml"
    path.write_text(GOOD, "utf-8")
    main(["rules", "check", str(tmp_path)])
    main(["rules", "lock", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["changed"] == {"food-cold-store-warm": 1}
    path.write_text(GOOD + "# a comment\n", "utf-8")
    main(["rules", "check", str(tmp_path)])
    path.write_text(GOOD.replace("avg_10m > 8", "avg_10m > 7"), "utf-8")
    capsys.readouterr()
    for command in ("check", "publish"):
        with pytest.raises(SystemExit) as leaving:
            main(["rules", command, str(tmp_path)])
        assert leaving.value.code == 1
        told = capsys.readouterr()
        assert "food-cold-store-warm means something else than in rules.lock" in told.out + told.err
    main(["rules", "lock", str(tmp_path)])
    assert "第 2 版" in capsys.readouterr().out
    main(["rules", "check", str(tmp_path)])
    (tmp_path / "rules.lock").write_text("<<<<<<< HEAD", "utf-8")
    with pytest.raises(SystemExit) as broken:
        main(["rules", "check", str(tmp_path)])
    assert broken.value.code == 2


def test_diff_against_a_file_says_what_changes(capsys: pytest.CaptureFixture[str], good: Path, tmp_path: Path) -> None:
    """Two files are compared without an engine: what is another, from what to what, and whether more or less fires."""
    other = tmp_path / "before" / good.name
    other.parent.mkdir()
    other.write_text(GOOD.replace("avg_10m > 8", "avg_10m > 10").replace("quiet: 2h", "quiet: 3h"), "utf-8")
    code, out, _ = run(capsys, "diff", str(good), "--against", str(other))
    assert code == 0
    assert "触发增多 fires more" in out
    assert "条件 when: avg_10m > 10 → avg_10m > 8" in out
    assert "静默 quiet: 3h → 2h" in out
    said = json.loads(run(capsys, "diff", str(good), "--against", str(other), "--json")[1].splitlines()[-1])
    assert said["meaning"]["food-cold-store-warm"]["effect"] == "more"
    assert set(said["changed"]["food-cold-store-warm"]) == {"when", "episode"}
    code, out, _ = run(capsys, "diff", str(good), "--against", str(good))
    assert out.splitlines() == ["0 新增 new, 0 变更 changed, 0 此处没有 not here"]
