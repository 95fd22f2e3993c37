"""What another version of a rule or filter changes, in words: which parts, from what to what, and whether more or less fires.

>>> from rules.sql import parse
>>> types = {"n": "number", "avg": "number"}
>>> for one in of_conditions(parse("n >= 5 AND avg > 8", types), parse("n >= 5 AND avg > 10 AND n < 99", types)):
...     print(one.said, one.effect)
avg > 8 → avg > 10 less
+ n < 99 less
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from rules.durations import spoken
from rules.explain import beijing
from rules.filters import Filter
from rules.model import COLOURS, Absence, Derived, Feature, Rule
from rules.plan import types
from rules.sql import parse
from rules.tree import TRUE, Node, canonical
from rules.words import said

# more: fires where it did before, and elsewhere; less: fires only where it did before; other: neither can be said;
# routed: the same firings, but with another severity, department or status; words: only what people read
Effect = Literal["more", "less", "other", "routed", "words"]
_FLIPPED: Final[Mapping[Effect, Effect]] = {"more": "less", "less": "more"}
_MIRRORED: Final = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_TEXTS: Final = {
    "title": "标题 title", "explain": "说明 explain", "basis": "依据 basis", "source": "出处 source",
    "false_positives": "常见误报 false positives", "runbook": "处置 runbook",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a rule or filter that is another now."""

    part: str
    said: str
    effect: Effect


def changes(old: Rule | Filter, new: Rule | Filter) -> list[Change]:
    """What differs in meaning, the gravest parts first. Raises TypeError when one is a rule and the other a filter."""
    if isinstance(old, Rule) and isinstance(new, Rule):
        return list(_of_rules(old, new))
    if isinstance(old, Filter) and isinstance(new, Filter):
        return list(_of_filters(old, new))
    raise TypeError("a rule is compared with a filter")


def effect_of(found: Iterable[Change]) -> Effect:
    """What all of them come to.

    >>> effect_of([Change("a", "", "less"), Change("b", "", "words")])
    'less'
    >>> effect_of([Change("a", "", "less"), Change("b", "", "more")])
    'other'
    """
    effects: set[Effect] = {one.effect for one in found}
    firing = effects & {"more", "less", "other"}
    if len(firing) > 1:
        return "other"
    return next(iter(firing), "routed" if "routed" in effects else "words")


def of_conditions(old: Node, new: Node) -> Iterator[Change]:
    """Parts of a condition that were added (`+`), taken away (`-`) or changed (`→`)."""
    if canonical(old) == canonical(new):
        return
    chains = [op for op in ("and", "or") if op in (old.op, new.op)]
    if not chains:
        yield Change("", f"{said(old)} → {said(new)}", _of_atoms(old, new))
        return
    chain = max(chains, key=lambda op: len(_parts(old, op).keys() & _parts(new, op).keys()))
    was, now = _parts(old, chain), _parts(new, chain)
    gone = [part for key, part in was.items() if key not in now]
    come = [part for key, part in now.items() if key not in was]
    for part in list(gone):
        alike = next((other for other in come if _shape(other) == _shape(part)), None)
        if alike is not None:
            gone.remove(part)
            come.remove(alike)
            yield from of_conditions(part, alike)
    narrower: Effect = "less" if chain == "and" else "more"
    for part in come:
        yield Change("", f"+ {said(part)}", narrower)
    for part in gone:
        yield Change("", f"- {said(part)}", _flipped(narrower))


def _of_rules(old: Rule, new: Rule) -> Iterator[Change]:
    works = [rule.status in ("shadow", "live") for rule in (old, new)]
    yield from _as_told("状态 status", old.status, new.status, "routed" if works[0] == works[1] else _less_if(works[0]))
    yield from _sets("触发 on", old.on, new.on)
    yield from _named("条件 when", of_conditions(_when(old), _when(new)))
    yield from _features(old.features, new.features)
    yield from _derived(old.derived, new.derived)
    yield from _absences(old.absence, new.absence)
    yield from _suppressions(old, new)
    yield from _episodes(old, new)
    yield from _severities(old, new)
    yield from _as_told("领域 sector", old.sector, new.sector, "routed")
    yield from _as_told("部门 department", old.department, new.department, "routed")
    for name, part in _TEXTS.items():
        yield from _as_told(part, _text(getattr(old, name)), _text(getattr(new, name)), "words")


def _of_filters(old: Filter, new: Filter) -> Iterator[Change]:
    """What a filter hides more of, fires less."""
    told = [
        *_sets("规则 rules", old.rules, new.rules),
        *_as_told("领域 sector", old.sector, new.sector, "other"),
        *_named("条件 where", of_conditions(old.where.tree, new.where.tree)),
        *_as_told("开始 from", _day(old.since), _day(new.since), _less_if((old.since or 0) < (new.since or 0))),
        *_as_told("结束 until", _day(old.until), _day(new.until), _less_if(old.until > new.until)),
    ]
    yield from (replace(one, effect=_flipped(one.effect)) for one in told)
    yield from _as_told("原因 reason", old.reason, new.reason, "words")
    yield from _as_told("负责人 owner", old.owner, new.owner, "words")


def _when(rule: Rule) -> Node:
    """Scores and tables by their names, as they were written: their parts are compared apart."""
    return parse(rule.when.text, types(rule))


def _parts(node: Node, op: str) -> dict[str, Node]:
    """What a chain of ANDs or ORs consists of; anything else is a chain of one."""
    if node.op != op:
        return {} if node == TRUE and op == "and" else {canonical(node): node}
    found: dict[str, Node] = {}
    for child in node.children():
        found |= _parts(child, op)
    return found


def _shape(node: Node) -> str:
    """What stays of a condition when numbers and texts are others: two of one shape are two states of one part."""
    if node.op == "column":
        return str(node.args[0])
    if node.op in ("and", "or"):  # of a chain within the other kind, one part that is the same is enough
        return node.op
    op = "compare" if node.op in _MIRRORED else node.op
    return f"({op} {' '.join(_shape(arg) for arg in node.children())})" if node.op != "literal" else "?"


def _of_atoms(old: Node, new: Node) -> Effect:
    """Of two conditions without AND and OR: where the new one holds, compared with the old."""
    if old.op == new.op == "not":
        inner = effect_of(of_conditions(old.args[0], new.args[0]))
        return _flipped(inner)
    if old.op == new.op == "in" and canonical(old.args[0]) == canonical(new.args[0]):
        return _of_sets(old.args[1], new.args[1])
    if old.op == new.op == "between" and canonical(old.args[0]) == canonical(new.args[0]):
        edges = [_number(arg) for arg in (*old.args[1:], *new.args[1:])]
        if None not in edges:
            low, high, low_now, high_now = edges
            return _ranges(low, high, low_now, high_now)
    return _of_comparisons(old, new)


def _of_comparisons(old: Node, new: Node) -> Effect:
    """`x > 8` and `x > 10`, also `8 < x`."""
    was, now = _threshold(old), _threshold(new)
    if was is None or now is None or was[0] != now[0] or was[1][0] != now[1][0]:
        return "other"
    (_, op, limit), (_, op_now, limit_now) = was, now
    if limit == limit_now:
        return "less" if len(op_now) < len(op) else "more"  # > after >=
    return _less_if((limit_now > limit) == (op[0] == ">"))


def _threshold(node: Node) -> tuple[str, str, float] | None:
    """(what is compared, how, with which number); None of anything else."""
    if node.op not in _MIRRORED:
        return None
    left, right = node.args
    if (limit := _number(right)) is not None:
        return canonical(left), node.op, limit
    if (limit := _number(left)) is not None:
        return canonical(right), _MIRRORED[node.op], limit
    return None


def _number(node: Node) -> float | None:
    value = node.args[0] if node.op == "literal" else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _ranges(low: Any, high: Any, low_now: Any, high_now: Any) -> Effect:
    if low_now >= low and high_now <= high:
        return "less"
    return "more" if low_now <= low and high_now >= high else "other"


def _of_sets(old: Iterable[Any], new: Iterable[Any]) -> Effect:
    was, now = set(old), set(new)
    return "less" if now < was else "more" if was < now else "other"


def _less_if(less: bool) -> Effect:
    return "less" if less else "more"


def _flipped(effect: Effect) -> Effect:
    return _FLIPPED.get(effect, effect)


def _named(part: str, found: Iterable[Change], effect: Effect | None = None) -> Iterator[Change]:
    yield from (replace(one, part=part, effect=effect or one.effect) for one in found)


def _as_told(part: str, old: str, new: str, effect: Effect) -> Iterator[Change]:
    if old != new:
        yield Change(part, f"{old or '—'} → {new or '—'}", effect)


def _sets(part: str, old: Iterable[str], new: Iterable[str]) -> Iterator[Change]:
    was, now = set(old), set(new)
    if was != now:
        signs = [f"+ {name}" for name in sorted(now - was)] + [f"- {name}" for name in sorted(was - now)]
        yield Change(part, ", ".join(signs), _of_sets(was, now))


def _features(old: Iterable[Feature], new: Iterable[Feature]) -> Iterator[Change]:
    """One that no condition asks for any more, or only now, changes nothing by itself: the condition's change says it."""
    was, now = {one.name: one for one in old}, {one.name: one for one in new}
    for name in [*was, *(name for name in now if name not in was)]:
        part = f"特征 feature {name}"
        if name not in now:
            yield Change(part, f"- {_feature(was[name])}", "words")
        elif name not in was:
            yield Change(part, f"+ {_feature(now[name])}", "words")
        elif was[name] != now[name]:
            yield Change(part, f"{_feature(was[name])} → {_feature(now[name])}", "other")


def _feature(one: Feature) -> str:
    if one.steps:
        what = " → ".join(said(step.tree) for step in one.steps)
    else:
        what = f"{one.agg}({one.of or '*'})" + (f" where {said(one.where.tree)}" if one.where else "")
    return f"{what} / {spoken(one.within)} by {', '.join(one.by)}"


def _derived(old: Iterable[Derived], new: Iterable[Derived]) -> Iterator[Change]:
    was, now = {one.name: one for one in old}, {one.name: one for one in new}
    for name in [*was, *(name for name in now if name not in was)]:
        before, after = _rows(was.get(name)), _rows(now.get(name))
        lines = [f"- {row}" for row in before if row not in after] + [f"+ {row}" for row in after if row not in before]
        if not lines and name in was and name in now and canonical(was[name].tree) != canonical(now[name].tree):
            lines = ["另一次序 in another order"]  # the first row that holds decides
        yield from (Change(f"阈值与计分 {name}", line, "other") for line in lines)


def _rows(one: Derived | None) -> tuple[str, ...]:
    return one.parts if one else ()


def _absences(old: Absence | None, new: Absence | None) -> Iterator[Change]:
    part = "缺失 absence"
    if old is None or new is None:
        yield from _as_told(part, _absence(old), _absence(new), "other")
        return
    yield from _as_told(part, spoken(old.within), spoken(new.within), _less_if(new.within > old.within))
    yield from _as_told(f"{part} grace", spoken(old.grace), spoken(new.grace), _less_if(new.grace > old.grace))
    if (old.of is None) != (new.of is None):
        yield from _as_told(part, _absence(old), _absence(new), "other")
    elif old.of and new.of:  # what answers more leaves less to miss
        found = of_conditions(old.of.tree, new.of.tree)
        yield from (Change(f"{part} of", one.said, _flipped(one.effect)) for one in found)


def _absence(one: Absence | None) -> str:
    return "" if one is None else f"{spoken(one.within)} of {said(one.of.tree) if one.of else '*'}"


def _suppressions(old: Rule, new: Rule) -> Iterator[Change]:
    was, now = ({one.when.canonical: one for one in rule.suppress} for rule in (old, new))
    for key, one in was.items():
        if key not in now:
            yield Change("不报 suppress", f"- {one.when.text} ({one.why})", "more")
        else:
            yield from _as_told("不报 suppress", one.why, now[key].why, "words")
    for key, one in now.items():
        if key not in was:
            yield Change("不报 suppress", f"+ {one.when.text} ({one.why})", "less")


def _episodes(old: Rule, new: Rule) -> Iterator[Change]:
    """A longer quiet time joins episodes that were two."""
    was, now = old.episode, new.episode
    yield from _as_told("一次事件 episode by", ", ".join(was.by), ", ".join(now.by), "other")
    yield from _as_told("静默 quiet", spoken(was.quiet), spoken(now.quiet), _less_if(now.quiet > was.quiet))


def _severities(old: Rule, new: Rule) -> Iterator[Change]:
    """Where any severity always holds, before and now, it is only a matter of grade."""
    was, now = dict(old.severity), dict(new.severity)
    always = all(any(c.tree == TRUE for c in one.values()) for one in (was, now))
    effect: Effect = "routed" if always else "other"
    for rank in sorted(COLOURS, reverse=True):
        colour = COLOURS[rank]
        before, after = was.get(colour), now.get(colour)
        if before and after:
            yield from _named(f"等级 {colour}", of_conditions(before.tree, after.tree), effect if always else None)
        elif before or after:
            one = before or after
            yield Change(f"等级 {colour}", f"{'-' if before else '+'} {one.text if one else ''}", effect)


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _day(ms: int | None) -> str:
    return beijing(ms)[:10] if ms is not None else ""
