"""What another version of a rule changes, in words; and that "less" and "more" are true of every event."""

import itertools
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import parse_filter, parse_rule
from rules.changes import changes, effect_of, of_conditions
from rules.compile import expression
from rules.model import Rule
from rules.sql import parse
from tests.unit.rules.test_load import GOOD

TYPES = {"a": "number", "b": "number", "t": "text"}


def rule(*swaps: tuple[str, str]) -> Rule:
    """The good rule with parts of its text swapped."""
    text = GOOD
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    return parse_rule(text, "food-cold-store-warm.yaml")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("a > 8", "a > 10", [("a > 8 → a > 10", "less")]),
        ("8 < a", "a > 7", [("8 < a → a > 7", "more")]),
        ("a < 8", "a < 7", [("a < 8 → a < 7", "less")]),
        ("a > 8", "a >= 8", [("a > 8 → a >= 8", "more")]),
        ("a > 8", "b > 8", [("a > 8 → b > 8", "other")]),
        ("a > 8", "a > 8 AND b > 1", [("+ b > 1", "less")]),
        ("a > 8 AND b > 1", "b > 1", [("- a > 8", "more")]),
        ("a > 8", "a > 8 OR b > 1", [("+ b > 1", "more")]),
        ("a > 8 AND b > 1", "a > 8 AND b > 1 OR t = 'x'", [("+ t = 'x'", "more")]),
        ("t = 'x' AND (a > 8 OR b > 1)", "t = 'x' AND (a > 9 OR b > 1)", [("a > 8 → a > 9", "less")]),
        ("NOT a > 8", "NOT a > 9", [("NOT a > 8 → NOT a > 9", "more")]),
        ("t IN ('x', 'y')", "t IN ('x')", [("t IN ('x', 'y') → t IN ('x')", "less")]),
        ("a BETWEEN 1 AND 5", "a BETWEEN 0 AND 5", [("a BETWEEN 1 AND 5 → a BETWEEN 0 AND 5", "more")]),
        ("a BETWEEN 1 AND 5", "a BETWEEN 2 AND 6", [("a BETWEEN 1 AND 5 → a BETWEEN 2 AND 6", "other")]),
        ("t = 'x'", "t = 'y'", [("t = 'x' → t = 'y'", "other")]),
        ("a > 8 AND b > 1", "b>1 and (a>8)", []),
    ],
)
def test_conditions_in_words(old: str, new: str, told: list[tuple[str, str]]) -> None:
    """Which part is another, and what that does to the firings."""
    found = [(one.said, one.effect) for one in of_conditions(parse(old, TYPES), parse(new, TYPES))]
    assert found == told


numbers = st.integers(0, 3).map(str)
atoms = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from("ab"), st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]), numbers),
    st.builds("{} {} {}".format, numbers, st.sampled_from(["<", ">="]), st.sampled_from("ab")),
    st.builds("{} BETWEEN {} AND {}".format, st.sampled_from("ab"), numbers, numbers),
    st.sampled_from(["t IN ('x', 'y')", "t IN ('x')", "t = 'y'", "t IS NULL"]),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=6,
)
NAMES = {name: pl.col(name) for name in TYPES}
EVENTS = pl.DataFrame(
    list(itertools.product([None, 0, 1, 2, 3, 4], [None, 0, 1, 2, 3], [None, "x", "y"])),
    schema={"a": pl.Int64, "b": pl.Int64, "t": pl.String},
    orient="row",
)


@given(conditions, conditions)
def test_less_is_less_and_more_is_more(old: str, new: str) -> None:
    """Of any two conditions: with "less" none fires that did not, with "more" all fire that did; NULLs among them."""
    was, now = parse(old, TYPES), parse(new, TYPES)
    effect = effect_of(of_conditions(was, now))
    fired = [set(EVENTS.with_row_index().filter(expression(tree, NAMES, {}))["index"].to_list()) for tree in (was, now)]
    if effect == "less":
        assert fired[1] <= fired[0]
    elif effect == "more":
        assert fired[1] >= fired[0]
    elif effect == "words":
        assert fired[1] == fired[0]


@pytest.mark.parametrize(
    ("swap", "part", "effect"),
    [
        (("avg_10m > 8", "avg_10m > 7"), "条件 when", "more"),
        (("within: 10m", "within: 20m"), "特征 feature", "other"),
        (("quiet: 2h", "quiet: 4h"), "静默 quiet", "less"),
        (("status: live", "status: retired"), "状态 status", "less"),
        (("status: live", "status: shadow"), "状态 status", "routed"),
        (("avg_10m > 12", "avg_10m > 13"), "等级 red", "routed"),
        (("department: market-supervision", "department: drug-supervision"), "部门 department", "routed"),
        (("除霜", "开门"), "常见误报 false positives", "words"),
    ],
)
def test_parts_of_a_rule(swap: tuple[str, str], part: str, effect: str) -> None:
    """Each part has its name and its effect."""
    found = changes(rule(), rule(swap))
    assert found
    assert all(one.part.startswith(part) for one in found), found
    assert effect_of(found) == effect


def test_a_comment_is_no_change() -> None:
    """Nothing differs in meaning, nothing is told."""
    assert changes(rule(), parse_rule(GOOD + "# a comment\n", "food-cold-store-warm.yaml")) == []


def test_scores_tables_and_suppressions() -> None:
    """Rows and parts that came or went are told as they were written; what is held back now fires less."""
    table = "tables:\n  limit:\n    - {months: 6-8, gives: 10}\n    - {gives: 8}\n"
    held = "suppress:\n  - {when: \"region = '320102'\", why: 检修}\n"
    old = rule(("when: ", table + "when: "), ("avg_10m > 8", "avg_10m > limit"))
    new = rule(("when: ", table.replace("10}", "9}") + held + "when: "), ("avg_10m > 8", "avg_10m > limit"))
    told = {(one.part, one.said): one.effect for one in changes(old, new)}
    assert set(told.values()) == {"other", "less"}
    assert ("不报 suppress", "+ region = '320102' (检修)") in told
    assert any(said.startswith("+ ") and "9" in said for part, said in told if part.endswith("limit"))
    assert effect_of(changes(rule(), replace(rule(), suppress=new.suppress))) == "less"


def test_filters() -> None:
    """A filter that hides more lets less fire."""
    text = 'id: for-repair\nrules: [r]\nwhere: "value > 8"\nuntil: 2027-01-01\nreason: 检修\nowner: 张三\n'
    old = parse_filter(text, "for-repair.yaml")
    wider = parse_filter(text.replace("> 8", "> 7").replace("2027-01-01", "2027-02-01"), "for-repair.yaml")
    assert [(one.said, one.effect) for one in changes(old, wider)] == [
        ("value > 8 → value > 7", "less"),
        ("2027-01-01 → 2027-02-01", "less"),
    ]
    with pytest.raises(TypeError):
        changes(old, rule())
