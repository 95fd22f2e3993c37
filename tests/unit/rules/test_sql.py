"""The allow-list: what is not known is refused, quickly, by name; what is known reads as meant."""

import time

import pytest

from rules.errors import SqlError
from rules.load import COLUMNS
from rules.sql import MAX_DEPTH, parse
from rules.tree import canonical

HOSTILE = [
    "(SELECT v FROM read_csv('/etc/passwd')) > 1",
    "value IN (SELECT 1)",
    "EXISTS (SELECT 1)",
    "value > (SELECT max(value) FROM events)",
    "read_csv('/etc/passwd') IS NULL",
    "read_parquet('http://example.com/x') IS NULL",
    "scan_csv('x') = 1",
    "SELECT 1; DROP TABLE t",
    "value > 1; DROP TABLE t",
    "DROP TABLE t",
    "ATTACH 'x.db'",
    "COPY t TO 'x'",
    "PRAGMA version",
    "value > 1 -- and the rest",
    "value > 1 /* hidden */",
    "LPAD(metric, 2000000000, 'x') = 'x'",
    "REPEAT(metric, 2000000000) = 'x'",
    "RPAD(metric, 2000000000) = 'x'",
    "CONCAT(metric, metric) = 'x'",
    "metric || metric = 'x'",
    "REPLACE(metric, 'a', 'aaaaaaaaaa') = 'x'",
    "REGEXP_LIKE(metric, '(a+)+$')",
    "metric ~ '(a+)+$'",
    "metric SIMILAR TO '(a+)+'",
    "metric LIKE metric",
    "metric LIKE 'a' ESCAPE '!'",
    f"metric LIKE '{'%a' * 200}'",
    "metric IN list(metric)",
    "metric IN list('a', 'b')",
    "metric IN UNNEST(x)",
    "CAST(metric AS BLOB) IS NULL",
    "CAST(value AS DECIMAL(38, 10)) > 1",
    "CAST(metric AS DOUBLE[]) IS NULL",
    "CAST(metric AS STRUCT(a INT)) IS NULL",
    "metric.upper > 1",
    "t.value > 1",
    "events.t.value > 1",
    "value[0] > 1",
    "[1, 2, 3] IS NULL",
    "{'a': 1} IS NULL",
    "x -> x + 1",
    "SUM(value) OVER () > 1",
    "COUNT(*) > 1",
    "RANDOM() > 0.5",
    "NOW() > 1",
    "CURRENT_USER = 'root'",
    "getenv('HOME') = 'x'",
    "pg_sleep(10) IS NULL",
    "version() = 'x'",
    "eval('1') = 1",
    "__import__('os') IS NULL",
    "value > 1 ORDER BY value",
    "value > $1",
    "value > ?",
    "value > :name",
    "@x > 1",
    "* ",
    "value > 1e999",
    "value > 0x7fffffffffffffffffffff",
    "TRIM(BOTH 'x' FROM metric) = 'a'",
    "ROUND(value, 400) > 1",
    "SUBSTR(metric, -1, 99999999999) = 'a'",
    "value > ALL (1)",
    "value IS DISTINCT FROM 1",
    "INTERVAL '1' DAY IS NULL",
    "metric COLLATE x = 'a'",
    "metric = 'a' AND",
    "((value > 1)",
    "'unclosed",
    "",
    "   ",
    "\x00",
    "value >" + " -" * 300 + "1",
    "(" * 500 + "value" + ")" * 500 + " > 1",
    "NOT " * 3000 + "hearing",
    " AND ".join(["value > 1"] * 10_000),
    "value > 1" + " + 1" * 500,
    "CASE WHEN " * 100 + "hearing",
    "metric = '" + "a" * 10_000 + "'",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_hostile_or_unknown_is_refused_at_once(text: str) -> None:
    """None of these passes, none takes long, and each is answered with a SqlError."""
    began = time.perf_counter()
    with pytest.raises(SqlError):
        parse(text, COLUMNS)
    assert time.perf_counter() - began < 1


def test_there_are_enough_hostile_expressions() -> None:
    """At least forty, all different."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrc = 'cod'", "unknown column 'metrc'; did you mean 'metric'?"),
        ("metric = cod", "unknown column 'cod'"),
        ('metric = "cod"', "unknown column 'cod'; texts take single quotes"),
        ("metric = 5", "compares a text with a number"),
        ("value = NULL", "write IS NULL"),
        ("value", "must be a bool, but is a number"),
        ("value + metric > 1", "a number is needed here, but 'metric' is a text"),
        ("hearing > 1", "compares a bool with a number"),
        ("avg(value) > 1", "name it under features"),
        ("weekdy(occurred_at) = 1", "did you mean 'weekday'?"),
        ("days_between(occurred_at) = 1", "days_between takes 2 argument"),
        ("metric = 'a' AND value > 5）", "full-width punctuation"),
        ("CASE WHEN hearing THEN 1 ELSE 'a' END = 1", "must be of one type"),
        ("value IN ('a')", "IN takes a bracket of number values"),
    ],
)
def test_a_refusal_says_what_to_mend(text: str, message: str) -> None:
    """The message names the fault and, where there is one, the word that was meant."""
    with pytest.raises(SqlError) as refused:
        parse(text, COLUMNS)
    assert message in refused.value.message


def test_a_refusal_points_to_the_place() -> None:
    """The offset is that of the word in the text."""
    text = "metric = 'cod' AND valu > 1"
    with pytest.raises(SqlError) as refused:
        parse(text, COLUMNS)
    assert refused.value.offset == text.index("valu ")


@pytest.mark.parametrize(
    "text",
    ["metric='cod' and value>1", "(metric = 'cod') AND ((value > 1))", "metric = 'cod' AND value > 1.0"],
)
def test_spelling_does_not_change_the_meaning(text: str) -> None:
    """Spaces, case of SQL's words, redundant brackets and 1.0 for 1 leave the canonical form alone."""
    assert canonical(parse(text, COLUMNS)) == "(and (= metric 'cod') (> value 1))"


def test_different_casts_differ() -> None:
    """CAST to text and CAST to number do not share a canonical form."""
    assert canonical(parse("CAST(value AS TEXT) IS NULL", COLUMNS)) != canonical(
        parse("CAST(value AS BIGINT) IS NULL", COLUMNS)
    )


def test_long_but_flat_conditions_pass() -> None:
    """A chain of conditions is not deep: a hundred ANDs pass, while nesting beyond the cap does not."""
    parse(" AND ".join(["value > 1"] * 100), COLUMNS)
    with pytest.raises(SqlError, match="nested too deeply"):
        parse("ABS(" * (MAX_DEPTH + 1) + "value" + ")" * (MAX_DEPTH + 1) + " > 1", COLUMNS)
