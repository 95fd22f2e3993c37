"""`fengsui rules diff`: what another version of rules and filters changes in meaning."""

from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from fengsui.cli.common import connected, say, say_json
from fengsui.cli.rules_files import filters_of, rules_of
from fengsui.cli.rules_live import published
from fengsui.publishing import PACKS
from rules import FILTER_KEY, Filter, Rule, RuleError, parse_keyed
from rules.changes import Change, changes, effect_of

Held = Rule | Filter | RuleError  # the error where this build cannot read what is published
EFFECTS: Final = {
    "more": "触发增多 fires more",
    "less": "触发减少 fires less",
    "other": "触发改变 fires otherwise",
    "routed": "触发不变,等级、去向或状态改变 the same firings, graded or sent otherwise",
    "words": "只改文字,判断不变 words only, judges as before",
}


def diff(
    path: Annotated[Path, Parameter(show_default=False)] = PACKS,
    *,
    against: Annotated[Path | None, Parameter(help="Compare with these files, not with what is published.")] = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")] = False,
) -> None:
    """比较规则: what publishing these files would change in meaning, and whether more or less would fire.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    new = _of_files(path)
    old: dict[str, Held] = {**_of_files(against)} if against else _standing()
    added = [key for key in new if key not in old]
    absent = sorted(key for key in old if key not in new)
    found = {key: (old[key], one) for key, one in new.items() if key in old and _version(old[key]) != one.version}
    told = {key: _told(*pair) for key, pair in found.items()}
    if json:
        changed = {key: _parts(*pair) for key, pair in found.items()}
        meaning = {
            key: {
                "effect": effect_of(those),
                "changes": [{"part": c.part, "said": c.said, "effect": c.effect} for c in those],
            }
            for key, those in told.items()
        }
        say_json({"added": added, "absent": absent, "changed": changed, "meaning": meaning})
        return
    for key in added:
        say(f"+ {key}  新增 new")
    for key, those in told.items():
        say(f"~ {key}  {EFFECTS[effect_of(those)]}")
        for one in those:
            say(f"    {one.part}: {one.said}")
    for key in absent:
        say(f"  {key}  此处没有 not here")
    say(f"{len(added)} 新增 new, {len(found)} 变更 changed, {len(absent)} 此处没有 not here")


def _of_files(path: Path) -> dict[str, Rule | Filter]:
    """Rules and filters of a file or folder, by the keys of the rules topic."""
    rules = rules_of(path)
    found: dict[str, Rule | Filter] = {rule.id: rule for rule in rules}
    return found | {FILTER_KEY + one.id: one for one in filters_of(path, rules)}


def _standing() -> dict[str, Held]:
    """What is published, by its key."""
    found: dict[str, Held] = {}
    for key, one in published(connected()).items():
        try:
            found[key] = parse_keyed(key, one.text, f"published {key}")
        except RuleError as error:
            found[key] = error
    return found


def _version(one: Held) -> str:
    return "" if isinstance(one, RuleError) else one.version


def _told(old: Held, new: Rule | Filter) -> list[Change]:
    if isinstance(old, RuleError):
        return [Change("已发布 published", f"{old} → 可用 readable", "other")]
    return changes(old, new)


def _parts(old: Held, new: Rule | Filter) -> dict[str, tuple[Any, Any]]:
    """Which parts of the meaning differ: name -> (there, here)."""
    if isinstance(old, RuleError):
        return {"published": (str(old), "readable")}
    was, now = old.meaning(), new.meaning()
    return {name: (was.get(name), now.get(name)) for name in {**was, **now} if was.get(name) != now.get(name)}
