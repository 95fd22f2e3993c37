"""`fengsui rules why`: what a rule saw of a subject's events, and which part of its condition decided."""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fengsui.backtest.why import seen
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_backtest import Directory, Json, readable
from fengsui.cli.rules_files import rule_of
from fengsui.cli.times import minute
from rules import Rule
from rules.explain import beijing
from rules.witness import Part, Seen
from topics.codes import SEVERITIES

_VERDICTS = {
    "clue": "产生线索 raised a clue",
    "severity rose": "等级上升,产生线索 rose in severity: a clue",
    "in an episode": "同一事件内,不重复 inside a running episode",
    "waiting": "开始等待 begins to wait",
    "held back": "被压制 held back",
    "no severity": "未达任何等级 reaches no severity",
    "when is not true": "条件不成立 the condition does not hold",
    "too late": "迟到超限,不参与判断 too late to be judged",
    "no key": "缺少键列 lacks the key of a feature",
}
_MARKS = {True: "✓", False: "✗", None: "?"}


def why(
    rule: Path,
    key: str,
    *,
    at: Annotated[
        str, Parameter(help="Up to this time, like '2026-03-01 10:00', Beijing time; default: the last events.")
    ] = "",
    last: Annotated[int, Parameter(help="How many events to show.")] = 5,
    archive: Directory = None,
    json: Json = False,
) -> None:
    """为什么: what a rule saw of a subject's last events up to a time: features, parts of the condition, what came of it.

    Args:
        rule: A rule file.
        key: A subject (uscc:…, site:…), or region:320102, person:…, chain:… of a rule judged by one.
    """
    mine, until = rule_of(rule), minute(at)
    if last < 1:
        raise Wrong("--last is 1 or more")
    _check(mine, key)
    with readable(archive, "", "") as ground:
        found = seen(mine, ground.root, key, lateness=ground.lateness)
        shown = deque((one for one in found if until is None or one.occurred_at <= until), maxlen=last)
    if json:
        say_json({"rule": mine.id, "version": mine.version, "key": key, "events": [asdict(one) for one in shown]})
        return
    say(f"{mine.title}  ({mine.id}, 版本 version {mine.version})  {key}")
    for one in shown:
        _say(one)
    if not shown:
        say(f"没有会触发该规则的事件 no event of {', '.join(mine.on)} that could trigger the rule")


def _say(one: Seen) -> None:
    again = "(迟到,按最新时间再判一次 late: judged again)" if one.again else ""
    by = f": {one.by}" if one.by else ""
    say(f"\n{beijing(one.occurred_at)}  {one.event_id}  {_VERDICTS[one.verdict]}{by} {again}".rstrip())
    if one.clue_id:
        say(f"    线索 clue {one.clue_id}")
    for text in _parts(one.parts, "    "):
        say(text)
    if one.severities:
        say(
            "    等级 severity: "
            + ", ".join(f"{_MARKS[holds]} {SEVERITIES[colour].zh}" for colour, holds in one.severities)
        )
    if one.values:
        say("    " + ", ".join(f"{name} = {_value(value)}" for name, value in one.values.items()))


def _parts(parts: Sequence[Part], indent: str) -> list[str]:
    lines = []
    for part in parts:
        lines.append(f"{indent}{_MARKS[part.holds]} {part.text}")
        lines += _parts(part.alternatives, indent + "    ")
    return lines


def _value(value: Any) -> str:
    return "—" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _check(rule: Rule, key: str) -> None:
    scheme, _, rest = key.partition(":")
    if not rest or (rule.foreign is not None and scheme != rule.foreign):
        wanted = f"{rule.foreign}:…" if rule.foreign else "a subject like uscc:… or site:…"
        raise Wrong(f"this rule is judged by {wanted}, not by '{key[:60]}'")
