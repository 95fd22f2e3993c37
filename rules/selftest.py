"""Running the tests inside rule files, through the same `Judge` that the stream uses."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import polars as pl

from rules.durations import spoken
from rules.judge import Judge
from rules.model import Case, Expected, Rule
from topics.events import KINDS

MINUTE: Final = 60_000
DAY: Final = 1_440 * MINUTE
LATENESS: Final = {  # as the engine's settings have it unless told otherwise
    "inspection": 7 * DAY,
    "penalty": 7 * DAY,
    "complaint": 3 * DAY,
    "iot": 10 * MINUTE,
    "video": 10 * MINUTE,
    "opinion": DAY,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test of one rule: `problem` is "" when it passed."""

    rule: str
    sector: str
    path: str
    line: int
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """Outcomes of all tests, and how long they took."""

    outcomes: tuple[Outcome, ...]
    rules: int
    sectors: int
    seconds: float

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """What did not pass."""
        return tuple(outcome for outcome in self.outcomes if outcome.problem)


def run_tests(rules: Sequence[Rule], lateness: Mapping[str, int] = LATENESS) -> Report:
    """Run every test of every rule that is not retired. A rule needs one test that fires and one that stays quiet."""
    began = time.perf_counter()
    tested = [rule for rule in rules if rule.status != "retired"]
    outcomes = [outcome for rule in tested for outcome in _rule(rule, lateness)]
    return Report(tuple(outcomes), len(tested), len({rule.sector for rule in tested}), time.perf_counter() - began)


def missing(rule: Rule) -> str:
    """Which of the two kinds of test the rule lacks, or ""."""
    if not any(case.expect for case in rule.tests):
        return "has no test that fires"
    return "" if any(not case.expect for case in rule.tests) else "has no test that stays quiet"


def clues_of(rule: Rule, case: Case, lateness: Mapping[str, int] = LATENESS) -> pl.DataFrame:
    """The clues that the rule raises on a test's events, whatever its status."""
    rule, lists = replace(rule, status="live"), {name: dict(entries) for name, entries in case.lists}
    here = Judge([rule], scope="subject", lateness=lateness, lists=lists)
    there = Judge([rule], scope="foreign", lateness=lateness, lists=lists)
    found = []
    for kind, frame in _frames(case):
        if rule.foreign:
            copies = here.copies(kind, frame)
            frame = frame[copies["row"].to_numpy()].with_columns(copies["key"].alias("_key"))  # noqa: PLW2901
        found.append((there if rule.foreign else here).judge(kind, frame, topic=KINDS[kind].topic, partition=0))
    found += [judge.tick(case.until) for judge in (here, there)]
    return pl.concat(found)


def _rule(rule: Rule, lateness: Mapping[str, int]) -> Iterator[Outcome]:
    lack = missing(rule)
    if lack:
        yield Outcome(rule.id, rule.sector, rule.path, 1, "both kinds of test", lack)
    for case in rule.tests:
        yield Outcome(rule.id, rule.sector, rule.path, case.line, case.name, _problem(rule, case, lateness))


def _problem(rule: Rule, case: Case, lateness: Mapping[str, int]) -> str:
    clues = clues_of(rule, case, lateness).select("occurred_at", "severity").rows()
    got = sorted((Expected(at - case.start, severity) for at, severity in clues), key=lambda e: (e.at, e.severity))
    return "" if tuple(got) == case.expect else f"expected {_spoken(case.expect)}, got {_spoken(got)}"


def _spoken(expected: Sequence[Expected]) -> str:
    return ", ".join(f"{e.severity} at {spoken(e.at)}" for e in expected) or "nothing"


def _frames(case: Case) -> Iterator[tuple[str, pl.DataFrame]]:
    """Runs of events of one kind, in arrival order, as the stream would see them."""
    offset = 0
    for kind, run in groupby(case.events, key=lambda event: event["kind"]):
        rows: list[dict[str, Any]] = [
            {**event, "_offset": offset + i, "_ts": event["observed_at"]} for i, event in enumerate(run)
        ]
        offset += len(rows)
        schema: dict[str, type[pl.DataType]] = {**KINDS[kind].schema.columns, "_offset": pl.Int64, "_ts": pl.Int64}
        yield kind, pl.DataFrame(rows, schema=schema, orient="row")
