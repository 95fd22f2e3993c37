"""Rule hygiene on the archive: rules that never fire, that fire on everybody, that say what another says, or are mostly wrong;
and what no rule looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import polars as pl

from connectors.archive.layout import files
from fengsui.backtest.report import report
from fengsui.backtest.run import Backtest
from rules import Rule
from rules.model import RANKS
from topics.codes import SECTORS
from topics.events import KINDS

Finding = Literal["never", "always", "duplicate", "dominated", "imprecise"]
ALWAYS: Final = 0.5  # of the subjects seen in a rule's sector
FEWEST_SUBJECTS: Final = 20  # below which a share says nothing
ALIKE: Final = 0.95  # of two rules' clues, to be called the same
FEWEST_CLUES: Final = 10
BAR: Final = 0.5  # precision
FEWEST_LABELS: Final = 20
HOUR: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a rule, in figures; `other`: the rule that says the same, or more."""

    rule: str
    finding: Finding
    figure: float
    other: str = ""


@dataclass(frozen=True, slots=True)
class Covered:
    """Of a sector, or of an item code: live rules, events, subjects, clues."""

    name: str
    rules: int
    events: int
    subjects: int
    clues: int


@dataclass(slots=True)
class Health:
    """Problems by rule, and coverage."""

    problems: list[Problem] = field(default_factory=list)
    sectors: list[Covered] = field(default_factory=list)
    items: list[Covered] = field(default_factory=list)


def health(
    rules: Sequence[Rule], tested: Backtest, known: pl.DataFrame, root: Path, days: float, bar: float = BAR
) -> Health:
    """Look at a back-test of all rules."""
    found, events = Health(), _events(root)
    seen_in = _counted(events, "sector")
    for rule in rules:
        mine = report(rule, tested, known, days)
        if not mine.clues.height:
            found.problems.append(Problem(rule.id, "never", 0))
            continue
        seen, fired = seen_in.get(rule.sector, (0, 0))[1], mine.clues["subject"].n_unique()
        if seen >= FEWEST_SUBJECTS and fired >= ALWAYS * seen:
            found.problems.append(Problem(rule.id, "always", fired / seen))
        told = mine.score
        if told.precision is not None and told.confirmed + told.false_alarms >= FEWEST_LABELS and told.precision < bar:
            found.problems.append(Problem(rule.id, "imprecise", told.precision))
    found.problems += _overlaps(rules, tested.clues)
    found.problems.sort(key=lambda one: (one.rule, one.finding))
    found.sectors = _sectors(rules, seen_in, tested.clues)
    found.items = _items(events, tested.clues)
    return found


def _events(root: Path) -> pl.LazyFrame:
    """sector, item_code, subject and event_id of all archived events; what could not be read is left out."""
    names = ["sector", "item_code", "subject", "event_id"]
    parts = [pl.LazyFrame(schema=dict.fromkeys(names, pl.String))]
    for kind in KINDS.values():
        if paths := files(root, kind.topic):
            parts.append(pl.scan_parquet(paths).select(names).filter(pl.col("event_id").is_not_null()))
    return pl.concat(parts)


def _counted(events: pl.LazyFrame, by: str) -> dict[str, tuple[int, int]]:
    """How many events and subjects each value of a column has, most first."""
    counts = events.filter(pl.col(by).is_not_null()).group_by(by).agg(pl.len().alias("n"), pl.col("subject").n_unique())
    rows = counts.collect(engine="streaming").sort("n", by, descending=[True, False])
    return {name: (n, subjects) for name, n, subjects in rows.iter_rows()}


def _overlaps(rules: Sequence[Rule], clues: pl.DataFrame) -> list[Problem]:
    """Pairs of rules whose clues are of the same subjects in the same hours, or one's are all among the other's."""
    places = clues.select(
        "origin_id", "subject", (pl.col("occurred_at") // HOUR).alias("hour"), pl.col("severity")
    ).unique()
    sizes = dict(places.select("origin_id", "subject", "hour").unique()["origin_id"].value_counts().iter_rows())
    pairs = (
        places.join(places, on=["subject", "hour"], suffix="_other")
        .filter(pl.col("origin_id") != pl.col("origin_id_other"))
        .with_columns(
            (pl.col("severity_other").replace_strict(RANKS) >= pl.col("severity").replace_strict(RANKS)).alias(
                "as_grave"
            )
        )
        .group_by("origin_id", "origin_id_other")
        .agg(pl.struct("subject", "hour").n_unique().alias("n"), pl.col("as_grave").all())
    )
    order = {rule.id: i for i, rule in enumerate(rules)}
    problems = []
    for one, other, n, as_grave in pairs.sort("origin_id", "origin_id_other").iter_rows():
        if sizes[one] < FEWEST_CLUES:
            continue
        share, back = n / sizes[one], n / sizes[other]
        if share >= ALIKE and back >= ALIKE:
            if order[one] > order[other]:  # said once of a pair
                problems.append(Problem(one, "duplicate", n / (sizes[one] + sizes[other] - n), other))
        elif share >= ALIKE and as_grave:
            problems.append(Problem(one, "dominated", share, other))
    return problems


def _sectors(rules: Sequence[Rule], seen: Mapping[str, tuple[int, int]], clues: pl.DataFrame) -> list[Covered]:
    """Every sector, also those that nobody looks at."""
    live = [rule.sector for rule in rules if rule.status == "live"]
    raised = dict(clues["sector"].value_counts().iter_rows())
    return [Covered(name, live.count(name), *seen.get(name, (0, 0)), raised.get(name, 0)) for name in SECTORS]


def _items(events: pl.LazyFrame, clues: pl.DataFrame) -> list[Covered]:
    """Item codes (事项编码) that events name, most first, with how many events that clues rest on."""
    evidence = clues.lazy().select(pl.col("evidence").str.extract(r'"event_id":"([^"]*)"').alias("event_id"), "subject")
    named = events.filter(pl.col("item_code").is_not_null())
    rested = named.join(evidence.unique(), on=["event_id", "subject"], how="semi").group_by("item_code").agg(pl.len())
    raised = dict(rested.collect(engine="streaming").iter_rows())
    return [Covered(code, 0, *counts, raised.get(code, 0)) for code, counts in _counted(events, "item_code").items()]
