"""A condition after reading: a small typed tree of our own, independent of the parser's classes and versions.

>>> a = Node("column", "text", ("metric",))
>>> b = Node("=", "bool", (a, Node("literal", "text", ("cod",))))
>>> sorted(columns(b)), canonical(b)
(['metric'], "(= metric 'cod')")
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

Type = Literal["text", "number", "bool", "null"]
TYPES: Final[dict[type[pl.DataType], Type]] = {
    pl.String: "text",
    pl.Int64: "number",
    pl.Float64: "number",
    pl.Boolean: "bool",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: `args` holds nodes, or plain values for leaves (column, literal, list) and fixed parameters."""

    op: str
    type: Type
    args: tuple[Any, ...]

    def children(self) -> Iterator["Node"]:
        """The nodes directly below."""
        return (arg for arg in self.args if isinstance(arg, Node))


TRUE: Final = Node("literal", "bool", (True,))


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for child in node.children():
        yield from walk(child)


def columns(node: Node) -> frozenset[str]:
    """Names of the columns and features it reads."""
    return frozenset(n.args[0] for n in walk(node) if n.op == "column")


def lists(node: Node) -> frozenset[str]:
    """Names of the lists it asks."""
    return frozenset(n.args[1] for n in walk(node) if n.op == "in-list")


def without(node: Node, names: frozenset[str]) -> Node:
    """The part of a condition that reads none of `names`: a row on which it is not true cannot make the whole true."""
    if node.op == "and":
        kept = tuple(part for part in (without(child, names) for child in node.children()) if part != TRUE)
        return TRUE if not kept else kept[0] if len(kept) == 1 else Node("and", "bool", kept)
    return TRUE if columns(node) & names else node


def within(node: Node, names: frozenset[str]) -> Node:
    """The other part of a condition: the whole is true just where this and `without` are."""
    if node.op == "and":
        kept = tuple(part for part in (within(child, names) for child in node.children()) if part != TRUE)
        return TRUE if not kept else kept[0] if len(kept) == 1 else Node("and", "bool", kept)
    return node if columns(node) & names else TRUE


def conjuncts(node: Node) -> Iterator[Node]:
    """The parts that must all be true where the condition is; none of TRUE."""
    if node.op == "and":
        for child in node.children():
            yield from conjuncts(child)
    elif node != TRUE:
        yield node


def canonical(node: Node) -> str:
    """One text per meaning: spaces, case of keywords and redundant parentheses are gone."""
    if node.op == "column":
        return str(node.args[0])
    if node.op == "literal":
        return repr(node.args[0])
    return f"({node.op} {' '.join(canonical(arg) if isinstance(arg, Node) else repr(arg) for arg in node.args)})"
