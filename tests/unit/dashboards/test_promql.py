"""Alert rules and dashboard: every expression parses, and names only metrics and labels that the engine has."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from dashboards import grafana
from fengsui.docs import Metric, metrics

RULES = Path(grafana.__file__).parent / "prometheus" / "rules.yml"
_NEEDED = {
    "FengsuiLag",
    "FengsuiDeadLetters",
    "FengsuiNoEvents",
    "FengsuiArchiveLag",
    "FengsuiViewRebuilds",
    "FengsuiStorm",
    "FengsuiOverdueClues",
}


def alerts() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


EXPRESSIONS = [*(rule["expr"] for rule in alerts()), *grafana.queries()]


@pytest.fixture(scope="module")
def known() -> dict[str, Metric]:
    """Sample name -> metric, of the whole engine."""
    return {sample: metric for metric in metrics() for sample in metric.samples}


def selectors(expr: Any) -> Iterator[Any]:
    """All vector selectors of a parsed expression."""
    if isinstance(expr, promql_parser.VectorSelector):
        yield expr
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        below = getattr(expr, name, None)
        if below is not None and not isinstance(below, str):
            yield from selectors(below)
    for argument in getattr(expr, "args", None) or []:
        yield from selectors(argument)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_name_only_what_exists(text: str, known: dict[str, Metric]) -> None:
    """Each selected series is a metric of ours, each label in matchers and groupings one of its labels."""
    found = list(selectors(promql_parser.parse(text)))
    assert len(found) == len(re.findall(r"\bfengsui_\w+", text)) > 0
    labels = {"le", "instance", "job"}
    for selector in found:
        assert selector.name in known, selector.name
        own = set(known[selector.name].labels)
        labels |= own
        assert {matcher.name for matcher in selector.matchers.matchers} <= own
    for grouping in re.findall(r"\bby \(([^)]*)\)", text):
        assert {label.strip() for label in grouping.split(",")} <= labels


def test_a_wrong_name_would_be_found(known: dict[str, Metric]) -> None:
    """The walk reaches selectors at every depth (this test guards the one above)."""
    text = "topk(3, sum by (a) (rate(x_total[5m])) / (1 - y)) > 3 or absent(z) and max_over_time(rate(w[1m])[5m:1m])"
    assert [selector.name for selector in selectors(promql_parser.parse(text))] == ["x_total", "y", "z", "w"]
    assert "fengsui_events" not in known
    assert "fengsui_events_total" in known


def test_the_alerts_that_must_be_there() -> None:
    """Named once, with severity, and texts that begin in Chinese or with a label."""
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    assert set(names) >= _NEEDED
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        for text in (rule["annotations"]["summary"], rule["annotations"]["description"]):
            words = re.sub(r"\{\{.*?\}\}|Kafka|Redis|fengsui [a-z -]+", "", text)  # names have no Chinese form
            assert re.match(r"[^a-zA-Z]*[\u4e00-\u9fff]", words), text


def test_annotations_use_only_labels_that_the_expression_keeps(known: dict[str, Metric]) -> None:
    """A label that was summed away would show as nothing."""
    for rule in alerts():
        kept = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in group.split(",")}
        if " by " not in rule["expr"] and not re.search(r"\b(sum|max|min)\(", rule["expr"]):
            kept |= {x for s in selectors(promql_parser.parse(rule["expr"])) for x in known[s.name].labels}
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= kept, rule["alert"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_agrees() -> None:
    """Prometheus's own check."""
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_laid_out() -> None:
    """Panels have their own ids, titles and places, without overlap, inside the width; the same on every call."""
    board = grafana.overview()
    assert board == grafana.overview()
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = {(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
    assert len(cells) == sum(p["w"] * p["h"] for p in places)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    assert len({panel["title"] for panel in board["panels"]}) == len(places)


def test_every_metric_follows_the_conventions(known: dict[str, Metric]) -> None:
    """Prefix, lower case, base units, help; no label that grows without end."""
    for name, metric in known.items():
        assert re.fullmatch(r"fengsui_[a-z0-9_]+", name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb)(_|$)", name)
        assert len(metric.help) > 10
        assert not set(metric.labels) & {"subject", "clue_id", "event_id", "device_id", "offset", "actor"}
