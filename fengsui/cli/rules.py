"""`fengsui rules`: read, test, show and publish rule files, and compare them with what is published."""

import getpass
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.cli.rules_files import existing, filters_of, rules_of
from fengsui.cli.rules_live import WAIT_SECONDS, Waiting, in_force, published
from fengsui.publishing import PACKS
from fengsui.publishing import publish as publish_to
from fengsui.publishing import withdraw as withdraw_from
from rules import (
    Filter,
    Rule,
    RuleError,
    run_tests,
    scan,
    scan_filters,
)
from rules.derived import SCORE
from rules.durations import spoken
from rules.errors import meant
from rules.lock import NAME, Locked, LockError, behind, locked, read
from rules.lock import text as lock_text
from rules.selftest import Report, missing
from topics.codes import DEPARTMENTS, SECTORS, SEVERITIES
from topics.events import KINDS

Packs = Annotated[Path, Parameter(show_default=False)]  # the default is a path of this machine: the words say it
Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]

app = App(name="rules", help="规则：检查、测试、发布 Rule files: check, test, back-test, publish.")


app.command("fengsui.cli.rules_backtest:backtest", name="backtest")
app.command("fengsui.cli.rules_backtest:sweep", name="sweep")
app.command("fengsui.cli.rules_why:why", name="why")
app.command("fengsui.cli.rules_health:rules_health", name="health")
app.command("fengsui.cli.rules_diff:diff", name="diff")
app.command("fengsui.cli.rules_compare:compare", name="compare")
app.command("fengsui.cli.rules_history:rules_history", name="history")
app.command("fengsui.cli.rules_baseline:rules_baseline", name="baseline")


@app.command
def check(path: Packs = PACKS, *, json: Json = False) -> None:
    """检查规则文件: read rule files, and say file, line and column of whatever is wrong.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    rules, errors = scan(existing(path))
    filters, wrong = scan_filters(path, rules)
    errors += wrong
    errors += [RuleError(str(path / NAME), 1, 1, said) for said in _behind(path, rules, filters)]
    errors += [
        RuleError(r.path, 1, 1, f"rule {r.id} {missing(r)}") for r in rules if missing(r) and r.status != "draft"
    ]
    if json:
        say_json({"rules": len(rules), "filters": len(filters), "errors": [_error(error) for error in errors]})
    else:
        for error in errors:
            say(str(error))
        read = f"{len(rules)} 条规则可用 rules read, {len(filters)} 条例外 filters"
        say(f"{read}, {len(errors)} 处错误 errors")
    if errors:
        raise Failed(f"{len(errors)} error(s) in rule files")


@app.command(name="test")
def run(path: Packs = PACKS, *, json: Json = False) -> None:
    """运行规则自带的测试: run the tests inside rule files.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    report = run_tests(rules_of(path))
    failed = len(report.failed)
    if json:
        say_json(_summary(report) | {"failures": [_failure(outcome) for outcome in report.failed]})
    else:
        for outcome in report.failed:
            say(f"{outcome.path}:{outcome.line}: {outcome.name}: {outcome.problem}")
        passed = len(report.outcomes) - failed
        say(f"{report.rules} 条规则 rules, {report.sectors} 个领域 sectors: {passed} 通过 passed, {failed} 失败 failed")
    if failed:
        raise Failed(f"{failed} test(s) of rules failed")


@app.command(name="list")
def list_(path: Packs = PACKS, *, json: Json = False) -> None:
    """列出规则: the rules of a file or folder.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
    """
    rules = rules_of(path)
    if json:
        say_json({"rules": [_row(rule) for rule in rules]})
        return
    for rule in rules:
        colours = "/".join(SEVERITIES[colour].zh for colour, _ in rule.severity)
        say(f"{rule.id:<40} {rule.status:<8} {colours:<8} {SECTORS[rule.sector].zh}  {rule.title}")
    counts = Counter(rule.sector for rule in rules)
    say(f"{len(rules)} 条规则 rules, {len(counts)} 个领域 sectors")


@app.command
def show(rule: str, path: Packs = PACKS, *, json: Json = False) -> None:
    """显示一条规则: what one rule says.

    Args:
        rule: Its id, or its file.
        path: Where to look for the id; default: the starter packs.
    """
    found = _find(rule, path)
    if json:
        say_json(found.meaning() | {"version": found.version, "tests": len(found.tests), "path": found.path})
        return
    say(f"{found.title}  ({found.id}, 版本 version {found.version}, {found.status})")
    say(f"领域 sector: {SECTORS[found.sector].zh}; 责任部门 department: {DEPARTMENTS[found.department].zh}")
    say(f"触发 on: {', '.join(KINDS[kind].zh for kind in found.on)}; 按 by: {', '.join(found.episode.by)}")
    for f in found.features:
        where = f" where {f.where.text}" if f.where and not f.steps else ""
        of = " → ".join(step.text for step in f.steps) or f.of or "*"
        say(f"特征 {f.name} = {f.agg}({of}) / {spoken(f.within)} by {', '.join(f.by)}{where}")
    for one in found.derived:
        say(f"{'计分' if one.name == SCORE else '阈值表'} {one.name}: {' | '.join(one.parts)}")
    say(f"条件 when: {found.when.text}")
    for held in found.suppress:
        say(f"不报 suppress: {held.when.text} ({held.why})")
    for colour, condition in found.severity:
        say(f"等级 {SEVERITIES[colour].zh} {colour}: {condition.text}")
    say(f"静默 quiet: {spoken(found.episode.quiet)}; 说明 explain: {found.explain}")
    for name, text in (("依据 basis", found.basis), ("出处 source", found.source), ("处置 runbook", found.runbook)):
        say(f"{name}: {text or '—'}")
    say(f"常见误报 false positives: {', '.join(found.false_positives) or '—'}; 测试 tests: {len(found.tests)}")


@app.command
def publish(path: Packs = PACKS, *, actor: str = "", wait: Waiting = WAIT_SECONDS, json: Json = False) -> None:
    """发布规则: put rules whose tests pass onto the rules topic; workers obey them from their next batch on.

    Args:
        path: A rule file or a folder of them; default: the starter packs.
        actor: Who publishes; default: the user of this shell.
    """
    rules = rules_of(path)
    filters = filters_of(path, rules)
    unknown = _behind(path, rules, filters)
    if unknown:
        raise Failed(f"not published: {unknown[0]}; run `fengsui rules lock {path}` and look at what changed")
    failed = run_tests(rules).failed
    if failed:
        raise Failed(f"not published: test '{failed[0].name}' of {failed[0].rule}: {failed[0].problem}")
    try:
        given, settings = [(rule, rule.text) for rule in rules], connected()
        count = publish_to(settings, given, actor or getpass.getuser(), filters)
    except RuntimeError as error:
        raise Failed(str(error)) from error
    if not json:
        say(f"已发布 {len(rules)} 条规则 rules, {len(filters)} 条例外 filters published")
    told = in_force(settings, "rules", wait, json)
    if json:
        versions = {rule.id: rule.version for rule in rules}
        say_json({"published": count, "versions": versions, "filters": {one.id: one.version for one in filters}} | told)


@app.command
def lock(path: Packs = PACKS, *, json: Json = False) -> None:
    """锁定版本: write down each rule's version (rules.lock); `check` and `publish` then refuse what it does not know.

    Args:
        path: A folder of rules; default: the starter packs.
    """
    if not path.is_dir():
        raise Wrong(f"{path} is not a folder")
    rules = rules_of(path)
    filters = filters_of(path, rules)
    before = _locked(path)
    try:
        after = locked(before, rules, filters)
        (path / NAME).write_text(lock_text(after), "utf-8")
    except (LockError, OSError) as error:
        raise Wrong(str(error)) from error
    changed = sorted(key for key, one in after.items() if key not in before or before[key].version != one.version)
    gone = sorted(key for key, one in after.items() if one.gone and not before[key].gone)
    if json:
        say_json({"locked": len(after), "changed": {key: after[key].number for key in changed}, "gone": gone})
        return
    for key in changed:
        say(f"~ {key}  第 {after[key].number} 版 version {after[key].version}")
    for key in gone:
        say(f"- {key}  已移除,编号不再使用 gone, its id is not used again")
    say(f"{len(after)} 条已锁定 locked in {path / NAME}")


@app.command
def withdraw(*ids: str, wait: Waiting = WAIT_SECONDS, json: Json = False) -> None:
    """撤回规则或例外: take rules or filters (`filter:<id>`) off the rules topic; workers forget them from their next batch on.

    Args:
        ids: Ids of rules, or of filters with `filter:` before them.
    """
    settings = connected()
    live = published(settings)
    for one in ids:
        if one not in live:
            raise Wrong(f"'{one[:80]}' is not published{meant(one, live)}")
    withdraw_from(settings, ids)
    if not json:
        say(f"已撤回 withdrawn: {', '.join(ids)}")
    told = in_force(settings, "rules", wait, json)
    if json:
        say_json({"withdrawn": list(ids)} | told)


def _locked(path: Path) -> dict[str, Locked]:
    """The lock of a folder; empty where there is none."""
    place = path / NAME
    try:
        return read(place.read_text("utf-8")) if place.is_file() else {}
    except (LockError, OSError) as error:
        raise Wrong(str(error)) from error


def _behind(path: Path, rules: list[Rule], filters: list[Filter]) -> list[str]:
    """What a folder's lock does not know; nothing where there is no lock."""
    return behind(_locked(path), rules, filters) if (path / NAME).is_file() else []


def _find(name: str, path: Path) -> Rule:
    if name.endswith((".yaml", ".yml")):
        return rules_of(Path(name))[0]
    found = [rule for rule in rules_of(path) if rule.id == name]
    if not found:
        raise Wrong(f"no rule '{name[:80]}' in {path}")
    return found[0]


def _error(error: RuleError) -> dict[str, Any]:
    return {"path": error.path, "line": error.line, "column": error.column, "message": error.message}


def _summary(report: Report) -> dict[str, Any]:
    failed = len(report.failed)
    passed = len(report.outcomes) - failed
    return {
        "rules": report.rules,
        "sectors": report.sectors,
        "passed": passed,
        "failed": failed,
        "seconds": round(report.seconds, 3),
    }


def _failure(outcome: Any) -> dict[str, Any]:
    names = ("rule", "path", "line", "name", "problem")
    return {name: getattr(outcome, name) for name in names}


def _row(rule: Rule) -> dict[str, Any]:
    row = {"id": rule.id, "version": rule.version, "title": rule.title, "sector": rule.sector, "status": rule.status}
    severities = [colour for colour, _ in rule.severity]
    return row | {"on": rule.on, "severity": severities, "department": rule.department, "tests": len(rule.tests)}
