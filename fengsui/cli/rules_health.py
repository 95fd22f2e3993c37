"""`fengsui rules health`: rules that never fire, always fire, repeat others or are mostly wrong; and what no rule looks at."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fengsui.backtest.health import BAR, Covered, Problem, health
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_backtest import After, Directory, First, Json, readable
from fengsui.cli.rules_files import filters_of, rules_of
from fengsui.publishing import PACKS
from topics.codes import SECTORS

_WORDS = {
    "never": "从未触发 never fires",
    "always": "几乎对所有对象触发 fires on most subjects",
    "duplicate": "与另一条规则重复 says what another says",
    "dominated": "被另一条规则覆盖 another says as much, and more",
    "imprecise": "查准率过低 mostly false alarms",
}
_SHOWN = 20


def rules_health(
    path: Annotated[Path, Parameter(show_default=False)] = PACKS,
    *,
    archive: Directory = None,
    from_: First = "",
    to: After = "",
    bar: Annotated[float, Parameter(help="Precision below which a rule is reported.")] = BAR,
    json: Json = False,
) -> None:
    """规则体检: back-test all rules on the archive, and say which are not worth having, and what none looks at.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    if not 0 <= bar <= 1:
        raise Wrong("--bar is a share, 0 to 1")
    rules = [rule for rule in rules_of(path) if rule.status in ("live", "shadow")]
    filters = filters_of(path, rules)
    if not rules:
        raise Wrong(f"no rules in force in {path}")
    with readable(archive, from_, to) as ground:
        tested = ground.run(rules, filters)
        found = health(rules, tested, ground.known, ground.root, ground.days, bar)
    if json:
        say_json(asdict(found) | {"rules": len(rules), "events": tested.events, "days": round(ground.days, 2)})
        return
    for one in found.problems:
        say(_line(one))
    _table("领域 sectors", found.sectors, with_rules=True)
    _table("监管事项 item codes", found.items[:_SHOWN], with_rules=False)
    say(f"{len(rules)} 条规则 rules, {tested.events:,} 条事件 events, {len(found.problems)} 处问题 findings")


def _line(one: Problem) -> str:
    figure = {"never": "", "always": f" {one.figure:.0%}", "imprecise": f" {one.figure:.0%}"}.get(
        one.finding, f" {one.figure:.0%}"
    )
    return f"{one.rule:<40} {_WORDS[one.finding]}{figure}" + (f": {one.other}" if one.other else "")


def _table(words: str, rows: Sequence[Covered], *, with_rules: bool) -> None:
    if not rows:
        return
    say(f"\n{words}: " + ("规则 rules, " if with_rules else "") + "事件 events, 对象 subjects, 线索 clues")
    for one in rows:
        name = SECTORS[one.name].zh if one.name in SECTORS else one.name
        mark = " " if one.clues or not one.events else "!"
        counts = f"{one.rules:>6}" if with_rules else ""
        say(f"{mark} {name:<16}{counts}{one.events:>12,}{one.subjects:>10,}{one.clues:>8,}")
