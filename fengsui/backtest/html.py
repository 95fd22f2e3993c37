"""Back-tests and sweeps as one HTML file that needs nothing beside it: no script, no font, no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
import pygal
from pygal.style import CleanStyle

from fengsui.backtest.sweep import Point
from rules import Rule
from rules.explain import beijing
from topics.codes import FEEDBACKS, SECTORS, SEVERITIES

_HERE: Final = Path(__file__).parent
_WORDS: Final = frozenset({"confirmed", "false-alarm", "unknown"})


def of_backtest(rule: Rule, said: Mapping[str, Any]) -> str:
    """The page of one back-test, from its JSON (`report.as_json`)."""
    facts = [
        ("线索 clues", said["clues"]), ("每天 a day", f"{said['per_day']:.1f}"), ("属实 confirmed", said["confirmed"]),
        ("误报 false alarms", said["false_alarms"]), ("未知 unknown", said["unknown"]),
        ("查准率 precision", share(said["precision"])), ("查全率 recall", share(said["recall"])),
        ("事件 events", f"{said['events']:,}"), ("条/秒 events a second", f"{said['events_per_second']:,}"),
    ]  # fmt: skip
    charts = [("每日线索 Clues by day", _bars(said["by_day"]))] if said["by_day"] else []
    tables = [
        _counts("等级 Severity", {SEVERITIES[name].zh: n for name, n in said["by_severity"].items()}),
        _counts("领域 Sector", {SECTORS[name].zh: n for name, n in said["by_sector"].items()}),
        _counts("辖区 Region", said["by_region"]),
    ]
    if said["hidden"]:
        tables.append(_counts("被例外隐藏的触发 Firings hidden", said["hidden"]))
    for name, words in (("without_filter", "不加例外时 Without the filter"), ("against", "另一版本 The other version")):
        if name in said:
            tables += _difference(words, said[name])
    return _page(f"回测 {rule.title}", _about(rule), facts, charts, tables)


def of_sweep(rule: Rule, text: str, points: Sequence[Point], now: float | None) -> str:
    """The page of a sweep; `now`: the value that the rule has."""
    chart = pygal.XY(**_style(), stroke=True, range=(0, 1), y_title="比率 share", x_title=text)
    chart.add("查准率 precision", [(p.value, p.score.precision) for p in points if p.score.precision is not None])
    chart.add("查全率 recall", [(p.value, p.score.recall) for p in points if p.score.recall is not None])
    daily = pygal.XY(**_style(), stroke=True, y_title="条/日 a day", x_title=text)
    daily.add("线索 clues", [(p.value, p.score.per_day) for p in points])
    head = ("值 value", "线索 clues", "每天 a day", "属实 confirmed", "误报 false", "未知 unknown", "查准率", "查全率")
    rows = [
        {
            "here": p.value == now,
            "cells": [
                p.value, p.score.clues, round(p.score.per_day, 1), p.score.confirmed, p.score.false_alarms, p.score.unknown,
                share(p.score.precision), share(p.score.recall),
            ],
        }
        for p in points
    ]  # fmt: skip
    charts = [("查准率与查全率 Precision and recall", _svg(chart)), ("每日线索 Clues a day", _svg(daily))]
    return _page(f"阈值扫描 {rule.title}", f"{_about(rule)}; {text}", [], charts, [("各取值 Values", head, rows)])


def share(value: float | None) -> str:
    """A ratio for people; a dash where there was nothing to divide by."""
    return "—" if value is None else f"{value:.1%}"


def _about(rule: Rule) -> str:
    return f"{rule.id}, 版本 version {rule.version}, {rule.status}; {rule.when.text}"


def _counts(heading: str, counts: Mapping[str, int]) -> tuple[str, Sequence[str], list[dict[str, Any]]]:
    return heading, ("", "条 clues"), [{"here": False, "cells": [name or "—", n]} for name, n in counts.items()]


def _difference(words: str, other: Mapping[str, Any]) -> list[tuple[str, Sequence[str], list[dict[str, Any]]]]:
    """What one version raises and the other does not, by label, then clue by clue."""
    labels = [*FEEDBACKS, "unknown"]
    head = ("", "条 clues", *labels)
    rows = [
        {"here": False, "cells": [name, other[key]["clues"], *(other[key].get(label, 0) for label in labels)]}
        for name, key in (("新增 added", "added"), ("消失 removed", "removed"), ("等级改变 regraded", "regraded"))
    ]
    tables: list[tuple[str, Sequence[str], list[dict[str, Any]]]] = [
        (f"{words} {other['version']}: {other['clues']} 条, 查准率 {share(other['precision'])}", head, rows)
    ]
    clues = [
        {
            "here": False,
            "cells": [sign, one["severity"], beijing(one["occurred_at"]), one["explanation"], one["verdict"]],
        }
        for sign, key in (("+", "added"), ("−", "removed"), ("~", "regraded"))
        for one in other[key]["shown"]
    ]
    if clues:
        tables.append(("逐条差异 Clue by clue", ("", "等级", "时间", "说明", "反馈"), clues))
    return tables


def _bars(counts: Mapping[str, int]) -> str:
    chart = pygal.Bar(**_style(), show_legend=False, x_label_rotation=45)
    chart.x_labels = list(counts)
    chart.add("线索 clues", list(counts.values()))
    return _svg(chart)


def _svg(chart: Any) -> str:
    chart.add_xml_filter(_without_scripts)
    text: str = chart.render(is_unicode=True, disable_xml_declaration=True)
    return text


def _without_scripts(root: Any) -> Any:
    """pygal sets its own settings by a script, whether or not one is there to read them."""
    for parent in list(root.iter()):
        for child in [one for one in parent if str(one.tag).endswith("script")]:
            parent.remove(child)
    return root


def _style() -> dict[str, Any]:
    """Charts of a page: no script, and tooltips of the browser's own."""
    return {
        "style": CleanStyle,
        "js": [],
        "height": 360,
        "width": 960,
        "explicit_size": False,
        "no_data_text": "无数据",
    }


def _page(title: str, about: str, facts: Any, charts: Any, tables: Any) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True)
    return environment.get_template("report.html").render(
        title=title, about=about, facts=facts, charts=charts, tables=tables, words=_WORDS
    )
