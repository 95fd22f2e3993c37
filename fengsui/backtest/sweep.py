"""One threshold of a rule at many values: all of them judged in one pass, over the features they share.

>>> from rules.tree import canonical
>>> tree = parse("n >= 5 AND avg > 8", {"n": "number", "avg": "number"})
>>> canonical(varied(tree, parse("avg > 8", {"avg": "number"}), 9.5))
'(and (>= n 5) (> avg 9.5))'
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from fengsui.backtest.labels import Score, labelled, score
from fengsui.backtest.run import Backtest
from rules import Rule
from rules.errors import SqlError
from rules.model import Condition
from rules.plan import types
from rules.sql import parse
from rules.tree import Node, canonical, walk
from rules.words import said

APART: Final = "~"  # between a rule's id and the number of a variant; no id holds it
MOST: Final = 50  # values
_COMPARISONS: Final = frozenset({"=", "!=", ">", ">=", "<", "<="})


@dataclass(frozen=True, slots=True)
class Point:
    """What a rule would have done at one value of its threshold."""

    value: float
    score: Score


def values(first: float, last: float, step: float) -> list[float]:
    """From `first` to `last`, both included. Raises ValueError.

    >>> values(6, 7, 0.5)
    [6.0, 6.5, 7.0]
    """
    if not all(map(math.isfinite, (first, last, step))) or step <= 0 or last < first:
        raise ValueError("values go up: FROM:TO:STEP, like 6:14:0.5")
    count = math.floor((last - first) / step + 1e-9) + 1
    if count > MOST:
        raise ValueError(f"{count} values are too many: {MOST} at most")
    return [round(first + i * step, 9) for i in range(count)]


def comparison(rule: Rule, text: str) -> Node:
    """The comparison of a rule's `when` with a number that is to be varied. Raises ValueError."""
    try:
        wanted = parse(text, types(rule))
    except SqlError as error:
        raise ValueError(f"'{text}': {error.message}") from error
    if wanted.op not in _COMPARISONS or not any(_number(arg) for arg in wanted.args):
        raise ValueError(f"'{text}' is no comparison with a number")
    there = [node for node in walk(rule.when.tree) if canonical(node) == canonical(wanted)]
    if not there:
        known = sorted({said(n) for n in walk(rule.when.tree) if n.op in _COMPARISONS and any(map(_number, n.args))})
        raise ValueError(f"'when' does not hold '{text}'; it holds {', '.join(known) or 'no comparison with a number'}")
    return wanted


def variants(rule: Rule, wanted: Node, points: Sequence[float]) -> list[Rule]:
    """The rule once for each value, with ids of their own."""
    return [
        replace(rule, id=f"{rule.id}{APART}{i}", when=Condition(varied(rule.when.tree, wanted, point), rule.when.text))
        for i, point in enumerate(points)
    ]


def varied(node: Node, wanted: Node, value: float) -> Node:
    """A condition with another number in that comparison."""
    if canonical(node) == canonical(wanted):
        number = Node("literal", "number", (int(value) if float(value).is_integer() else value,))
        return replace(node, args=tuple(number if _number(arg) else arg for arg in node.args))
    return replace(node, args=tuple(varied(arg, wanted, value) if isinstance(arg, Node) else arg for arg in node.args))


def curve(rule: Rule, tested: Backtest, known: pl.DataFrame, points: Sequence[float], days: float) -> list[Point]:
    """The score at each value."""
    found = []
    for i, point in enumerate(points):
        mine = labelled(tested.clues.filter(pl.col("origin_id") == f"{rule.id}{APART}{i}"), known, rule)
        found.append(Point(point, score(mine, known, rule, days)))
    return found


def _number(node: object) -> bool:
    return isinstance(node, Node) and node.op == "literal" and node.type == "number"
