"""`fengsui rules backtest`: the clues a rule would have raised on the archive, and how they fare by what departments said."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fengsui.cli.common import Wrong, say, say_json
from fengsui.runfile import with_run
from fengsui.settings import load
from rules import Filter, Rule, RuleError, load_filter, load_rule
from rules.explain import BEIJING

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
Directory = Annotated[Path | None, Parameter(name="--archive", help="The archive's folder; default: the settings'.")]
DAY_MS = 86_400_000


def backtest(
    rule: Path,
    *,
    archive: Directory = None,
    from_: Annotated[str, Parameter(name="--from", help="First day of the log, like 2026-03-01, Beijing time.")] = "",
    to: Annotated[str, Parameter(name="--to", help="The day after the last.")] = "",
    against: Annotated[Path | None, Parameter(help="Another version of the rule, to compare with.")] = None,
    filter_: Annotated[Path | None, Parameter(name="--filter", help="A filter, to see what it would hide.")] = None,
    json: Json = False,
) -> None:
    """回测规则: the clues a rule would have raised on the archive; precision and recall by feedback; the difference to another.

    Args:
        rule: A rule file.
    """
    import pyarrow as pa

    from fengsui.backtest import backtest as run
    from fengsui.backtest.labels import labels
    from fengsui.backtest.log import Slice, end_of, partitions, start_of
    from fengsui.backtest.report import as_json, difference, report

    settings = with_run(load())
    root = archive or settings.archive_dir
    mine, other, held = _rule(rule), _rule(against) if against else None, _filter(filter_) if filter_ else None
    when = Slice(_day(from_), _day(to))
    if when.since is not None and when.until is not None and when.since >= when.until:
        raise Wrong("--to is not after --from")
    if partitions(root) == 0:
        raise Wrong(f"no archived events below {root}")
    try:
        lateness, known = settings.allowed_lateness_ms, labels(root)
        first, last = max(start_of(root), when.since or 0), min(end_of(root), when.until or 2**62)
        days = max(0.0, (last - first) / DAY_MS)
        tested = run([mine], root, lateness=lateness, when=when, filters=[held] if held else ())
        found = report(mine, tested, known, days)
        said = as_json(found, tested)
        if held is not None:
            bare = run([mine], root, lateness=lateness, when=when)
            said["without_filter"] = difference(found, report(mine, bare, known, days))
        if other is not None:
            before = run([other], root, lateness=lateness, when=when)
            said["against"] = difference(found, report(other, before, known, days))
    except (OSError, pa.ArrowInvalid) as error:
        raise Wrong(f"the archive below {root} cannot be read: {error}") from error
    if json:
        say_json(said)
    else:
        _say(mine, said)


def _say(rule: Rule, said: dict[str, Any]) -> None:
    say(f"{rule.title}  ({rule.id}, 版本 version {said['version']})")
    say(f"{said['events']:,} 条事件 events, {said['seconds']} s, {said['events_per_second']:,} 条/秒 a second")
    say(f"线索 clues: {said['clues']}, 每天 a day {said['per_day']:.1f}; 等级 {_counts(said['by_severity'])}")
    say(f"属实 confirmed {said['confirmed']}, 误报 false {said['false_alarms']}, 未知 unknown {said['unknown']}")
    say(f"查准率 precision {_share(said['precision'])}, 查全率 recall {_share(said['recall'])}")
    for day, n in said["by_day"].items():
        say(f"  {day}  {n}")
    say(f"辖区 regions: {_counts(said['by_region'])}")
    if said["hidden"]:
        say(f"被例外隐藏的触发 firings hidden: {_counts(said['hidden'])}")
    for name, words in (("without_filter", "不加例外时 without the filter"), ("against", "另一版本 the other version")):
        if name in said:
            _say_difference(words, said[name])


def _say_difference(words: str, other: dict[str, Any]) -> None:
    say(f"与{words} ({other['version']}) 相比 compared: {other['clues']} 条线索 clues there")
    for name, sign in (("added", "+"), ("removed", "-"), ("regraded", "~")):
        part = other[name]
        by = {k: v for k, v in part.items() if k not in ("clues", "shown")}
        say(f"  {sign} {part['clues']}  {_counts(by)}")
        for clue in part["shown"][:10]:
            say(f"      {clue['clue_id'][:12]}  {clue['severity']:<7} {clue['verdict']:<12} {clue['explanation']}")
    say(
        f"  查准率 precision {_share(other['precision'])}, 少花 minutes saved on false alarms {other['minutes_saved']:g}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or '—'} {n}" for name, n in counts.items()) or "—"


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}"


def _day(text: str) -> int | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=BEIJING)
    except ValueError as error:
        raise Wrong("a day is written like 2026-03-01") from error
    return int(day.astimezone(UTC).timestamp() * 1000)


def _rule(path: Path) -> Rule:
    try:
        return load_rule(path)
    except RuleError as error:
        raise Wrong(str(error)) from error


def _filter(path: Path) -> Filter:
    try:
        return load_filter(path)
    except RuleError as error:
        raise Wrong(str(error)) from error
