"""Conditions as people read them: what is said is read back as what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengsui.publishing import PACKS
from rules import load_packs
from rules.load import COLUMNS
from rules.sql import parse
from rules.tree import Node, Type, canonical
from rules.words import said

TYPES: dict[str, Type] = {"a": "number", "b": "number", "s": "text", "t": "bool"}


@pytest.mark.parametrize(
    "text",
    [
        "a > 1 AND (b < 2 OR s = 'x')",
        "NOT (a > 1 AND t)",
        "NOT a > 1",
        "a - (b - 1) > 0",
        "(a + b) * 2 >= 1.5",
        "a / (b * 2) <> 3",
        "a - -1 > 0",
        "s IN ('it''s', 'x') AND NOT s LIKE '%y_'",
        "s IN list('black')",
        "a BETWEEN 1 AND b + 1",
        "t IS TRUE AND s IS NULL AND (a > 1) IS FALSE",
        "CASE WHEN a > 1 THEN b WHEN t THEN 2 ELSE 0 END > 1",
        "COALESCE(a, b, 0) > ROUND(b, 2)",
        "SUBSTR(s, 1, 4) = '3201' AND STARTS_WITH(LOWER(s), 'x')",
        "CAST(s AS DOUBLE) > 1 AND CAST(a AS TEXT) = '1' AND CAST(s AS BIGINT) = 2 AND CAST(s AS BOOLEAN)",
        "hours_between(a, b) > 1 AND month(a) = 6 AND weekday(a) < 6",
        "(a > 1) = t",
    ],
)
def test_what_is_said_means_the_same(text: str) -> None:
    """Brackets where they are needed."""
    tree = parse(text, TYPES)
    assert canonical(parse(said(tree), TYPES)) == canonical(tree)


def test_conditions_of_the_packs_are_said_again() -> None:
    """Every `when`, band and `where`."""
    for rule in load_packs(PACKS):
        types = {**COLUMNS, **{f.name: f.type for f in rule.features}}
        wheres = [feature.where for feature in rule.features if feature.where]
        for condition in (rule.when, *(band for _, band in rule.severity), *wheres):
            if "sequence" not in condition.columns:  # a word of its own beside rules that have one
                assert canonical(parse(said(condition.tree), types)) == condition.canonical


def _numbers(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(lambda op, x, y: Node(op, "number", (x, y)), st.sampled_from("+-*/%"), children, children)


NUMBERS = st.recursive(
    st.one_of(
        st.sampled_from([Node("column", "number", (name,)) for name in "ab"]),
        st.one_of(st.integers(-9, 9), st.floats(-9, 9).filter(lambda x: not x.is_integer())).map(
            lambda value: Node("literal", "number", (value,))
        ),
    ),
    _numbers,
    max_leaves=6,
)
COMPARISONS = st.one_of(
    st.builds(lambda op, x, y: Node(op, "bool", (x, y)), st.sampled_from(["=", "!=", "<", ">="]), NUMBERS, NUMBERS),
    st.builds(lambda x: Node("is-null", "bool", (x,)), NUMBERS),
    st.builds(lambda x, y, z: Node("between", "bool", (x, y, z)), NUMBERS, NUMBERS, NUMBERS),
)


def _flat(op: str, parts: list[Node]) -> Node:
    """A chain as the parser makes it: one of its own kind inside becomes part of it."""
    inner = [child for part in parts for child in (part.children() if part.op == op else (part,))]
    return Node(op, "bool", tuple(inner))


CONDITIONS = st.recursive(
    COMPARISONS,
    lambda children: st.one_of(
        st.builds(_flat, st.sampled_from(["and", "or"]), st.lists(children, min_size=2, max_size=3)),
        st.builds(lambda x: Node("not", "bool", (x,)), children),
        st.builds(lambda x: Node("is-true", "bool", (x,)), children),
    ),
    max_leaves=8,
)


@given(CONDITIONS)
def test_any_condition_is_said_so_that_it_is_read_back(tree: Node) -> None:
    """Whatever is nested in what."""
    assert canonical(parse(said(tree), TYPES)) == canonical(tree)
