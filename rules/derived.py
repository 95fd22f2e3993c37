"""Values that a rule names beside its features: a score (weighted parts) and thresholds from decision tables.

Each is a tree that takes the place of its name in `when` and `severity`, so that whoever judges knows nothing of it.

>>> from rules.nodes import compose
>>> given = compose("{limit: [{metric: cod, until: 2026-07-01, gives: 100}, {metric: cod, gives: 80}]}", "x")
>>> (limit,) = tables(given, {"metric": "text", "occurred_at": "number"}, {})
>>> canonical(limit.tree)
"(case (and (= metric 'cod') (< occurred_at 1782835200000)) (= metric 'cod') 100 80 None)"
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from rules.conditions import condition
from rules.explain import from_beijing
from rules.model import Derived
from rules.nodes import Value
from rules.tree import TRUE, Node, Type, canonical, conjuncts

SCORE: Final = "score"
MOST_PARTS: Final = 40
MOST_TABLES: Final = 10
MOST_ROWS: Final = 200
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OWN: Final = ("gives", "when", "months", "from", "until")  # keys of a table's row that are not columns
_MONTHS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")
_REGION: Final = re.compile(r"\d{2}(\d{2}(\d{2})?)?")
_NULL: Final = Node("literal", "null", (None,))
_ZERO: Final = Node("literal", "number", (0,))


def score(value: Value, types: Mapping[str, Type]) -> Derived:
    """The sum of the points of all parts that hold."""
    total, said = _ZERO, []
    items = value.many()
    if not 1 <= len(items) <= MOST_PARTS:
        value.fail(f"a score has 1 to {MOST_PARTS} parts")
    for item in items:
        keys = item.mapping(("when", "points", "why"), ("when", "points"))
        holds, points = condition(keys["when"], types).tree, _number(keys["points"])
        if points.args[0] == 0:
            keys["points"].fail("a part without points changes nothing")
        one = Node("case", "number", (holds, points, _ZERO))
        total = one if total is _ZERO else Node("+", "number", (total, one))
        why = keys["why"].string() if "why" in keys else ""
        said.append(f"{points.args[0]:+g} {keys['when'].string()}" + (f" ({why})" if why else ""))
    return Derived(SCORE, total, tuple(said))


def tables(value: Value, columns: Mapping[str, Type], features: Mapping[str, Type]) -> tuple[Derived, ...]:
    """Each the number of the first row that holds for an event; NULL where none does."""
    types = {**columns, **features}
    named = value.mapping(value.keys)
    if len(named) > MOST_TABLES:
        value.fail(f"a rule has at most {MOST_TABLES} tables")
    found = []
    for name, rows in named.items():
        if not _NAME.fullmatch(name) or name in types or name == SCORE:
            rows.fail(f"'{name[:40]}' cannot name a table: lower-case letters, digits and _, and no column or feature")
        found.append(_table(name, rows, columns, types))
    return tuple(found)


def _table(name: str, value: Value, columns: Mapping[str, Type], types: Mapping[str, Type]) -> Derived:
    items = value.many()
    if not 1 <= len(items) <= MOST_ROWS:
        value.fail(f"a table has 1 to {MOST_ROWS} rows")
    tests: list[Node] = []
    numbers: list[Node] = []
    said: list[str] = []
    before: list[tuple[frozenset[str], int]] = []
    for item in items:
        keys = item.mapping((*_OWN, *columns), ("gives",))
        test = _all(_tests(keys, types))
        parts = frozenset(map(canonical, conjuncts(test)))
        hidden = next((line for other, line in before if other <= parts), None)
        if hidden is not None:
            item.fail(f"this row is never reached: the one on line {hidden} holds wherever it does; put it first")
        before.append((parts, item.line))
        tests.append(test)
        numbers.append(_number(keys["gives"]))
        told = {key: " ".join(part.string() for part in keys[key].many()) for key in keys if key != "gives"}
        said.append(f"{numbers[-1].args[0]:g}" + "".join(f", {key} {text}" for key, text in told.items()))
    return Derived(name, Node("case", "number", (*tests, *numbers, _NULL)), tuple(said))


def expand(node: Node, derived: Iterable[Derived]) -> Node:
    """The condition with trees in the place of names."""
    trees = {one.name: one.tree for one in derived}
    return _expanded(node, trees) if trees else node


def _expanded(node: Node, trees: Mapping[str, Node]) -> Node:
    if node.op == "column":
        return trees.get(node.args[0], node)
    return replace(node, args=tuple(_expanded(arg, trees) if isinstance(arg, Node) else arg for arg in node.args))


def _tests(keys: Mapping[str, Value], types: Mapping[str, Type]) -> Iterator[Node]:
    """What must hold for a row, column by column."""
    for name in sorted(keys.keys() - {*_OWN}):
        yield _region(keys[name]) if name == "region" else _equal(name, keys[name], types[name])
    if "when" in keys:
        yield condition(keys["when"], types).tree
    if "months" in keys:
        yield _months(keys["months"])
    since, until = (moment(keys[name]) if name in keys else None for name in ("from", "until"))
    if since is not None and until is not None and since >= until:
        keys["until"].fail("until is not after from: the row would never hold")
    yield from bounds(since, until)


def bounds(since: int | None, until: int | None) -> Iterator[Node]:
    """That an event occurred at `since` or later, and before `until`, ms UTC."""
    at = Node("column", "number", ("occurred_at",))
    if since is not None:
        yield Node(">=", "bool", (at, Node("literal", "number", (since,))))
    if until is not None:
        yield Node("<", "bool", (at, Node("literal", "number", (until,))))


def _equal(name: str, value: Value, type_: Type) -> Node:
    if type_ == "bool":
        text = value.string()
        if text not in ("true", "false"):
            value.fail(f"{name} is true or false")
        return Node("is-true" if text == "true" else "is-false", "bool", (Node("column", "bool", (name,)),))
    literals = [
        _number(item) if type_ == "number" else Node("literal", "text", (item.string(),)) for item in value.many()
    ]
    return _one_of(Node("column", type_, (name,)), [literal.args[0] for literal in literals], type_)


def _one_of(column: Node, values: list[str] | list[float] | list[int], type_: Type) -> Node:
    if len(values) == 1:
        return Node("=", "bool", (column, Node("literal", type_, (values[0],))))
    return Node("in", "bool", (column, tuple(sorted(set(values)))))


def _region(value: Value) -> Node:
    """A province, a city or a district by two, four or six digits; with all below it."""
    codes = value.strings()
    for code, item in zip(codes, value.many(), strict=True):
        if not _REGION.fullmatch(code):
            item.fail("a region is two, four or six digits: a province, a city or a district")
    column = Node("column", "text", ("region",))
    tests = tuple(Node("starts_with", "bool", (column, Node("literal", "text", (code,)))) for code in codes)
    return tests[0] if len(tests) == 1 else Node("or", "bool", tests)


def _months(value: Value) -> Node:
    """Months of the event's own time, in Beijing: `6`, `6-8`, or over the turn of the year `11-3`."""
    text = value.string()
    found = _MONTHS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (1 <= first <= 12 and 1 <= last <= 12):  # noqa: PLR2004 - months
        value.fail("months is a month or two with a '-' between: 6, 6-8, 11-3")
    count = (last - first) % 12 + 1
    month = Node("month", "number", (Node("column", "number", ("occurred_at",)),))
    return _one_of(month, [(first - 1 + i) % 12 + 1 for i in range(count)], "number")


def moment(value: Value) -> int:
    """Midnight in Beijing of a day, ms UTC."""
    try:
        return from_beijing(value.string(), "%Y-%m-%d")
    except ValueError:
        value.fail("a day is written like 2026-07-01; it begins at midnight, Beijing time")


def _number(value: Value) -> Node:
    text = value.string()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        value.fail(f"a number is needed here, not '{text[:40]}'")
    return Node("literal", "number", (int(number) if number.is_integer() and abs(number) <= 2**53 else number,))


def _all(parts: Iterator[Node]) -> Node:
    found = tuple(part for part in parts if part != TRUE)
    return TRUE if not found else found[0] if len(found) == 1 else Node("and", "bool", found)
