"""`fengsui rules backtest` and `sweep`: the clues a rule would have raised on the archive, and how they fare by what departments
said."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pyarrow as pa
from cyclopts import Parameter

from connectors.archive.layout import DAY_MS
from fengsui.backtest import Backtest
from fengsui.backtest import backtest as run
from fengsui.backtest.html import of_backtest, of_sweep, share
from fengsui.backtest.labels import labels
from fengsui.backtest.log import Slice, end_of, partitions, start_of
from fengsui.backtest.report import Report, as_json, difference, report
from fengsui.backtest.sweep import comparison, curve, values, variants
from fengsui.cli.common import Wrong, say, say_json
from fengsui.cli.rules_files import filter_of, rule_of
from fengsui.cli.times import day
from fengsui.runfile import with_run
from fengsui.settings import load
from rules import Filter, Rule

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
Directory = Annotated[Path | None, Parameter(name="--archive", help="The archive's folder; default: the settings'.")]
First = Annotated[str, Parameter(name="--from", help="First day of the log, like 2026-03-01, Beijing time.")]
After = Annotated[str, Parameter(name="--to", help="The day after the last.")]
Page = Annotated[Path | None, Parameter(name="--html", help="Also write a page with charts to this file.")]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a command tests on: the archive, the slice of log time, the days it has, what departments said."""

    root: Path
    when: Slice
    days: float
    known: pl.DataFrame
    lateness: dict[str, int]

    def run(self, rules: Sequence[Rule], filters: Sequence[Filter] = ()) -> Backtest:
        """Judge it by these rules."""
        return run(rules, self.root, lateness=self.lateness, when=self.when, filters=filters)


def backtest(
    rule: Path,
    *,
    archive: Directory = None,
    from_: First = "",
    to: After = "",
    against: Annotated[Path | None, Parameter(help="Another version of the rule, to compare with.")] = None,
    filter_: Annotated[Path | None, Parameter(name="--filter", help="A filter, to see what it would hide.")] = None,
    html: Page = None,
    json: Json = False,
) -> None:
    """回测规则: the clues a rule would have raised on the archive; precision and recall by feedback; the difference to another.

    Args:
        rule: A rule file.
    """
    mine, other, held = rule_of(rule), rule_of(against) if against else None, filter_of(filter_) if filter_ else None
    with readable(archive, from_, to) as ground:
        tested = ground.run([mine], [held] if held else ())
        found = report(mine, tested, ground.known, ground.days)
        said = as_json(found, tested)
        if held is not None:
            said["without_filter"] = difference(found, _report(mine, ground))
        if other is not None:
            said["against"] = difference(found, _report(other, ground))
    if html is not None:
        _write(html, of_backtest(mine, said))
    if json:
        say_json(said)
    else:
        _say(mine, said)


def sweep(
    rule: Path,
    *,
    vary: Annotated[str, Parameter(help="The comparison in `when` to vary, like 'avg_10m > 8'.")],
    over: Annotated[str, Parameter(help="Its values, FROM:TO:STEP, like 6:14:0.5.")],
    archive: Directory = None,
    from_: First = "",
    to: After = "",
    html: Page = None,
    json: Json = False,
) -> None:
    """阈值扫描: one threshold of a rule at many values, each with clues a day, precision and recall.

    Args:
        rule: A rule file.
    """
    mine = rule_of(rule)
    try:
        wanted, points = comparison(mine, vary), values(*_numbers(over))
    except ValueError as error:
        raise Wrong(str(error)) from error
    with readable(archive, from_, to) as ground:
        tested = ground.run(variants(mine, wanted, points))
        found = curve(mine, tested, ground.known, points, ground.days)
    now = next(float(arg.args[0]) for arg in wanted.args if arg.op == "literal")
    if html is not None:
        _write(html, of_sweep(mine, vary, found, now))
    if json:
        rows = [{"value": point.value, **asdict(point.score)} for point in found]
        say_json({"rule": mine.id, "vary": vary, "now": now, "events": tested.events, "points": rows})
        return
    say(f"{mine.title}  ({mine.id}): {vary}")
    say(f"{'':2}{'值 value':>10}{'线索':>8}{'每天':>8}{'属实':>6}{'误报':>6}{'未知':>6}{'查准率':>8}{'查全率':>8}")
    for point in found:
        s = point.score
        say(
            f"{'* ' if point.value == now else '  '}{point.value:>10g}{s.clues:>10}{s.per_day:>10.1f}{s.confirmed:>8}"
            f"{s.false_alarms:>8}{s.unknown:>8}{share(s.precision):>10}{share(s.recall):>10}"
        )


@contextmanager
def readable(archive: Path | None, from_: str, to: str) -> Iterator[Ground]:
    """The archive that is asked for; what is wrong with it in one line."""
    settings = with_run(load())
    root, when = archive or settings.archive_dir, Slice(day(from_), day(to))
    if when.since is not None and when.until is not None and when.since >= when.until:
        raise Wrong("--to is not after --from")
    if partitions(root) == 0:
        raise Wrong(f"no archived events below {root}")
    try:
        first, last = max(start_of(root), when.since or 0), min(end_of(root), when.until or 2**62)
        yield Ground(root, when, max(0.0, (last - first) / DAY_MS), labels(root), settings.allowed_lateness_ms)
    except (OSError, pa.ArrowInvalid) as error:
        raise Wrong(f"the archive below {root} cannot be read: {error}") from error


def _report(rule: Rule, ground: Ground) -> Report:
    return report(rule, ground.run([rule]), ground.known, ground.days)


def _numbers(text: str) -> tuple[float, float, float]:
    """FROM:TO:STEP. Raises ValueError."""
    try:
        first, last, step = map(float, text.split(":"))
    except ValueError as error:
        raise ValueError("values are FROM:TO:STEP, like 6:14:0.5") from error
    return first, last, step


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise Wrong(f"{path} cannot be written: {error.strerror}") from error


def _say(rule: Rule, said: dict[str, Any]) -> None:
    say(f"{rule.title}  ({rule.id}, 版本 version {said['version']})")
    say(f"{said['events']:,} 条事件 events, {said['seconds']} s, {said['events_per_second']:,} 条/秒 a second")
    say(f"线索 clues: {said['clues']}, 每天 a day {said['per_day']:.1f}; 等级 {_counts(said['by_severity'])}")
    say(f"属实 confirmed {said['confirmed']}, 误报 false {said['false_alarms']}, 未知 unknown {said['unknown']}")
    say(f"查准率 precision {share(said['precision'])}, 查全率 recall {share(said['recall'])}")
    for date, n in said["by_day"].items():
        say(f"  {date}  {n}")
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
        say_first(part)
    say(
        f"  查准率 precision {share(other['precision'])}, 少花 minutes saved on false alarms {other['minutes_saved']:g}"
    )


def say_first(part: dict[str, Any]) -> None:
    """The first clues of a part of a difference (`report.counted`)."""
    for clue in part["shown"][:10]:
        say(f"      {clue['clue_id'][:12]}  {clue['severity']:<7} {clue['verdict']:<12} {clue['explanation']}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or '—'} {n}" for name, n in counts.items()) or "—"
