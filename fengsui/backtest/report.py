"""The outcome of a back-test for people and programs: counts, labels, what another version does otherwise, clue by clue."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from fengsui.backtest.labels import Score, labelled, score
from fengsui.backtest.run import Backtest
from rules import Rule
from rules.explain import beijing

_SHOWN: Final = ("clue_id", "severity", "subject", "key", "occurred_at", "explanation", "verdict")
MOST_SHOWN: Final = 200  # clues of a difference that are written out


@dataclass(frozen=True, slots=True)
class Report:
    """One rule: its clues with their labels, its score."""

    rule: Rule
    clues: pl.DataFrame
    score: Score


def report(rule: Rule, tested: Backtest, known: pl.DataFrame, days: float) -> Report:
    """The part of a back-test that is about one rule."""
    mine = labelled(tested.clues.filter(pl.col("origin_id") == rule.id), known, rule)
    return Report(rule, mine, score(mine, known, rule, days))


def as_json(one: Report, tested: Backtest) -> dict[str, Any]:
    """A report as one JSON object."""
    clues = one.clues.with_columns(pl.col("occurred_at").map_elements(_day, pl.String).alias("day"))
    counts = {
        f"by_{name}": dict(clues[column].fill_null("").value_counts(sort=True).iter_rows())
        for name, column in (("day", "day"), ("sector", "sector"), ("region", "region"), ("severity", "severity"))
    }
    counts["by_day"] = dict(sorted(counts["by_day"].items()))
    hidden = {by: n for (rule, by), n in tested.hidden.items() if rule == one.rule.id}
    return {
        "rule": one.rule.id, "version": one.rule.version, "events": tested.events,
        "events_per_second": round(tested.events_per_second), "seconds": round(tested.seconds, 2),
        **asdict(one.score), **counts, "hidden": hidden, "suppressed": tested.suppressed.get(one.rule.id, 0),
    }  # fmt: skip


def difference(one: Report, other: Report) -> dict[str, Any]:
    """What `one` raises that `other` does not, and the other way round; and where both do, but not alike."""
    both = one.clues.join(other.clues.select("clue_id", pl.col("severity").alias("before")), on="clue_id")
    changed = both.filter(pl.col("severity") != pl.col("before"))
    added = one.clues.join(other.clues, on="clue_id", how="anti")
    removed = other.clues.join(one.clues, on="clue_id", how="anti")
    saved = other.score.wasted_minutes - one.score.wasted_minutes
    return {
        "rule": other.rule.id, "version": other.rule.version, **asdict(other.score),
        "added": counted(added), "removed": counted(removed), "regraded": counted(changed),
        "same": both.height - changed.height, "minutes_saved": round(saved, 1),
    }  # fmt: skip


def counted(clues: pl.DataFrame) -> dict[str, Any]:
    """How many clues there are, by label, and the first of them."""
    rows = clues.sort("occurred_at", "clue_id").select(_SHOWN).head(MOST_SHOWN).to_dicts()
    return {"clues": clues.height, **dict(clues["verdict"].value_counts().iter_rows()), "shown": rows}


def _day(ms: int) -> str:
    return beijing(ms)[:10]
