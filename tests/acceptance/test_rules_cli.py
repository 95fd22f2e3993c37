"""`fengsui rules publish` and `diff` against a real broker."""

import json
from pathlib import Path

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
    made = NewTopic(settings.topic_prefix + "rules", 1, 1, config=topic("rules").config)
    admin = AdminClient({"bootstrap.servers": settings.kafka})  # it must outlive its futures
    for future in admin.create_topics([made]).values():
        future.result(30)


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> dict[str, object]:
    """The JSON object that a command ends with."""
    main(["rules", *tokens, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.mark.usefixtures("connected")
def test_publish_then_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new rule is added; published, it differs no more; a new threshold shows as a change of `when`; a comment does not."""
    path = tmp_path / "food-cold-store-warm.yaml"
    path.write_text(GOOD, "utf-8")
    assert said(capsys, "diff", str(path))["added"] == ["food-cold-store-warm"]
    assert said(capsys, "publish", str(path), "--actor", "analyst")["published"] == 1
    assert said(capsys, "diff", str(path)) == {"added": [], "absent": [], "changed": {}}
    path.write_text(GOOD + "# only a comment\n", "utf-8")
    assert said(capsys, "diff", str(path))["changed"] == {}
    path.write_text(GOOD.replace("avg_10m > 8", "avg_10m > 7"), "utf-8")
    changed = said(capsys, "diff", str(path))["changed"]
    assert isinstance(changed, dict)
    assert list(changed["food-cold-store-warm"]) == ["when"]
    said(capsys, "publish", str(path))
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
