"""`fengsui rules baseline`: rules on the simulated city, where it is known what is so and what is not."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from connectors.city import City
from fengsui.backtest.baseline import baseline
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_backtest import Json
from fengsui.cli.rules_files import rules_of
from fengsui.publishing import PACKS
from fengsui.settings import load

_FEWEST, _MOST = 5_000, 2_000_000


def rules_baseline(
    path: Annotated[Path, Parameter(show_default=False)] = PACKS,
    *,
    events: Annotated[int, Parameter(help="Size of the city.")] = 100_000,
    seed: Annotated[int, Parameter(help="Another seed is another city.")] = 7,
    json: Json = False,
) -> None:
    """在模拟城市上检验: what rules find in a city with planted incidents, and false alarms per 10,000 subjects and day.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    if not _FEWEST <= events <= _MOST:
        raise Wrong(f"--events is {_FEWEST} to {_MOST}")
    rules = [rule for rule in rules_of(path) if rule.status in ("live", "shadow")]
    city = City(seed=seed, events=events, now=int(time.time() * 1000))
    found = baseline(city, rules, load().allowed_lateness_ms)
    if json:
        told = [asdict(one) | {"wrong": one.wrong, "wrong_per_day": found.per_day(one.wrong)} for one in found.rules]
        total = {"subjects": found.subjects, "days": found.days, "events": found.events}
        say_json(total | {"wrong_per_day": found.wrong_per_day, "rules": told})
        return
    say(f"{'规则 rule':<42}{'相关事件':>8}{'线索':>6}{'属实':>6}{'误报':>6}{'误报/万户·天':>10}")
    for one in found.rules:
        say(
            f"{one.rule:<42}{one.looked_at:>12}{one.clues:>8}{one.right:>8}{one.wrong:>8}{found.per_day(one.wrong):>12.2f}"
        )
    unheard = sum(not one.looked_at for one in found.rules)
    place = f"{found.subjects:,} 个对象 subjects, {found.days:.0f} 天 days, {found.events:,} 条事件 events"
    say(f"{len(found.rules)} 条规则 rules, {place}")
    say(f"{unheard} 条规则在此城市没有相关事件 rules that nothing in this city is for")
    say(f"误报 false alarms per 10,000 subjects and day: {found.wrong_per_day:.3f}")
