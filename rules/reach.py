"""Which kinds of event can make a condition true at all: a column that a kind lacks is NULL, and NULL is never true.

It errs on the side of "can": so it may only cost time, never a clue.

>>> from rules.sql import parse
>>> feeders(("subject",), None, parse("metric = 'cod' OR kind = 'complaint'", {"metric": "text", "kind": "text"}))
('complaint', 'iot')
"""

from typing import Final

from rules.tree import TRUE, Node
from topics.events import KINDS

_ANY: Final = frozenset({True, False, None})
_NULL: Final = frozenset({None})
# What gives something other than NULL for NULL arguments; all else is NULL as soon as one argument is.
_LENIENT: Final = frozenset({"and", "or", "not", "is-null", "is-true", "is-false", "coalesce", "case"})
_FLIP: Final = {True: False, False: True, None: None}


def feeders(by: tuple[str, ...], of: str | None, where: Node = TRUE) -> tuple[str, ...]:
    """Kinds of event that have the key and the column, and for which `where` can hold; sorted."""
    needed = {*by, *((of,) if of else ())}
    return tuple(sorted(k for k in KINDS if needed <= KINDS[k].schema.columns.keys() and can_hold(where, k)))


def can_hold(node: Node, kind: str) -> bool:
    """Whether the condition can be true for an event of that kind. Features are taken to be anything."""
    return True in _outcomes(node, kind)


def _outcomes(node: Node, kind: str) -> frozenset[bool | None]:
    if node.op == "literal" and node.type == "bool":
        return frozenset({node.args[0]})
    if _always_null(node, kind):
        return _NULL
    if node.op in ("and", "or"):
        found = [_outcomes(child, kind) for child in node.children()]
        return _joined(found, node.op == "and")
    if node.op == "not":
        return frozenset(_FLIP[o] for o in _outcomes(node.args[0], kind))
    if node.op == "is-null":
        return frozenset({True}) if _always_null(node.args[0], kind) else frozenset({True, False})
    return _of_kind(node, kind)


def _of_kind(node: Node, kind: str) -> frozenset[bool | None]:
    """`kind = 'iot'` and `kind IN (…)` are known beforehand."""
    if node.op in ("=", "!=", "in") and isinstance(node.args[0], Node) and node.args[0].args == ("kind",):
        other = node.args[1]
        if node.op == "in":
            return frozenset({kind in other})
        if other.op == "literal":
            return frozenset({(kind == other.args[0]) == (node.op == "=")})
    return _ANY


def _joined(found: list[frozenset[bool | None]], both: bool) -> frozenset[bool | None]:
    """Three-valued AND (`both`) or OR of independent parts."""
    decisive = not both  # one part with this value settles the whole
    result: set[bool | None] = {decisive} if any(decisive in part for part in found) else set()
    if all(both in part for part in found):
        result.add(both)
    if any(None in part for part in found) and all(part & {both, None} for part in found):
        result.add(None)
    return frozenset(result)


def _always_null(node: Node, kind: str) -> bool:
    if node.op == "literal":
        return node.type == "null"
    if node.op == "column":
        name = node.args[0]
        return name in _EVERYWHERE and name not in KINDS[kind].schema.columns
    if node.op not in _LENIENT:
        return any(_always_null(child, kind) for child in node.children())
    return node.op == "coalesce" and all(_always_null(child, kind) for child in node.children())


_EVERYWHERE: Final = frozenset(name for k in KINDS.values() for name in k.schema.columns)
