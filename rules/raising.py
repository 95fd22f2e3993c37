"""From firings to clues: severity, episodes, the storm cap, then the records; per rule in arrival order.

What all rules that fire need of the events is asked for once: one query for severities and keys, one for what clues show.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rules import clues
from rules.absence import KEY, RANK, Silence
from rules.arrays import Bools, Ints
from rules.episodes import HOUR, Episodes, Raise, StormCap
from rules.features import View
from rules.plan import Judged
from topics.buffers import filled, select, truths

Ranked = tuple[tuple[int, int, int], dict[str, Any]]  # (row, turn, order of the rule) to sort by, and the clue


class Hit(NamedTuple):
    """Where `when` of a rule held: positions in a view, and at which time each is judged."""

    judged: Judged
    view: View
    places: Ints
    at: Ints


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch comes from: running arrival clock of its rows, topic and partition."""

    clock: Ints
    topic: str
    partition: int


class _Firing(NamedTuple):
    """One event on which a rule fired: where it stands (row and turn come first, to sort by), and what episodes ask for."""

    row: int
    turn: int
    view: int
    place: int
    event: str
    key: str
    rank: int
    at: int


class _Due(NamedTuple):
    judged: Judged
    firing: _Firing
    due: Raise


def hits_of(rules: Sequence[Judged], view: View, gates: Mapping[int, Bools], ts: Ints) -> Iterator[Hit]:
    """Where rules with features hold in a view of a batch; `gates` (by order of the rule) and `ts` are of the batch's rows."""
    rests = select(view.frame, [pl.col("_ts"), *(j.rest.alias(f"rest{j.order}") for j in rules)])
    for judged in rules:
        hit = truths(rests[f"rest{judged.order}"]) & gates[judged.order][view.rows]
        for store in judged.stores & view.refused.keys():
            hit &= ~view.refused[store]
        late = [view.late[store] for store in judged.stores if store in view.late]
        if view.turn:
            hit &= np.logical_or.reduce(late) if late else np.zeros_like(hit)
        places = np.flatnonzero(hit)
        if places.size:
            times = _second_time(judged, view) if view.turn else ts[view.rows]
            yield Hit(judged, view, places, times[places])


def _second_time(judged: Judged, view: View) -> Ints:
    """The newest time among the keys for which the event is late."""
    latest: Ints = np.maximum.reduce([view.at[store] for store in judged.stores if store in view.at])
    return latest


def with_key(hit: Hit) -> Hit:
    """Without the places that lack a part of the rule's episode key."""
    places = hit.places
    for name in hit.judged.rule.episode.by[1:]:
        places = places[filled(hit.view.frame[name])[places]]
    return hit._replace(places=places)


def shown_by(hit: Hit, source: Source) -> tuple[Ints, pl.DataFrame]:
    """The places of a hit that reach a severity, and what clues would show of them (`Judged.schema`)."""
    judged, places = hit.judged, hit.places
    frame = hit.view.frame if places.size == hit.view.frame.height else hit.view.frame[places]
    rank = pl.lit(judged.rank) if judged.bands is None else judged.bands
    where = {"_topic": pl.lit(source.topic), "_partition": pl.lit(source.partition)}
    absent = {**judged.made, **{name: at for name, at in where.items() if name not in frame.columns}}
    columns = [absent.get(column, pl.col(column)).alias(name) for name, column in judged.told]
    found = frame.select(*columns, judged.key.alias(KEY), rank.alias(RANK)).cast(judged.schema)  # type: ignore[arg-type]
    if judged.bands is None:
        return places, found
    reached = found[RANK].to_numpy() > 0
    return places[reached], found.filter(pl.Series(reached))


@dataclass(slots=True)
class Raiser:
    """Episodes and storm counts of one judge, and how many firings and clues they held back, by rule."""

    episodes: Episodes
    storms: StormCap
    suppressed: dict[str, int] = field(default_factory=dict)
    capped: dict[str, int] = field(default_factory=dict)

    def clues(
        self, hits: Sequence[Hit], source: Source, silences: Sequence[tuple[Judged, Silence]] = ()
    ) -> list[dict[str, Any]]:
        """The clues of all hits of a batch, and of silences that its events ended, in arrival order."""
        views = list({id(hit.view): hit.view for hit in hits}.values())
        rules = {hit.judged.order: hit.judged for hit in hits}
        firings: dict[int, list[_Firing]] = {order: [] for order in rules}
        for number, view in enumerate(views):
            for order, fired in _fired(view, number, [hit for hit in hits if hit.view is view]):
                firings[order] += fired
        dues = [
            due for order, fired in firings.items() for due in self._dues(rules[order], sorted(fired), source.clock)
        ]
        ranked = list(self._of_silences(silences))
        for due, row in zip(dues, _shown(views, dues, source), strict=True):
            at, clock = row["occurred_at"], int(source.clock[due.firing.row])
            record = self._record(due, row, at, clock)
            if record is not None:
                ranked.append(((due.firing.row, due.firing.turn, due.judged.order), record))
        ranked.sort(key=lambda one: one[0])
        return [record for _, record in ranked]

    def _dues(self, judged: Judged, fired: Sequence[_Firing], clock: Ints) -> list[_Due]:
        """Which of one rule's firings, in arrival order, call for a clue."""
        clocks = clock[[one.row for one in fired]].tolist()
        dues = [self._due(judged, one, now) for one, now in zip(fired, clocks, strict=True)]
        return [due for due in dues if due is not None]

    def _due(self, judged: Judged, one: _Firing, clock: int) -> _Due | None:
        """What a firing calls for; one that an episode holds back is counted."""
        rule, quiet = judged.rule.id, judged.rule.episode.quiet
        due = self.episodes.fire(rule, one.key, one.event, at=one.at, rank=one.rank, clock=clock, quiet=quiet)
        if due is None:
            self.suppressed[rule] = self.suppressed.get(rule, 0) + 1
            return None
        return _Due(judged, one, due)

    def _of_silences(self, silences: Sequence[tuple[Judged, Silence]]) -> Iterator[Ranked]:
        """Clues of what did not come, before those of the event that ended the wait."""
        for judged, one in silences:
            firing = _Firing(one.row, -1, -1, -1, one.shown["event_id"], one.key, one.rank, one.at)
            due = self._due(judged, firing, one.clock)
            record = self._record(due, one.shown, one.at, one.clock) if due is not None else None
            if record is not None:
                yield (one.row, -1, judged.order), record | {"occurred_at": one.at, "raised_at": one.clock}

    def _record(self, due: _Due, row: Mapping[str, Any], at: int, clock: int) -> dict[str, Any] | None:
        judged, hour = due.judged, at // HOUR
        outcome = self.storms.take(judged.rule.id, hour, clock)
        if outcome == "clue":
            return clues.clue(judged, due.firing.key, due.due, due.firing.rank, row)
        self.capped[judged.rule.id] = self.capped.get(judged.rule.id, 0) + 1
        return clues.storm(judged, hour, self.storms.limit, row) if outcome == "storm" else None


def _fired(view: View, number: int, hits: Sequence[Hit]) -> Iterator[tuple[int, list[_Firing]]]:
    """The hits in one view that reach a severity, by rule."""
    union = np.unique(np.concatenate([hit.places for hit in hits]))
    frame = view.frame if union.size == view.frame.height else view.frame[union]
    wanted = {hit.judged.key_name: hit.judged.key for hit in hits}
    wanted |= {f"rank{j.order}": j.bands.cast(pl.Int64) for j in (hit.judged for hit in hits) if j.bands is not None}
    found = select(frame, [pl.col("event_id"), *(expr.alias(name) for name, expr in wanted.items())])
    events = found["event_id"].to_list()
    keys = {name: found[name].to_list() for name in {hit.judged.key_name for hit in hits}}
    for hit in hits:
        judged, own = hit.judged, np.searchsorted(union, hit.places)
        rank = np.full(own.size, judged.rank) if judged.bands is None else found[f"rank{judged.order}"].to_numpy()[own]
        columns = (view.rows[hit.places], hit.places, own, rank, hit.at)
        mine = keys[judged.key_name]
        yield (
            judged.order,
            [
                _Firing(row, view.turn, number, place, events[i], mine[i], grade, at)
                for row, place, i, grade, at in zip(*(column.tolist() for column in columns), strict=True)
                if grade > 0
            ],
        )


def _shown(views: Sequence[View], dues: Sequence[_Due], source: Source) -> Iterator[dict[str, Any]]:
    """For each due the columns and features by the names its rule gives them, and where its event stands in the log."""
    places: dict[int, dict[int, int]] = {}  # view -> place -> row of the frame below
    for due in dues:
        rows = places.setdefault(due.firing.view, {})
        rows.setdefault(due.firing.place, len(rows))
    made = {name: one for due in dues for name, one in due.judged.made.items()}
    shown = {view: _Lists(views[view].frame[list(rows)], source, made) for view, rows in places.items()}
    for judged, firing, _ in dues:
        lists, i = shown[firing.view], places[firing.view][firing.place]
        yield {name: lists[column][i] for name, column in judged.told}


class _Lists(dict[str, list[Any]]):
    """Columns of a frame as lists, each made when first asked for, `made` ones by their expressions; topic and partition are the
    source's unless it has them."""

    def __init__(self, frame: pl.DataFrame, source: Source, made: Mapping[str, pl.Expr]) -> None:
        self._frame, self._made = frame, made
        for name, value in (("_topic", source.topic), ("_partition", source.partition)):
            if name not in frame.columns:
                self[name] = [value] * frame.height

    def __missing__(self, name: str) -> list[Any]:
        found = self._frame.select(self._made[name].alias(name)) if name in self._made else self._frame
        self[name] = found[name].to_list()
        return self[name]
