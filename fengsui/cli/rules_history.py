"""`fengsui rules history`: the versions of a rule, what each changed, and how its clues fared."""

from dataclasses import asdict

from fengsui.backtest.history import Standing, history
from fengsui.backtest.html import share
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_backtest import Directory, Json, readable
from fengsui.cli.rules_diff import EFFECTS
from rules.changes import effect_of
from rules.explain import beijing


def rules_history(rule: str, *, archive: Directory = None, json: Json = False) -> None:
    """规则的历史: every version that was published, by whom, what it changed, and the precision of its clues.

    Args:
        rule: Id of a rule, or of a filter with `filter:` before it.
    """
    with readable(archive, "", "") as ground:
        found = history(ground.root, rule, ground.known)
    if not found:
        raise Wrong(f"no published rule '{rule[:80]}' in the archive")
    if json:
        say_json({"rule": rule, "versions": [asdict(one) | {"precision": one.precision} for one in found]})
        return
    for one in found:
        _say(one)


def _say(one: Standing) -> None:
    until = beijing(one.until) if one.until else "至今 now"
    say(f"{beijing(one.since)} — {until}  {one.status}  版本 version {one.version or '—'}  {one.actor}".rstrip())
    if one.changes:
        say(f"    {EFFECTS[effect_of(one.changes)]}")
        for change in one.changes:
            say(f"    {change.part}: {change.said}")
    say(
        f"    线索 clues {one.clues}, 属实 confirmed {one.confirmed}, 误报 false {one.false_alarms}, "
        f"查准率 precision {share(one.precision)}"
    )
