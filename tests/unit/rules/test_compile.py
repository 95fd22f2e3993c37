"""Conditions as columns: SQL's three-valued logic, Beijing time, and cost that does not explode."""

import time
from typing import Any

import polars as pl
import pytest

from rules.compile import expression
from rules.errors import SqlError
from rules.load import COLUMNS
from rules.sql import parse

MIDNIGHT = 1_767_542_400_000  # Monday 2026-01-05 00:00 in Beijing
MINUTE = 60_000
FRAME = pl.DataFrame(
    {
        "value": [1.0, None, -3.5, 1e308],
        "metric": ["abc", "A.c", None, "x\ny"],
        "hearing": [True, False, None, True],
        "occurred_at": [MIDNIGHT, MIDNIGHT + (24 * 60 - 1) * MINUTE, MIDNIGHT + 6 * 1440 * MINUTE, 951_782_400_000],
    },
    schema={"value": pl.Float64, "metric": pl.String, "hearing": pl.Boolean, "occurred_at": pl.Int64},
)
NAMES = {name: pl.col(name) for name in FRAME.columns}
T, F, N = True, False, None


def evaluate(text: str) -> list[Any]:
    """The condition on the four rows."""
    found = expression(parse(text, COLUMNS), NAMES, {"key": {"abc": None}})
    return FRAME.select(pl.col("value"), found.alias("result"))["result"].to_list()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("value > 0", [T, N, F, T]),
        ("NOT value > 0", [F, N, T, F]),
        ("value > 0 OR hearing", [T, N, N, T]),
        ("value > 0 AND hearing", [T, F, F, T]),
        ("value > 0 AND NULL IS NULL", [T, N, F, T]),
        ("value / 0 > 0", [N, N, N, N]),
        ("0 / value > 0 OR TRUE", [T, T, T, T]),
        ("value * 10 > 1", [T, N, F, N]),
        ("value % 2 = 1", [T, N, F, F]),
        ("value BETWEEN -5 AND 1", [T, N, T, F]),
        ("value IN (1, 2)", [T, N, F, F]),
        ("value NOT IN (1, 2)", [F, N, T, T]),
        ("metric IN list('key')", [T, F, N, F]),
        ("metric NOT IN list('key')", [F, T, N, T]),
        ("metric IN list('nobody made this one')", [F, F, N, F]),
        ("metric LIKE 'a%'", [T, F, N, F]),
        ("metric NOT LIKE 'a%'", [F, T, N, T]),
        ("metric LIKE 'A.c'", [F, T, N, F]),
        ("metric LIKE 'a_c'", [T, F, N, F]),
        ("metric LIKE 'x%y'", [F, F, N, T]),
        ("metric ILIKE 'a%'", [T, T, N, F]),
        ("value IS NULL", [F, T, F, F]),
        ("value IS NOT NULL", [T, F, T, T]),
        ("hearing IS TRUE", [T, F, F, T]),
        ("hearing IS NOT TRUE", [F, T, T, F]),
        ("hearing IS FALSE", [F, T, F, F]),
        ("CASE WHEN value > 0 THEN 1 WHEN hearing THEN 2 END = 1", [T, N, N, T]),
        ("COALESCE(value, 0) = 0", [F, T, F, F]),
        ("ABS(value) = 3.5", [F, N, T, F]),
        ("ROUND(value) = -3", [F, N, F, F]),
        ("UPPER(metric) = 'ABC' OR LOWER(metric) = 'a.c'", [T, T, N, F]),
        ("LENGTH(metric) = 3", [T, T, N, T]),
        ("SUBSTR(metric, 2, 1) = 'b'", [T, F, N, F]),
        ("STARTS_WITH(metric, 'A')", [F, T, N, F]),
        ("CAST(metric AS DOUBLE) IS NULL", [T, T, T, T]),
        ("CAST(value AS BIGINT) = -3", [F, N, T, N]),
        ("CAST(hearing AS BIGINT) = 1", [T, F, N, T]),
        ("hour(occurred_at) = 23 AND minute(occurred_at) = 59", [F, T, F, F]),
        ("weekday(occurred_at) = 1", [T, T, F, F]),
        ("weekday(occurred_at) = 7", [F, F, T, F]),
        ("day(occurred_at) = 5 AND month(occurred_at) = 1 AND year(occurred_at) = 2026", [T, T, F, F]),
        ("year(occurred_at) = 2000 AND month(occurred_at) = 2 AND day(occurred_at) = 29", [F, F, F, T]),
        ("days_between(occurred_at, occurred_at + 86400000) = 1", [T, T, T, T]),
    ],
)
def test_meaning(text: str, result: list[bool | None]) -> None:
    """Each operation on values, NULLs and edges."""
    assert evaluate(text) == result


NESTS = {
    "value": ("{} > 0", ["({} + 1)", "(1 / {})", "({} % 3)", "ABS({})", "ROUND({}, 1)", "COALESCE({}, 1)", "-({})",
                         "CASE WHEN value > 0 THEN {} ELSE 1 END", "CASE WHEN {} BETWEEN 1 AND 2 THEN 1 ELSE 2 END",
                         "CAST(CAST({} AS TEXT) AS DOUBLE)", "day({})", "weekday({})", "CAST({} AS BIGINT)"]),
    "hearing": ("{}", ["NOT {}", "({} IS TRUE)", "({} IS FALSE)", "({} IS NULL)", "({} IN (TRUE))", "({} AND hearing)",
                       "CAST(CAST({} AS TEXT) AS BOOLEAN)", "CASE WHEN {} THEN hearing ELSE TRUE END"]),
    "metric": ("{} = 'a'", ["LOWER({})", "TRIM({})", "SUBSTR({}, 1, 2)", "COALESCE({}, 'x')"]),
}  # fmt: skip


@pytest.mark.parametrize(("base", "nest"), [(base, nest) for base, (_, nests) in NESTS.items() for nest in nests])
def test_no_operation_doubles_its_argument(base: str, nest: str) -> None:
    """Nested as deep as allowed, every operation still evaluates at once: cost grows with depth, not with its power of two."""
    around, inner = NESTS[base][0], base
    for _ in range(60):
        deeper = nest.format(inner)
        try:
            parse(around.format(deeper), COLUMNS)
        except SqlError:
            break
        inner = deeper
    assert len(inner) > 10 * len(base)
    began = time.perf_counter()
    evaluate(around.format(inner))
    assert time.perf_counter() - began < 2
