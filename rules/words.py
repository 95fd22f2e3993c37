"""A condition's tree as SQL again, for people: what is read back means the same.

>>> from rules.sql import parse
>>> said(parse("NOT a>1 and (b = 'x' OR b is null)", {"a": "number", "b": "text"}))
"NOT a > 1 AND (b = 'x' OR b IS NULL)"
"""

from collections.abc import Callable
from typing import Any, Final

from rules.tree import Node

_OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _LEAF = range(7)  # how tightly an operation binds
_BINDS: Final = {
    "or": _OR, "and": _AND, "not": _NOT, "+": _ADD, "-": _ADD, "*": _MULTIPLY, "/": _MULTIPLY, "%": _MULTIPLY,
} | dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "between", "in", "in-list", "like", "ilike", "is-null", "is-true", "is-false"), _COMPARE)  # fmt: skip  # noqa: E501
_CASTS: Final = {"to-number": "DOUBLE", "to-whole": "BIGINT", "to-text": "TEXT", "to-bool": "BOOLEAN"}
_WORDS: Final = {"!=": "<>", "and": "AND", "or": "OR"}


def said(node: Node) -> str:
    """The condition in one line."""
    return _said(node, _OR)


def _said(node: Node, outer: int) -> str:
    """In brackets where what is around it binds tighter."""
    text = _TEXTS.get(node.op, _function)(node)
    return f"({text})" if _BINDS.get(node.op, _LEAF) < outer else text


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _chain(node: Node) -> str:
    return f" {_WORDS[node.op]} ".join(_said(child, _BINDS[node.op] + 1) for child in node.children())


def _two(node: Node) -> str:
    """An operation between two; the right one in brackets where it binds no tighter: subtraction is not associative."""
    binds = _BINDS[node.op]
    left = _said(node.args[0], binds + (binds == _COMPARE))
    return f"{left} {_WORDS.get(node.op, node.op)} {_said(node.args[1], binds + 1)}"


def _case(node: Node) -> str:
    parts = [said(child) for child in node.children()]
    count = len(parts) // 2
    whens = (f"WHEN {test} THEN {value}" for test, value in zip(parts[:count], parts[count:-1], strict=True))
    return f"CASE {' '.join(whens)} ELSE {parts[-1]} END"


def _function(node: Node) -> str:
    """A function's arguments are nodes, then fixed parameters."""
    return f"{node.op}({', '.join(said(arg) if isinstance(arg, Node) else repr(arg) for arg in node.args)})"


def _suffix(words: str) -> Callable[[Node], str]:
    return lambda node: f"{_said(node.args[0], _ADD)} {words}"


def _cast(node: Node) -> str:
    return f"CAST({said(node.args[0])} AS {_CASTS[node.op]})"


def _between(node: Node) -> str:
    value, low, high = (_said(arg, _ADD) for arg in node.args)
    return f"{value} BETWEEN {low} AND {high}"


_TEXTS: Final[dict[str, Callable[[Node], str]]] = {
    "column": lambda n: str(n.args[0]),
    "literal": lambda n: _literal(n.args[0]),
    "and": _chain,
    "or": _chain,
    "not": lambda n: f"NOT {_said(n.args[0], _COMPARE)}",
    "is-null": _suffix("IS NULL"),
    "is-true": _suffix("IS TRUE"),
    "is-false": _suffix("IS FALSE"),
    "between": _between,
    "in": lambda n: f"{_said(n.args[0], _ADD)} IN ({', '.join(map(_literal, n.args[1]))})",
    "in-list": lambda n: f"{_said(n.args[0], _ADD)} IN list({_literal(n.args[1])})",
    "like": lambda n: f"{_said(n.args[0], _ADD)} LIKE {_literal(n.args[1])}",
    "ilike": lambda n: f"{_said(n.args[0], _ADD)} ILIKE {_literal(n.args[1])}",
    "case": _case,
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"), _two),
    **dict.fromkeys(_CASTS, _cast),
}
