"""The life of a published rule, version by version: who, since when, what it changed, and how its clues fared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.archive.layout import files
from fengsui.backtest.labels import CONFIRMED, FALSE_ALARM, ratio
from rules import Rule, RuleError, parse_keyed
from rules.changes import Change, changes

_TOPICS: Final = ("clues", "shadow-clues")


@dataclass(frozen=True, slots=True)
class Standing:
    """A version from one publication to the next: status, since when (log time, ms UTC), by whom, what it changed (None of the
    first), its clues (those of its time) and what departments said of them; precision is None where nobody did. A withdrawal has
    no version."""

    version: str
    status: str
    since: int
    until: int | None
    actor: str
    changes: Sequence[Change] | None
    clues: int
    confirmed: int
    false_alarms: int

    @property
    def precision(self) -> float | None:
        """Confirmed of those that were called one or the other."""
        return ratio(self.confirmed, self.confirmed + self.false_alarms)


def history(root: Path, rule_id: str, known: pl.DataFrame) -> list[Standing]:
    """All versions of a rule or filter (`filter:` before its id) that stood, oldest first; `known`: labels of clues."""
    runs = publications(root, rule_id)
    raised = _raised(root, rule_id, known)
    told: list[Standing] = []
    for i, row in enumerate(runs):
        since, until = row["_ts"], runs[i + 1]["_ts"] if i + 1 < len(runs) else None
        inside = raised.filter(pl.col("raised_at").is_between(since, until or 2**62, closed="left"))
        own = inside.filter(pl.col("origin_version") == (row["version"] or ""))
        count = dict(own["verdict"].drop_nulls().value_counts().iter_rows())
        text = row["text"]
        before = next((r["text"] for r in reversed(runs[:i]) if r["text"] is not None), None)
        told.append(
            Standing(
                row["version"] or "", _status(rule_id, text), since, until, row["actor"] or "", _changed(rule_id, before, text),
                own.height, count.get(CONFIRMED, 0), count.get(FALSE_ALARM, 0),
            )
        )  # fmt: skip
    return told


def publications(root: Path, rule_id: str) -> list[dict[str, Any]]:
    """`_ts`, version, text and actor of each publication that changed the meaning, and of withdrawals (version and text None)."""
    paths = files(root, "rules")
    if not paths:
        return []
    mine = pl.scan_parquet(paths).filter(pl.col("_key").cast(pl.String) == rule_id)
    found = mine.select("_offset", "_ts", "version", "text", "actor").collect().sort("_offset")
    first = pl.int_range(pl.len()) == 0
    return found.filter(first | pl.col("version").ne_missing(pl.col("version").shift(1))).to_dicts()


def _raised(root: Path, rule_id: str, known: pl.DataFrame) -> pl.DataFrame:
    """Its clues, live and shadow, each once, with what was said of them."""
    parts = [pl.DataFrame(schema={"clue_id": pl.String, "origin_version": pl.String, "raised_at": pl.Int64})]
    for topic in _TOPICS:
        if paths := files(root, topic):
            mine = pl.scan_parquet(paths).filter(pl.col("origin_id") == rule_id)
            parts.append(mine.select("clue_id", "origin_version", "raised_at").collect())
    clues = pl.concat(parts).unique("clue_id", maintain_order=True)
    return clues.join(known.select("clue_id", "verdict"), on="clue_id", how="left", maintain_order="left")


def _status(rule_id: str, text: str | None) -> str:
    if text is None:
        return "withdrawn"
    try:
        found = parse_keyed(rule_id, text, rule_id)
    except RuleError:
        return "unreadable"
    return found.status if isinstance(found, Rule) else "filter"


def _changed(rule_id: str, before: str | None, after: str | None) -> Sequence[Change] | None:
    """What differs from the version before; None where there is none to compare with."""
    if before is None or after is None:
        return None
    try:
        return changes(parse_keyed(rule_id, before, rule_id), parse_keyed(rule_id, after, rule_id))
    except RuleError as error:  # a version of a later build, or an earlier one
        return [Change("", str(error), "other")]
