"""`fengsui rules compare`: a shadow rule beside the live one, on the traffic that both judged."""

from typing import Any

from fengsui.backtest.beside import Standing, as_json, beside, standing
from fengsui.backtest.html import share
from fengsui.backtest.log import end_of
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_backtest import After, Directory, First, Ground, Json, readable, say_first
from rules import RuleError
from rules.explain import beijing


def compare(
    candidate: str,
    live: str,
    *,
    archive: Directory = None,
    from_: First = "",
    to: After = "",
    json: Json = False,
) -> None:
    """影子与正式规则比较: what a shadow rule raised beside a live one on the same traffic, clue by clue, labels included.

    Args:
        candidate: Id of the published shadow rule.
        live: Id of the published live rule.
    """
    with readable(archive, from_, to) as ground:
        mine, other = _standing(ground, candidate, "shadow"), _standing(ground, live, "live")
        since = max(mine.since, other.since, ground.when.since or 0)
        until = min(end_of(ground.root) + 1, ground.when.until or 2**62)
        if since >= until:
            raise Wrong(f"nothing to compare yet: both stand as they are since {beijing(since)}")
        found = as_json(beside(ground.root, mine.rule, other.rule, ground.known, since, until))
    if json:
        say_json(found)
    else:
        _say(found)


def _standing(ground: Ground, rule_id: str, status: str) -> Standing:
    """The published rule. Raises Wrong."""
    try:
        found = standing(ground.root, rule_id)
    except RuleError as error:
        raise Wrong(str(error)) from error
    if found is None:
        raise Wrong(f"no published rule '{rule_id[:80]}' in the archive below {ground.root}")
    if found.rule.status != status:
        raise Wrong(f"{rule_id} is {found.rule.status}, not {status}")
    return found


def _say(found: dict[str, Any]) -> None:
    say(f"{beijing(found['since'])} — {beijing(found['until'])}")
    say(f"{'':<30}{'线索':>6}{'每天':>8}{'属实':>6}{'误报':>6}{'未知':>6}{'查准率':>8}{'查全率':>8}{'独有':>6}")
    for name, words in (("candidate", "影子 shadow"), ("live", "正式 live")):
        s = found[name]
        say(
            f"{words + ' ' + s['rule'][:20]:<28}{s['clues']:>8}{s['per_day']:>10.1f}{s['confirmed']:>8}{s['false_alarms']:>8}"
            f"{s['unknown']:>8}{share(s['precision']):>10}{share(s['recall']):>10}{s['alone']['clues']:>8}"
        )
    for name, words in (("candidate", "+ 只有影子 only the shadow"), ("live", "- 只有正式 only the live one")):
        alone = found[name]["alone"]
        by = ", ".join(f"{k} {v}" for k, v in alone.items() if k not in ("clues", "shown"))
        say(f"{words}: {alone['clues']}  {by}".rstrip())
        say_first(alone)
    say(f"两者都有 both {found['both']}; 少花在误报上 minutes saved on false alarms {found['minutes_saved']:g}")
