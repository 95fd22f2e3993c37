"""What departments said of clues, and how the clues of a back-test fare by it.

A back-test's clue has the label of the live clue with its id; without one, that of the nearest labelled clue of the same rule and
key within the rule's quiet time: another version may open the same episode at another event.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.archive.layout import files
from rules import Rule

CONFIRMED: Final = "confirmed"
FALSE_ALARM: Final = "false-alarm"
UNKNOWN: Final = "unknown"
_STATE: Final = pl.Struct(
    {"origin_id": pl.String, "key": pl.String, "occurred_at": pl.Int64, "claimed_at": pl.Int64, "fed_back_at": pl.Int64,
     "verdict": pl.String}
)  # fmt: skip
SCHEMA: Final = {"clue_id": pl.String, "origin_id": pl.String, "key": pl.String, "occurred_at": pl.Int64, "verdict": pl.String,
                 "minutes": pl.Float64}  # fmt: skip


def labels(root: Path) -> pl.DataFrame:
    """One row a clue with feedback, the last that counts: `SCHEMA`; `minutes` from claim to feedback."""
    paths = files(root, "clue-log")
    if not paths:
        return pl.DataFrame(schema=SCHEMA)
    fed = pl.scan_parquet(paths).filter((pl.col("verb") == "feedback") & pl.col("accepted"))
    found = fed.select("clue_id", "seq", pl.col("state").str.json_decode(_STATE).alias("state")).collect()
    last = found.sort("seq").unique("clue_id", keep="last", maintain_order=True).unnest("state")
    minutes = (pl.col("fed_back_at") - pl.col("claimed_at")) / 60_000
    return last.with_columns(minutes.alias("minutes")).select(list(SCHEMA)).sort("occurred_at", "clue_id")


def labelled(clues: pl.DataFrame, known: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The clues of one rule with `verdict` (`unknown` where nobody said) and `label_of`, the clue it was said of."""
    mine = known.filter(pl.col("origin_id") == rule.id)
    own = mine.select("clue_id", pl.col("verdict").alias("own"))
    near = mine.sort("occurred_at").select(
        "key", "occurred_at", pl.col("verdict").alias("near"), pl.col("clue_id").alias("near_of")
    )
    joined = clues.sort("occurred_at").join_asof(
        near, on="occurred_at", by="key", strategy="nearest", tolerance=rule.episode.quiet, check_sortedness=False
    )
    return (
        joined.join(own, on="clue_id", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("own", "near", pl.lit(UNKNOWN)).alias("verdict"),
            pl.when(pl.col("own").is_not_null()).then("clue_id").otherwise("near_of").alias("label_of"),
        )
        .drop("own", "near", "near_of")
    )


@dataclass(frozen=True, slots=True)
class Score:
    """How a rule's clues fare: counts by label; precision of the labelled; recall of the confirmed that are known of the rule
    (None where there is nothing to divide by); clues a day; minutes that departments would spend on false alarms."""

    clues: int
    confirmed: int
    false_alarms: int
    unknown: int
    precision: float | None
    recall: float | None
    per_day: float
    wasted_minutes: float


def score(clues: pl.DataFrame, known: pl.DataFrame, rule: Rule, days: float) -> Score:
    """The score of labelled clues (`labelled`) over so many days."""
    counts = dict(clues["verdict"].value_counts().iter_rows())
    confirmed, wrong = counts.get(CONFIRMED, 0), counts.get(FALSE_ALARM, 0)
    mine = known.filter(pl.col("origin_id") == rule.id)
    due = mine.filter(pl.col("verdict") == CONFIRMED)["clue_id"]
    told = clues.filter(pl.col("verdict") == CONFIRMED)["label_of"].unique()
    handled: Any = mine["minutes"].median()
    return Score(
        clues.height,
        confirmed,
        wrong,
        clues.height - confirmed - wrong,
        ratio(confirmed, confirmed + wrong),
        ratio(int(due.is_in(told.implode()).sum()), len(due)),
        clues.height / days if days else 0.0,
        wrong * float(handled or 0.0),
    )


def ratio(part: int, whole: int) -> float | None:
    """A share; None where there is nothing to divide by."""
    return part / whole if whole else None
