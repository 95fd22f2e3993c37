"""Rules on the simulated city, whose truth is known: what each finds, and how often it is wrong where nothing was planted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from connectors.city import City, Index
from rules import Judge, Rule
from rules.compile import expression
from rules.plan import DTYPES, gate, physical
from rules.steps import present
from topics.events import KINDS


@dataclass(frozen=True, slots=True)
class Told:
    """Of one rule: events that pass the part of `when` that needs no feature, clues, those about something planted."""

    rule: str
    looked_at: int
    clues: int
    right: int

    @property
    def wrong(self) -> int:
        """False alarms."""
        return self.clues - self.right


@dataclass(frozen=True, slots=True)
class Baseline:
    """All rules: subjects and days of the city, and each rule's figures."""

    subjects: int
    days: float
    events: int
    rules: tuple[Told, ...]

    @property
    def wrong_per_day(self) -> float:
        """False alarms per 10,000 subjects and day, of all rules together."""
        return self.per_day(sum(one.wrong for one in self.rules))

    def per_day(self, wrong: int) -> float:
        """So many false alarms per 10,000 subjects and day."""
        return wrong / (self.subjects / 10_000) / self.days


def baseline(city: City, rules: Sequence[Rule], lateness: Mapping[str, int]) -> Baseline:
    """Judge the city by the rules (live and shadow ones)."""
    looked_at: Counter[str] = Counter()
    clues: Counter[str] = Counter()
    right: Counter[str] = Counter()
    index, events = Index(city.truth), 0
    gates = {
        kind: {rule.id: expression(gate(rule), physical({}), {}) for rule in rules if kind in rule.on} for kind in KINDS
    }
    for kind, frame, found in judged(city, rules, lateness):
        events += frame.height
        if gates[kind]:
            whole = present(frame, DTYPES)  # columns of other kinds are NULL here
            looked_at.update(whole.select(expr.sum().alias(name) for name, expr in gates[kind].items()).to_dicts()[0])
        clues.update(clue["origin_id"] for clue in found)
        right.update(clue["origin_id"] for clue in found if index.of(clue))
    told = tuple(Told(rule.id, looked_at[rule.id], clues[rule.id], right[rule.id]) for rule in rules)
    return Baseline(len(city.subjects), city.days, events, told)


def judged(
    city: City, rules: Sequence[Rule], lateness: Mapping[str, int], chunk: int = 500
) -> Iterator[tuple[str, pl.DataFrame, list[dict[str, Any]]]]:
    """The city's events as detect sees them, delivery by delivery -> kind, frame, clues of both stages."""
    own = Judge(rules, scope="subject", lateness=lateness)
    regional = Judge(rules, scope="foreign", lateness=lateness, by_ticks=True)
    for kind, frame in arrivals(city, chunk):
        clues = own.judge(kind, frame, topic=KINDS[kind].topic, partition=0).to_dicts()
        copies = own.copies(kind, frame)
        if len(copies):
            foreign = frame[copies["row"]].with_columns(_key=copies["key"])
            clues += regional.judge(kind, foreign, topic="rekeyed", partition=0).to_dicts()
        now = int(frame["_ts"].max())  # type: ignore[arg-type]  # integers
        clues += [clue for judge in (own, regional) for clue in judge.tick(now).to_dicts()]
        yield kind, frame, clues


def arrivals(city: City, chunk: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The city's events in order of delivery, repeats dropped, with offset and arrival."""
    seen: set[str] = set()
    offset = 0
    for delivery in city.deliveries(chunk):
        if delivery.gateway == "raw":
            continue
        new = [event not in seen for event in delivery.frame["event_id"].to_list()]
        seen.update(delivery.frame["event_id"].to_list())
        frame = delivery.frame.filter(pl.Series(new)).unique("event_id", keep="first", maintain_order=True)
        if not frame.height:
            continue
        places = pl.Series(np.arange(offset, offset + len(frame), dtype=np.int64))
        yield delivery.kind, frame.drop("_arrived").with_columns(_offset=places, _ts=frame["_arrived"])
        offset += len(frame)
