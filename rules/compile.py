"""A typed tree -> a polars expression, operation by operation. SQL's three-valued logic: NULL in, NULL out; polars' own
AND, OR and NOT already follow it. Arithmetic is in doubles; what overflows or divides by zero is NULL; `%` has
the sign of its divisor.

>>> from rules.sql import parse
>>> tree = parse("v / n > 2", {"v": "number", "n": "number"})
>>> frame = pl.DataFrame({"v": [9.0, 9.0, None], "n": [3, 0, 1]})
>>> frame.select(expression(tree, {"v": pl.col("v"), "n": pl.col("n")}, {}).alias("r"))["r"].to_list()
[True, None, None]
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add, mod, mul, sub, truediv
from typing import Any, Final

import polars as pl

from rules.tree import Node

HOUR: Final = 3_600_000
ALWAYS: Final = 2**62  # later than any time
BEIJING_MS: Final = 8 * HOUR  # Beijing has had no summer time since 1991; no event is older than 2000
Lists = Mapping[str, Mapping[str, int | None]]  # name -> entry -> when it expires, ms UTC (None: never)
_NOT_FINITE: Final = [float("inf"), float("-inf"), float("nan")]
_REGEX_WORDS: Final = frozenset("\\.+*?()|[]{}^$#&-~")


def expression(node: Node, names: Mapping[str, pl.Expr], lists: Lists) -> pl.Expr:
    """The column expression of a tree. `names` gives each column and feature; an unknown list is empty."""
    if node.op == "column":
        return names[node.args[0]]
    if node.op == "literal":
        return pl.lit(node.args[0])
    if node.op == "in-list":
        return _in_list(expression(node.args[0], names, lists), lists.get(node.args[1], {}), names)
    parts = [expression(child, names, lists) for child in node.children()]
    return _OPERATIONS[node.op](node, parts)


def like(pattern: str, ignore_case: bool) -> str:
    """The regular expression of a LIKE pattern. It holds no repetition but `.*`, and runs in linear time.

    >>> like("5%_a", False)
    '(?s)^5.*.a$'
    """
    body = "".join({"%": ".*", "_": "."}.get(c, f"\\{c}" if c in _REGEX_WORDS else c) for c in pattern)
    return f"(?{'i' if ignore_case else ''}s)^{body}$"


def _finite(value: pl.Expr) -> pl.Expr:
    """NULL for what is not finite. No operation here names its argument twice: nested, that would double at every level."""
    return value.replace(_NOT_FINITE, [None, None, None])


def _double(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Float64)


def _arithmetic(apply: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[Node, list[pl.Expr]], pl.Expr]:
    def build(node: Node, parts: list[pl.Expr]) -> pl.Expr:
        left, right = map(_double, parts)
        return _finite(apply(left, right))

    return build


def _in(value: pl.Expr, items: list[Any], dtype: type[pl.DataType]) -> pl.Expr:
    return value.cast(dtype).is_in(pl.Series(items, dtype=dtype).implode())


def _in_list(value: pl.Expr, entries: Mapping[str, int | None], names: Mapping[str, pl.Expr]) -> pl.Expr:
    """Whether an entry was in force when the event occurred."""
    known = sorted(entries)
    if all(entries[entry] is None for entry in known):
        return _in(value, known, pl.String)
    until = [ALWAYS if entries[entry] is None else entries[entry] for entry in known]
    ends = value.replace_strict([*known, None], [*until, None], default=-ALWAYS, return_dtype=pl.Int64)
    return ends > names["occurred_at"]


def _literal_in(node: Node, parts: list[pl.Expr]) -> pl.Expr:
    dtypes: dict[str, type[pl.DataType]] = {"text": pl.String, "number": pl.Float64, "bool": pl.Boolean}
    return _in(parts[0], list(node.args[1]), dtypes[node.args[0].type])


def _case(node: Node, parts: list[pl.Expr]) -> pl.Expr:
    """Tests first, then one value a test, then the value when none holds."""
    count = len(parts) // 2
    result = parts[-1]
    for test, value in reversed(list(zip(parts[:count], parts[count:-1], strict=True))):
        result = pl.when(test).then(value).otherwise(result)
    return result


def _local(divide: int, modulo: int, add: int = 0) -> Callable[[Node, list[pl.Expr]], pl.Expr]:
    def build(node: Node, parts: list[pl.Expr]) -> pl.Expr:
        return (parts[0].cast(pl.Int64, strict=False) + BEIJING_MS + add) // divide % modulo

    return build


def _date(part: str) -> Callable[[Node, list[pl.Expr]], pl.Expr]:
    def build(node: Node, parts: list[pl.Expr]) -> pl.Expr:
        days = (parts[0].cast(pl.Int64, strict=False) + BEIJING_MS) // (24 * HOUR)
        date = days.cast(pl.Int32, strict=False).cast(pl.Date)
        value: pl.Expr = getattr(date.dt, part)()
        return value.cast(pl.Int64)

    return build


def _between(unit: int) -> Callable[[Node, list[pl.Expr]], pl.Expr]:
    return lambda node, parts: (_double(parts[1]) - _double(parts[0])) / unit


def _whole(node: Node, parts: list[pl.Expr]) -> pl.Expr:
    number = parts[0].cast(pl.Float64, strict=False) if node.args[0].type == "text" else parts[0]
    return number.cast(pl.Int64, strict=False)


def _to_bool(node: Node, parts: list[pl.Expr]) -> pl.Expr:
    if node.args[0].type != "text":
        return parts[0].cast(pl.Boolean)
    words = {"true": True, "false": False}
    return parts[0].str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)


_DAY: Final = 24 * HOUR
_OPERATIONS: Final[dict[str, Callable[[Node, list[pl.Expr]], pl.Expr]]] = {
    "and": lambda n, p: reduce(lambda a, b: a & b, p),
    "or": lambda n, p: reduce(lambda a, b: a | b, p),
    "not": lambda n, p: p[0].not_(),
    "=": lambda n, p: p[0] == p[1],
    "!=": lambda n, p: p[0] != p[1],
    ">": lambda n, p: p[0] > p[1],
    ">=": lambda n, p: p[0] >= p[1],
    "<": lambda n, p: p[0] < p[1],
    "<=": lambda n, p: p[0] <= p[1],
    "is-null": lambda n, p: p[0].is_null(),
    "is-true": lambda n, p: p[0].fill_null(False),
    "is-false": lambda n, p: p[0].fill_null(True).not_(),
    "between": lambda n, p: p[0].is_between(p[1], p[2]),
    "in": _literal_in,
    "like": lambda n, p: p[0].str.contains(like(n.args[1], False)),
    "ilike": lambda n, p: p[0].str.contains(like(n.args[1], True)),
    "case": _case,
    "coalesce": lambda n, p: pl.coalesce(p),
    "+": _arithmetic(add),
    "-": _arithmetic(sub),
    "*": _arithmetic(mul),
    "/": _arithmetic(truediv),
    "%": _arithmetic(mod),
    "abs": lambda n, p: _double(p[0]).abs(),
    "floor": lambda n, p: _double(p[0]).floor(),
    "ceil": lambda n, p: _double(p[0]).ceil(),
    "round": lambda n, p: _double(p[0]).round(n.args[1]),
    "lower": lambda n, p: p[0].str.to_lowercase(),
    "upper": lambda n, p: p[0].str.to_uppercase(),
    "trim": lambda n, p: p[0].str.strip_chars(),
    "length": lambda n, p: p[0].str.len_chars().cast(pl.Int64),
    "substr": lambda n, p: p[0].str.slice(n.args[1] - 1, n.args[2]),
    "starts_with": lambda n, p: p[0].str.starts_with(p[1]),
    "to-number": lambda n, p: _finite(p[0].cast(pl.Float64, strict=False)),
    "to-whole": _whole,
    "to-text": lambda n, p: p[0].cast(pl.String),
    "to-bool": _to_bool,
    "hour": _local(HOUR, 24),
    "minute": _local(60_000, 60),
    "weekday": lambda n, p: _local(_DAY, 7, 3 * _DAY)(n, p) + 1,  # 1970-01-01 was a Thursday
    "day": _date("day"),
    "month": _date("month"),
    "year": _date("year"),
    "minutes_between": _between(60_000),
    "hours_between": _between(HOUR),
    "days_between": _between(_DAY),
}
