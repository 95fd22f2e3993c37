"""YAML -> `Rule`. Every error names the rule file, the place and the fix (`RuleError`).

>>> from rules.load import parse_rule
>>> parse_rule("id: x", "x.yaml")
Traceback (most recent call last):
rules.errors.RuleError: x.yaml:1:1: key 'title' is missing
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from rules import derived, explain, reach
from rules.cases import duration, read_case
from rules.conditions import condition
from rules.durations import spoken
from rules.errors import RuleError, SqlError, meant
from rules.model import (
    AGGS,
    FOREIGN,
    RANKS,
    STATUSES,
    Absence,
    Agg,
    Condition,
    Derived,
    Episode,
    Feature,
    Rule,
    Suppression,
)
from rules.nodes import Value, compose
from rules.sequences import MOST_STEPS
from rules.sql import parse
from rules.tree import TRUE, TYPES, Node, Type, columns
from topics.codes import DEPARTMENTS, SECTORS
from topics.events import KINDS, all_columns

LONGEST_WINDOW: Final = 32 * 86_400_000
LONGEST_QUIET: Final = 366 * 86_400_000
MAX_FEATURES: Final = 40
FILTERS: Final = "filters"  # the folder that filters lie in
NUMBER: Final[Type] = "number"
SEQUENCE: Final = "sequence"  # the feature that a rule's own sequence is
COLUMNS: Final[Mapping[str, Type]] = {name: TYPES[dtype] for name, dtype in all_columns().items()}
_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FEATURE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REQUIRED: Final = ("id", "title", "sector", "status", "on", "severity", "episode", "department", "explain")
KEYS: Final = (
    *_REQUIRED,
    "when",
    "features",
    "sequence",
    "absence",
    "tables",
    "score",
    "suppress",
    "basis",
    "source",
    "false_positives",
    "runbook",
    "tests",
)


def load_rule(path: Path) -> Rule:
    """The rule of one file. Raises RuleError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(str(path), 1, 1, f"cannot be read: {error}") from error
    return parse_rule(text, str(path))


def load_packs(root: Path) -> list[Rule]:
    """All rules of a file or folder, by id. Raises the first RuleError."""
    rules, errors = scan(root)
    if errors:
        raise errors[0]
    return rules


def scan(root: Path) -> tuple[list[Rule], list[RuleError]]:
    """All rules of a file or folder, by id, and what is wrong with the others."""
    rules: dict[str, Rule] = {}
    errors = []
    for path in files(root, of_filters=False):
        try:
            rule = load_rule(path)
            if rule.id in rules:
                raise RuleError(str(path), 1, 1, f"id '{rule.id}' is already used by {rules[rule.id].path}")
            if root.is_dir() and path.stem != rule.id:
                raise RuleError(str(path), 1, 1, f"the file of rule '{rule.id}' must be named {rule.id}.yaml")
            rules[rule.id] = rule
        except RuleError as error:
            errors.append(error)
    return [rules[key] for key in sorted(rules)], errors


def files(root: Path, *, of_filters: bool) -> list[Path]:
    """The files of rules below a folder, or those of filters (they lie in folders named `filters`); or the one file given."""
    found = sorted(root.rglob("*.yaml")) if root.is_dir() else [root]
    return [path for path in found if (path.parent.name == FILTERS) == of_filters]


def parse_rule(text: str, path: str) -> Rule:
    """The rule of a text; `path` is what errors call it. Raises RuleError."""
    top = compose(text, path)
    keys = top.mapping(KEYS, _REQUIRED)
    on = _kinds(keys["on"])
    sector = _code(keys["sector"], SECTORS, "sector")
    features = _features(keys)
    numbers, by_score = _derived(keys, features)
    types = {**COLUMNS, **{f.name: f.type for f in features}, **{one.name: NUMBER for one in numbers}}
    foreign = _one_foreign(keys.get("features", keys.get("sequence")), features)
    when, severity = _when(top, types, features, on), _severity(keys["severity"], types)
    episode = _episode(keys["episode"], foreign, "absence" in keys)
    explain_ = keys["explain"].string()
    try:
        explain.check(explain_, types)
    except ValueError as error:
        keys["explain"].fail(str(error))
    suppress = _suppress(keys, types)
    asked = when.columns.union(*(c.columns for _, c in severity), *(one.when.columns for one in suppress))
    asked |= explain.check(explain_, types)
    _used(keys, numbers, asked | by_score)
    when = _expanded(when, numbers)
    _reachable(keys.get("when", top), when, on, {f.name for f in features})
    return Rule(
        id=identifier(keys["id"]),
        title=keys["title"].string(),
        sector=sector,
        status=_code(keys["status"], STATUSES, "status"),
        on=on,
        features=features,
        when=when,
        severity=tuple((colour, _expanded(one, numbers)) for colour, one in severity),
        episode=episode,
        department=_code(keys["department"], DEPARTMENTS, "department"),
        explain=explain_,
        basis=_optional(keys, "basis"),
        source=_optional(keys, "source"),
        false_positives=keys["false_positives"].strings() if "false_positives" in keys else (),
        runbook=_optional(keys, "runbook"),
        absence=_absence(keys["absence"], episode, on) if "absence" in keys else None,
        derived=numbers,
        suppress=tuple(replace(one, when=_expanded(one.when, numbers)) for one in suppress),
        tests=tuple(read_case(item, sector, on) for item in keys["tests"].many()) if "tests" in keys else (),
        path=path,
        text=text,
    )


def _derived(keys: Mapping[str, Value], features: tuple[Feature, ...]) -> tuple[tuple[Derived, ...], frozenset[str]]:
    """The tables of a rule, then its score, which may ask them; and what that asks for."""
    asked = frozenset[str]()
    types = {f.name: f.type for f in features}
    for name in (derived.SCORE, *(keys["tables"].keys if "tables" in keys else ())):
        if name in types:
            keys["features"].fail(
                f"'{name}' is the name of a feature and of a {'score' if name == derived.SCORE else 'table'}"
            )
    found = derived.tables(keys["tables"], COLUMNS, types) if "tables" in keys else ()
    if "score" in keys:
        given = derived.score(keys["score"], {**COLUMNS, **types, **{one.name: NUMBER for one in found}})
        found += (Derived(given.name, derived.expand(given.tree, found), given.parts),)
        asked = columns(given.tree)
    return found, asked


def _used(keys: Mapping[str, Value], numbers: tuple[Derived, ...], asked: frozenset[str]) -> None:
    for one in numbers:
        if one.name not in asked:
            value = keys[one.name] if one.name == derived.SCORE else keys["tables"].keys[one.name]
            value.fail(f"nothing asks for '{one.name}'; name it in when, severity or explain")


def _suppress(keys: Mapping[str, Value], types: Mapping[str, Type]) -> tuple[Suppression, ...]:
    """What a rule holds back by itself."""
    if "suppress" not in keys:
        return ()
    if "absence" in keys:
        keys["suppress"].fail("what does not come cannot be suppressed by its values; narrow 'when', or write a filter")
    found = []
    for item in keys["suppress"].many():
        given = item.mapping(("when", "why"), ("when", "why"))
        found.append(Suppression(condition(given["when"], types), given["why"].string()))
    return tuple(found)


def _expanded(condition: Condition, numbers: tuple[Derived, ...]) -> Condition:
    return Condition(derived.expand(condition.tree, numbers), condition.text)


def _optional(keys: Mapping[str, Value], name: str) -> str:
    return keys[name].string() if name in keys else ""


def _kinds(value: Value) -> tuple[str, ...]:
    kinds = tuple(_code(item, KINDS, "kind") for item in value.many())
    if not kinds:
        value.fail("on needs at least one kind of event")
    if len(set(kinds)) < len(kinds):
        value.fail("a kind stands here twice")
    return kinds


def identifier(value: Value) -> str:
    """The id of a rule or filter."""
    text = value.string()
    if not _ID.fullmatch(text) or not 3 <= len(text) <= 64:  # noqa: PLR2004 - said in the message
        value.fail("id is 3 to 64 lower-case letters and digits in words joined by '-'")
    return text


def _code(value: Value, known: Iterable[str], what: str) -> str:
    code = value.string()
    if code not in known:
        value.fail(f"unknown {what} '{code}'{meant(code, known) or '; known are ' + ', '.join(known)}")
    return code


def _when(top: Value, types: Mapping[str, Type], features: tuple[Feature, ...], on: tuple[str, ...]) -> Condition:
    """`when`; with a `sequence` it holds on events that complete it."""
    given = condition(top.keys["when"], types) if "when" in top.keys else None
    if "sequence" not in top.keys:
        return given or top.fail("key 'when' is missing")
    step, last = features[-1].where, features[-1].steps[-1]
    if not any(reach.can_hold(last.tree, kind) for kind in on):
        top.keys["sequence"].fail(f"its last step can be none of the kinds in 'on': {', '.join(on)}")
    parts = [part for part in (step, given, Condition(parse(SEQUENCE, types), SEQUENCE)) if part is not None]
    tree = Node("and", "bool", tuple(part.tree for part in parts))
    return Condition(tree, " AND ".join(f"({part.text})" for part in parts))


def _reachable(value: Value, when: Condition, on: tuple[str, ...], features: set[str]) -> None:
    for kind in on:
        if not reach.can_hold(when.tree, kind):
            missing = sorted(when.columns - features - KINDS[kind].schema.columns.keys())
            why = f": {kind} has no column {', '.join(missing)}" if missing else ""
            value.fail(f"when can never hold for kind '{kind}'{why}")


def _severity(value: Value, types: Mapping[str, Type]) -> tuple[tuple[str, Condition], ...]:
    if value.shape == "scalar":
        return ((_code(value, RANKS, "severity"), Condition(TRUE, "true")),)
    bands = value.mapping(RANKS)
    if not bands:
        value.fail("severity needs at least one colour")
    graver_first = sorted(bands, key=lambda colour: -RANKS[colour])
    return tuple((colour, condition(bands[colour], types)) for colour in graver_first)


def _absence(value: Value, episode: Episode, on: tuple[str, ...]) -> Absence:
    """What must come after an event, at the key of its episode."""
    keys = value.mapping(("of", "within", "grace"), ("within",))
    for kind in on:
        if lacking := sorted(set(episode.by) - KINDS[kind].schema.columns.keys()):
            value.fail(f"kind '{kind}' has no {', '.join(lacking)}, the key that must not be silent")
    grace = duration(keys["grace"]) if "grace" in keys else 0
    if not 0 <= grace <= LONGEST_WINDOW:
        keys["grace"].fail(f"grace is at most {spoken(LONGEST_WINDOW)}")
    of = condition(keys["of"], COLUMNS) if "of" in keys else None
    if of is not None and not reach.feeders(episode.by, None, of.tree):
        keys["of"].fail(f"no kind of event can be what is awaited ({', '.join(episode.by)} and condition together)")
    return Absence(of, _within(keys["within"]), grace)


def _episode(value: Value, foreign: str | None, own: bool) -> Episode:
    """`own`: its key need not be that of a feature."""
    keys = value.mapping(("by", "quiet"), ("quiet",))
    quiet = duration(keys["quiet"])
    if not 0 < quiet <= LONGEST_QUIET:
        keys["quiet"].fail("quiet is more than 0 and at most 366d")
    by = tuple(_code(item, COLUMNS, "column") for item in keys["by"].many()) if "by" in keys else ()
    root = foreign or next((name for name in by if own and name in FOREIGN), "subject")
    foreign = root if root in FOREIGN else None
    for name in by:
        if name in FOREIGN and name != foreign:
            keys["by"].fail(f"episodes by {name} need a feature by {name}; this rule is judged by {root}")
    return Episode((root, *(name for name in by if name != root)), quiet)


def _features(top: Mapping[str, Value]) -> tuple[Feature, ...]:
    """The features of a rule; its `sequence` is one more, the last."""
    found: tuple[Feature, ...] = ()
    if "features" in top:
        keys = top["features"].mapping(top["features"].keys)
        if len(keys) > MAX_FEATURES:
            top["features"].fail(f"a rule has at most {MAX_FEATURES} features")
        if "sequence" in top and SEQUENCE in keys:
            keys[SEQUENCE].fail("a rule with a sequence of its own has no feature of that name")
        found = tuple(_feature(name, item) for name, item in keys.items())
    if "sequence" in top:
        given = top["sequence"].mapping(("steps", "within", "by"), ("steps", "within"))
        whole = _sequence(SEQUENCE, top["sequence"], _within(given["within"]), _by(given))
        found += (replace(whole, agg="completed"),)
    return found


def _feature(name: str, value: Value) -> Feature:
    if not _FEATURE.fullmatch(name) or name in COLUMNS or not _free(name):
        value.fail(f"'{name[:40]}' cannot name a feature: lower-case letters, digits and _, and no column or SQL word")
    keys = value.mapping(("agg", "of", "within", "by", "where", "steps"), ("agg", "within"))
    agg: Agg = _code(keys["agg"], AGGS, "agg")  # type: ignore[assignment]
    within, by = _within(keys["within"]), _by(keys)
    of = _code(keys["of"], COLUMNS, "column") if "of" in keys else None
    if agg == "sequence":
        return _sequence(name, value, within, by)
    if "steps" in keys:
        keys["steps"].fail(f"only a sequence has steps, not {agg}")
    if of is None and agg != "count":
        value.fail(f"{agg} needs 'of', the column it is taken of")
    type_ = _feature_type(value, agg, of)
    where = condition(keys["where"], COLUMNS) if "where" in keys else None
    feature = Feature(name, agg, of, within, by, where, type_)
    if not reach.feeders(by, of, where.tree if where else TRUE):
        value.fail(f"no kind of event has what feature '{name}' asks for (by, of and where together)")
    return feature


def _within(value: Value) -> int:
    within = duration(value)
    if not 0 < within <= LONGEST_WINDOW:
        value.fail(f"within is more than 0 and at most {spoken(LONGEST_WINDOW)}")
    return within


def _by(keys: Mapping[str, Value]) -> tuple[str, ...]:
    by = tuple(_code(item, COLUMNS, "column") for item in keys["by"].many()) if "by" in keys else ("subject",)
    if sum(b in FOREIGN for b in by) > 1:
        keys["by"].fail(f"by takes at most one of {', '.join(FOREIGN)}")
    return by


def _sequence(name: str, value: Value, within: int, by: tuple[str, ...]) -> Feature:
    """The feature of `steps` that must have come one after the other."""
    keys = value.keys
    for wrong in ("of", "where"):
        if wrong in keys:
            keys[wrong].fail(f"a sequence has steps, no {wrong}")
    if "steps" not in keys:
        value.fail("a sequence needs 'steps', the conditions of its events in their order")
    steps = tuple(condition(item, COLUMNS) for item in keys["steps"].many())
    if not 2 <= len(steps) <= MOST_STEPS:  # noqa: PLR2004 - said in the message
        keys["steps"].fail(f"a sequence has 2 to {MOST_STEPS} steps")
    for item, step in zip(keys["steps"].many(), steps, strict=True):
        if not reach.feeders(by, None, step.tree):
            item.fail(f"no kind of event can be this step of '{name}' ({', '.join(by)} and condition together)")
    # Alternatives of a step are alternatives of the whole, as who reads its text back will have it.
    parts = (step.tree.args if step.tree.op == "or" else (step.tree,) for step in steps)
    where = Node("or", "bool", tuple(part for some in parts for part in some))
    return Feature(
        name, "sequence", None, within, by, Condition(where, " OR ".join(s.text for s in steps)), "bool", steps
    )


def _feature_type(value: Value, agg: Agg, of: str | None) -> Type:
    if of is None or agg in ("count", "distinct"):
        return "number"
    if agg == "last":
        return COLUMNS[of]
    if COLUMNS[of] != "number":
        value.keys["of"].fail(f"{agg} needs a number, but {of} is a {COLUMNS[of]}")
    return "number"


def _free(name: str) -> bool:
    """Whether a condition reads the name as a column, and not as a word of SQL."""
    try:
        return parse(name, {name: "bool"}).op == "column"
    except SqlError:
        return False


def _one_foreign(value: Value | None, features: tuple[Feature, ...]) -> str | None:
    found = sorted({f.foreign for f in features if f.foreign})
    if len(found) > 1 and value is not None:
        value.fail(f"all features of one rule must share one foreign key, but these are by {' and '.join(found)}")
    return found[0] if found else None
