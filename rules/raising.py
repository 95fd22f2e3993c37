"""From firings to clues: severity, episodes, the storm cap, then the records; per rule in arrival order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rules import clues, plan
from rules.arrays import Bools, Ints
from rules.episodes import HOUR, Episodes, Raise, StormCap
from rules.features import View
from rules.model import Rule
from rules.plan import Judged

Ranked = tuple[tuple[int, int, int], dict[str, Any]]  # (row, turn, order of the rule) to sort by, and the clue


@dataclass(frozen=True, slots=True)
class Firing:
    """Events on which a rule fired: columns and features, rows in the batch, when each was judged, severity ranks."""

    frame: pl.DataFrame
    rows: Ints
    at: Ints
    turn: Ints
    rank: Ints


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch comes from: running arrival clock of its rows, topic and partition."""

    clock: Ints
    topic: str
    partition: int


class _Due(NamedTuple):
    i: int
    key: str
    due: Raise
    rank: int


def mask(series: pl.Series) -> Bools:
    """True where the condition is true; NULL is not."""
    return series.fill_null(False).to_numpy(writable=True)


def fired(judged: Judged, frame: pl.DataFrame, rows: Ints, at: Ints, turn: int) -> Firing:
    """The events among those on which `when` held that reach a severity."""
    if judged.bands is None:
        rank = np.full(rows.size, judged.rank, np.int64)
        return Firing(frame, rows, at, np.full(rows.size, turn, np.int64), rank)
    ranks = frame.select(pl.col("_ts"), judged.bands.cast(pl.Int64).alias("rank"))["rank"].to_numpy()
    kept = np.flatnonzero(ranks > 0)
    return Firing(frame[kept], rows[kept], at[kept], np.full(kept.size, turn, np.int64), ranks[kept])


def fired_in_views(rules: Sequence[Judged], views: Sequence[View], ts: Ints) -> Iterator[tuple[Judged, Firing]]:
    """Firings of rules with features over an event's own view and, for late events, its second one."""
    found: dict[int, list[Firing]] = {}
    for view in views:
        whens = view.frame.select(pl.col("_ts"), *(j.when.alias(f"when{j.order}") for j in rules))
        for judged in rules:
            hit = mask(whens[f"when{judged.order}"])
            hit &= ~np.logical_or.reduce([view.refused[store] for store in judged.stores])
            if view.turn:
                hit &= np.logical_or.reduce([view.late[store] for store in judged.stores])
            kept = np.flatnonzero(hit)
            if kept.size:
                at = _second_time(judged, view)[kept] if view.turn else ts[view.rows[kept]]
                found.setdefault(judged.order, []).append(
                    fired(judged, view.frame[kept], view.rows[kept], at, view.turn)
                )
    for judged in rules:
        if judged.order in found:
            yield judged, _in_order(found[judged.order])


def _second_time(judged: Judged, view: View) -> Ints:
    """The newest time among the keys for which the event is late."""
    latest: Ints = np.maximum.reduce([view.at[store] for store in judged.stores])
    return latest


def _in_order(parts: Sequence[Firing]) -> Firing:
    if len(parts) == 1:
        return parts[0]
    rows, turn = np.concatenate([p.rows for p in parts]), np.concatenate([p.turn for p in parts])
    order = np.lexsort((turn, rows))
    at, rank = np.concatenate([p.at for p in parts]), np.concatenate([p.rank for p in parts])
    frame = pl.concat([p.frame for p in parts])
    return Firing(frame[order], rows[order], at[order], turn[order], rank[order])


@dataclass(slots=True)
class Raiser:
    """Episodes and storm counts of one judge, and how many firings and clues they held back, by rule."""

    episodes: Episodes
    storms: StormCap
    suppressed: dict[str, int] = field(default_factory=dict)
    capped: dict[str, int] = field(default_factory=dict)

    def clues(self, judged: Judged, firing: Firing, source: Source) -> list[Ranked]:
        """The clues of one rule's firings, which are in arrival order."""
        dues = self._dues(judged.rule, firing, source.clock)
        silent = firing.rows.size - len(dues)
        if silent:
            self.suppressed[judged.rule.id] = self.suppressed.get(judged.rule.id, 0) + silent
        if not dues:
            return []
        shown = _shown(judged, firing.frame[[due.i for due in dues]], source).to_dicts()
        found = []
        for due, row in zip(dues, shown, strict=True):
            record = self._record(judged, due, row, int(source.clock[firing.rows[due.i]]))
            if record is not None:
                found.append(((int(firing.rows[due.i]), int(firing.turn[due.i]), judged.order), record))
        return found

    def _dues(self, rule: Rule, firing: Firing, clock: Ints) -> list[_Due]:
        keys = firing.frame.select(_key(rule).alias("key"))["key"].to_list()
        events, ranks = firing.frame["event_id"].to_list(), firing.rank.tolist()
        fire, quiet, dues = self.episodes.fire, rule.episode.quiet, []
        columns = zip(keys, events, firing.at.tolist(), ranks, clock[firing.rows].tolist(), strict=True)
        for i, (key, event, at, rank, now) in enumerate(columns):
            due = fire(rule.id, key, event, at=at, rank=rank, clock=now, quiet=quiet)
            if due is not None:
                dues.append(_Due(i, key, due, rank))
        return dues

    def _record(self, judged: Judged, due: _Due, row: dict[str, Any], clock: int) -> dict[str, Any] | None:
        hour = row["occurred_at"] // HOUR
        outcome = self.storms.take(judged.rule.id, hour, clock)
        if outcome == "clue":
            return clues.clue(judged, due.key, due.due, due.rank, row)
        self.capped[judged.rule.id] = self.capped.get(judged.rule.id, 0) + 1
        return clues.storm(judged, hour, self.storms.limit, row) if outcome == "storm" else None


def _key(rule: Rule) -> pl.Expr:
    """The episode's key as people see it: the subject or foreign key, then the columns of `by`."""
    return pl.concat_str(
        [plan.root(rule.foreign), *(pl.col(name).cast(pl.String).fill_null("") for name in rule.episode.by[1:])],
        separator="/",
    )


def _shown(judged: Judged, frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Columns and features by the names the rule gives them, and where each event stands in the log."""
    have = frame.columns
    columns = [pl.col(judged.features.get(name, name)).alias(name) for name in judged.shown]
    named = {*judged.shown}
    always = ("event_id", "subject", "subject_name", "region", "occurred_at", "_offset", "_ts")
    columns += [pl.col(name) for name in always if name not in named]
    topic = pl.col("_topic") if "_topic" in have else pl.lit(source.topic).alias("_topic")
    partition = pl.col("_partition") if "_partition" in have else pl.lit(source.partition).alias("_partition")
    return frame.select(*columns, topic, partition)
