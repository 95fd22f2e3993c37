"""What the rules in force ask of one kind of event, compiled once: gates, store conditions, copies, and the columns read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from rules import plan
from rules.arrays import Bools
from rules.compile import Lists, expression
from rules.model import Rule
from rules.plan import DTYPES, KEY, LOG_TYPES, Judged, Spec
from rules.tree import Node, canonical, columns, conjuncts
from topics.buffers import constant, missing, select, truths

ALWAYS: Final = ("event_id", "subject", "subject_name", "region", "occurred_at", "observed_at", "_offset", "_ts")
OPTIONAL: Final = ("_topic", "_partition")  # where copies of events from many partitions say what they are copies of
_TYPES: Final = DTYPES | LOG_TYPES
_NAMES: Final = {name: pl.col(name) for name in DTYPES}
Parts = tuple[str, ...]  # of a condition: names of columns of the first pass that must all be true


@dataclass(frozen=True, slots=True)
class Steps:
    """For one kind: rules without and with features, stores it feeds or asks; `first`, the expressions of the first pass: every
    part of a gate or store condition once, however many rules share it, and compound keys; rules of absence that wait from or for
    an event of this kind, and by order what they wait for; which parts make the gate of a rule
    (by order) and the condition of a store (by name; one the kind cannot feed is absent), and each step of one of sequences;
    columns read."""

    plain: tuple[Judged, ...]
    featured: tuple[Judged, ...]
    absent: tuple[Judged, ...]
    awaited: Mapping[int, Parts]
    specs: tuple[Spec, ...]
    first: tuple[pl.Expr, ...]
    gates: Mapping[int, Parts]
    wheres: Mapping[str, Parts]
    sequences: Mapping[str, tuple[Parts, ...]]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copies:
    """For one kind: under which foreign keys (by the name of the column that `first` gives them) events are copied, each with the
    conditions of which one must hold; columns read."""

    keys: Mapping[str, frozenset[Parts]]
    first: tuple[pl.Expr, ...]
    columns: tuple[str, ...]


class First:
    """The first pass over a batch: where each condition holds, each found once."""

    def __init__(self, frame: pl.DataFrame, expressions: Sequence[pl.Expr]) -> None:
        self.frame = select(frame, [pl.col("_ts"), *expressions])
        self._columns = {column.name: column for column in self.frame.get_columns()}
        # Most conditions hold on no row at all: rules with one of these need not be looked at.
        self._nowhere = {name for name, c in self._columns.items() if c.dtype == pl.Boolean and not c.any()}
        self._known: dict[Parts, Bools] = {}
        self._some: dict[Parts, bool] = {}

    def any(self, parts: Parts | None) -> bool:
        """Whether all parts are true on any row; of no condition at all, never."""
        if parts is None or not self._nowhere.isdisjoint(parts):
            return False
        if parts not in self._some:
            self._some[parts] = bool(self.all(parts).any())
        return self._some[parts]

    def all(self, parts: Parts) -> Bools:
        """Rows on which all parts are true. Not to be changed."""
        found = self._known.get(parts)
        if found is None:
            if len(parts) > 1:
                found = self.all(parts[:-1]) & self.all(parts[-1:])
            else:
                found = truths(self._columns[parts[0]]) if parts else np.ones(self.frame.height, np.bool_)
            self._known[parts] = found
        return found


def steps(kind: str, rules: Sequence[Judged], specs: Iterable[Spec], lists: Lists, foreign: bool) -> Steps:
    """The steps of one kind."""
    triggered = [j for j in rules if kind in j.rule.on]
    asked = frozenset[str]().union(*(j.stores for j in triggered))
    mine = tuple(s for s in specs if kind in s.kinds or s.name in asked)
    first: dict[str, pl.Expr] = {s.key_name: s.key.alias(s.key_name) for s in mine if s.by}
    awaiting = {j.order: of for j in rules if (of := plan.awaited(j.rule, kind)) is not None}
    awaited = {
        j.order: tuple(_parts(awaiting[j.order], j.rule.foreign, lists, first)) for j in rules if j.order in awaiting
    }
    absent = tuple(j for j in rules if j.rule.absence and (kind in j.rule.on or j.order in awaiting))
    first |= {j.key_name: j.key.alias(j.key_name) for j in absent}
    gates = {j.order: tuple(_parts(j.gate, j.rule.foreign, lists, first)) for j in triggered}
    wheres = {s.name: tuple(_parts(s.where, s.foreign, lists, first)) for s in mine if kind in s.kinds}
    sequences = {
        s.name: tuple(tuple(_parts(step, s.foreign, lists, first)) for step in s.steps)
        for s in mine
        if s.steps and kind in s.kinds
    }
    names = frozenset[str]().union(*(j.columns() for j in triggered), *(s.columns() for s in mine))
    names |= frozenset[str]().union(*(columns(of) for of in awaiting.values()), *(j.rule.episode.by for j in absent))
    names &= DTYPES.keys()
    read = (*ALWAYS, *sorted(names - {*ALWAYS}), *((KEY,) if foreign else ()))
    plain, featured = (tuple(j for j in triggered if bool(j.stores) == has) for has in (False, True))
    return Steps(plain, featured, absent, awaited, mine, tuple(first.values()), gates, wheres, sequences, read)


def copied(kind: str, rules: Sequence[Rule], lateness: Mapping[str, int], lists: Lists) -> Copies:
    """The copies that rules of foreign keys need of a kind: events that pass a gate, or feed a feature."""
    first: dict[str, pl.Expr] = {}
    needed: dict[str, set[Parts]] = {}
    read = {"_ts", "occurred_at"}  # by which lists expire
    for rule in rules:
        trees = [plan.gate(rule)] if kind in rule.on else []
        trees += [s.where for s in plan.specs([rule], lateness).values() if kind in s.kinds]
        trees += [of] if (of := plan.awaited(rule, kind)) is not None else []
        for tree in trees:
            name = f"{KEY} of {rule.foreign}"
            first[name] = plan.foreign_key(str(rule.foreign)).alias(name)
            needed.setdefault(name, set()).add(tuple(_parts(tree, None, lists, first)))
            read |= {str(rule.foreign), *columns(tree)}
    keys = {name: frozenset(conditions) for name, conditions in needed.items()}
    return Copies(keys, tuple(first.values()), tuple(sorted(read)))


def present(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Exactly these columns (and the optional ones that are there); what the kind lacks is NULL of the right type."""
    have = frame.columns
    wanted = [*names, *(name for name in OPTIONAL if name in have)]
    lacking = [constant(missing(name, _TYPES[name]), frame.height) for name in wanted if name not in have]
    return frame[[name for name in wanted if name in have]].hstack(lacking)


def _parts(node: Node, foreign: str | None, lists: Lists, first: dict[str, pl.Expr]) -> Iterator[str]:
    """Names of the parts of a condition; their expressions are added to `first`. A part's name is its meaning."""
    if foreign:
        name = f"{KEY} {foreign}"
        first[name] = pl.col(KEY).str.starts_with(f"{foreign}:").alias(name)
        yield name
    for part in conjuncts(node):
        name = canonical(part)
        first[name] = expression(part, _NAMES, lists).alias(name)
        yield name
