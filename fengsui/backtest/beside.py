"""A shadow rule beside the live one it may replace: what both raised on the same live traffic, clue by clue.

Both are compared over the time in which both stood as they stand now: from when the younger of the two versions was published.
Clues of the two are one finding when they are about the same key and lie within the longer of the two quiet times.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.archive.layout import DAY_MS, files
from fengsui.backtest.history import publications
from fengsui.backtest.labels import Score, labelled, score
from fengsui.backtest.report import counted
from rules import Rule, parse_rule

_TOPICS: Final = {"live": "clues", "shadow": "shadow-clues"}
_SHOWN: Final = ("clue_id", "severity", "subject", "key", "region", "occurred_at", "raised_at", "explanation")


@dataclass(frozen=True, slots=True)
class Standing:
    """A published rule as the archive has it: its newest version, and since when that stands (log time, ms UTC)."""

    rule: Rule
    since: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: the rule, its clues with labels, its score, and the clues that the other one has no counterpart of."""

    rule: Rule
    clues: pl.DataFrame
    score: Score
    alone: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Beside:
    """The comparison: time (log time, ms UTC), both sides, how many clues of the candidate the live rule had as well."""

    since: int
    until: int
    candidate: Side
    live: Side
    both: int


def standing(root: Path, rule_id: str) -> Standing | None:
    """The newest archived version of a rule, and since when; None where there is none, or not any more. Raises RuleError."""
    last = (publications(root, rule_id) or [{"text": None}])[-1]
    return None if last["text"] is None else Standing(parse_rule(last["text"], f"published {rule_id}"), last["_ts"])


def beside(root: Path, candidate: Rule, live: Rule, known: pl.DataFrame, since: int, until: int) -> Beside:
    """What both raised from `since` to `until` (log time, ms UTC), labelled by what is `known` of the live rule's clues."""
    quiet = max(candidate.episode.quiet, live.episode.quiet)
    key = "key" if candidate.episode.by == live.episode.by else "subject"
    told_of = replace(live, episode=replace(live.episode, quiet=quiet))
    days = (until - since) / DAY_MS
    mine = known.filter(pl.col("origin_id") == live.id)
    clues = [labelled(raised(root, one, since, until), mine, told_of) for one in (candidate, live)]
    scores = [score(one, _within(mine, clues[1]), told_of, days) for one in clues]
    alone = [_alone(clues[i], clues[1 - i], key, quiet) for i in (0, 1)]
    sides = [
        Side(rule, *three)
        for rule, three in zip((candidate, live), zip(clues, scores, alone, strict=True), strict=True)
    ]
    return Beside(since, until, sides[0], sides[1], clues[0].height - alone[0].height)


def raised(root: Path, rule: Rule, since: int, until: int) -> pl.DataFrame:
    """The clues of a rule's version, in log time; each once."""
    paths = files(root, _TOPICS["live" if rule.status == "live" else "shadow"])
    if not paths:
        return pl.DataFrame(schema=dict.fromkeys(_SHOWN, pl.String) | {"occurred_at": pl.Int64, "raised_at": pl.Int64})
    mine = pl.scan_parquet(paths).filter((pl.col("origin_id") == rule.id) & (pl.col("origin_version") == rule.version))
    inside = mine.filter(pl.col("raised_at").is_between(since, until, closed="left")).select(_SHOWN)
    return inside.collect().unique("clue_id", maintain_order=True).sort("occurred_at", "clue_id")


def as_json(found: Beside) -> dict[str, Any]:
    """The comparison as one JSON object."""
    told: dict[str, Any] = {"since": found.since, "until": found.until, "both": found.both}
    for name, side in (("candidate", found.candidate), ("live", found.live)):
        about = {"rule": side.rule.id, "version": side.rule.version, "status": side.rule.status}
        told[name] = about | asdict(side.score) | {"alone": counted(side.alone)}
    told["minutes_saved"] = round(found.live.score.wasted_minutes - found.candidate.score.wasted_minutes, 1)
    return told


def _within(known: pl.DataFrame, clues: pl.DataFrame) -> pl.DataFrame:
    """The labels of these clues: recall is of what was confirmed in the time that is compared."""
    return known.filter(pl.col("clue_id").is_in(clues["clue_id"].implode()))


def _alone(clues: pl.DataFrame, others: pl.DataFrame, key: str, quiet: int) -> pl.DataFrame:
    """Those that no clue of the others comes near."""
    near = others.sort("occurred_at").select(key, "occurred_at", pl.col("clue_id").alias("near"))
    joined = clues.sort("occurred_at").join_asof(
        near, on="occurred_at", by=key, strategy="nearest", tolerance=quiet, check_sortedness=False
    )
    return joined.filter(pl.col("near").is_null()).drop("near")
