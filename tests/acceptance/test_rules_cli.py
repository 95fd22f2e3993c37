"""`fengsui rules publish`, `diff` and `withdraw`, and `fengsui lists`, against a real broker."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from fengsui.cli import main
from fengsui.settings import Settings
from tests.unit.rules.test_load import GOOD
from topics.catalogue import topic

pytestmark = pytest.mark.broker


@pytest.fixture
def connected(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find this test's own rules topic through the environment."""
    monkeypatch.setenv("FENGSUI_KAFKA", settings.kafka)
    monkeypatch.setenv("FENGSUI_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("FENGSUI_DATA_DIR", str(settings.data_dir))
    made = [NewTopic(settings.topic_prefix + name, 1, 1, config=topic(name).config) for name in ("rules", "lists")]
    admin = AdminClient({"bootstrap.servers": settings.kafka})  # it must outlive its futures
    for future in admin.create_topics(made).values():
        future.result(30)


def said(capsys: pytest.CaptureFixture[str], *tokens: str, group: str = "rules") -> dict[str, Any]:
    """The JSON object that a command ends with."""
    main([group, *tokens, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.mark.usefixtures("connected")
def test_publish_then_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new rule is added; published, it differs no more; a new threshold shows as a change of `when`; a comment does not."""
    path = tmp_path / "food-cold-store-warm.yaml"
    path.write_text(GOOD, "utf-8")
    assert said(capsys, "diff", str(path))["added"] == ["food-cold-store-warm"]
    assert said(capsys, "publish", str(path), "--actor", "analyst", "--wait", "0")["published"] == 1
    assert said(capsys, "diff", str(path)) == {"added": [], "absent": [], "changed": {}, "meaning": {}}
    path.write_text(GOOD + "# only a comment\n", "utf-8")
    assert said(capsys, "diff", str(path))["changed"] == {}
    path.write_text(GOOD.replace("avg_10m > 8", "avg_10m > 7"), "utf-8")
    told = said(capsys, "diff", str(path))
    assert list(told["changed"]["food-cold-store-warm"]) == ["when"]
    assert told["meaning"]["food-cold-store-warm"]["effect"] == "more"
    said(capsys, "publish", str(path), "--wait", "0")
    assert said(capsys, "diff", str(path))["changed"] == {}


@pytest.mark.usefixtures("connected")
def test_a_rule_whose_tests_fail_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Publishing runs the tests first: a failing one exits 1 and writes nothing."""
    path = tmp_path / "food-cold-store-warm.yaml"
    path.write_text(GOOD.replace("at: 4m", "at: 5m"), "utf-8")
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "publish", str(path)])
    assert leaving.value.code == 1
    capsys.readouterr()
    assert said(capsys, "diff", str(path))["added"] == ["food-cold-store-warm"]


FILTER = """\
id: opened-for-repair
rules: [food-cold-store-warm]
where: "region = '320102'"
until: 2027-01-01
reason: 检修
owner: 张三
"""


@pytest.mark.usefixtures("connected")
def test_filters_go_along_with_rules_and_can_be_withdrawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They lie in a folder of their own; a filter of a rule that is not there is refused by `check`."""
    (tmp_path / "food-cold-store-warm.yaml").write_text(GOOD, "utf-8")
    path = tmp_path / "filters" / "opened-for-repair.yaml"
    path.parent.mkdir()
    path.write_text(FILTER, "utf-8")
    assert said(capsys, "check", str(tmp_path))["filters"] == 1
    assert said(capsys, "publish", str(tmp_path), "--wait", "0")["published"] == 2
    assert said(capsys, "diff", str(tmp_path)) == {"added": [], "absent": [], "changed": {}, "meaning": {}}
    path.write_text(FILTER.replace("320102", "320104"), "utf-8")
    assert list(said(capsys, "diff", str(tmp_path))["changed"]["filter:opened-for-repair"]) == ["where"]
    said(capsys, "withdraw", "filter:opened-for-repair", "--wait", "0")
    assert said(capsys, "diff", str(tmp_path))["added"] == ["filter:opened-for-repair"]
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "withdraw", "food-cold-store-warn"])
    assert leaving.value.code == 2
    assert "did you mean 'food-cold-store-warm'?" in capsys.readouterr().err
    path.write_text(FILTER.replace("store-warm", "store-war"), "utf-8")
    with pytest.raises(SystemExit) as failing:
        main(["rules", "check", str(tmp_path)])
    assert failing.value.code == 1
    assert "no rule 'food-cold-store-war'" in capsys.readouterr().out


@pytest.mark.usefixtures("connected")
def test_lists_are_filled_looked_at_and_emptied(capsys: pytest.CaptureFixture[str]) -> None:
    """Entries with and without an end; what is removed is gone; wrong use is one line."""
    said(capsys, "add", "black", "site:1", "site:2", "--until", "2099-12-31", "--why", "多次抗拒检查", group="lists")
    said(capsys, "add", "black", "site:3", group="lists")
    said(capsys, "remove", "black", "site:2", group="lists")
    found = said(capsys, "show", "black", group="lists")["lists"]["black"]
    assert sorted(found) == ["site:1", "site:3"]
    assert found["site:1"] == {"expires_at": 4_102_329_600_000, "why": "多次抗拒检查"}
    assert found["site:3"]["expires_at"] is None
    main(["lists", "show", "black"])
    assert "site:1  至 until 2099-12-31 00:00  多次抗拒检查" in capsys.readouterr().out
    for wrong in (
        ["add", "Black", "x"],
        ["add", "black"],
        ["add", "black", "x", "--until", "2020-01-01"],
        ["show", "grey"],
    ):
        with pytest.raises(SystemExit) as leaving:
            main(["lists", *wrong])
        assert leaving.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
