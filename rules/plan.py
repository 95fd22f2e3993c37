"""What to compute for a set of rules: which window stores, and for each kind of event which expressions.

Features that share (by, of, where) share a store, whatever rule they stand in.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import polars as pl

from rules import absence, explain, reach
from rules.compile import Lists, expression
from rules.filters import Filter
from rules.model import RANKS, Condition, Derived, Feature, Rule
from rules.tree import TRUE, TYPES, Node, Type, columns, within, without
from topics.events import KINDS, all_columns

DTYPES: Final = all_columns()
KEY: Final = "_key"
LOG_TYPES: Final[dict[str, type[pl.DataType]]] = {  # columns that say where a record stands
    "_offset": pl.Int64,
    "_ts": pl.Int64,
    "_topic": pl.String,
    "_partition": pl.Int64,
    KEY: pl.String,
}
APART: Final = "\x1f"  # between the parts of a key; no identifier holds it
_ALWAYS: Final = (
    "event_id",
    "subject",
    "subject_name",
    "region",
    "occurred_at",
    "_offset",
    "_ts",
    "_topic",
    "_partition",
)
# Kinds whose `value` is required.
_VALUED: Final = tuple(k for k in KINDS if any(f.name == "value" and f.required for f in KINDS[k].schema.fields))
_PREFIXED: Final = frozenset({"person", "chain"})  # columns whose values already say what they are


@dataclass(frozen=True, slots=True)
class Spec:
    """One window store: key columns below its root, column, condition, windows, kinds that feed it, steps of a sequence."""

    name: str
    foreign: str | None
    by: tuple[str, ...]
    of: str | None
    where: Node
    aggs: tuple[tuple[int, str], ...]  # (window, aggregate), each once
    kinds: tuple[str, ...]
    lateness: int
    steps: tuple[Node, ...] = ()

    @property
    def withins(self) -> frozenset[int]:
        """Its windows."""
        return frozenset(within for within, _ in self.aggs)

    @property
    def distinct(self) -> bool:
        """Whether distinct values are counted."""
        return any(agg == "distinct" for _, agg in self.aggs)

    @property
    def text(self) -> bool:
        """Whether its values are texts."""
        return self.of is not None and DTYPES[self.of] is pl.String

    @property
    def key(self) -> pl.Expr:
        """The store's key; NULL where any part is."""
        parts = [pl.col(root(self.foreign)), *map(pl.col, self.by)]
        return parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=APART)

    @property
    def key_name(self) -> str:
        """The column that holds its keys: stores with the same key share it."""
        return APART.join((root(self.foreign), *self.by))

    def columns(self) -> frozenset[str]:
        """Event columns it reads."""
        return columns(self.where) | {*self.by, *((self.of,) if self.of else ())}


class Read(NamedTuple):
    """One column of answers: which store, window and aggregate."""

    store: str
    within: int
    agg: str

    @property
    def column(self) -> str:
        """Its physical name."""
        return f"@{self.store}:{self.within}:{self.agg}"


@dataclass(frozen=True)
class Judged:
    """One rule as it is judged on events: feature name -> physical column, what it reads of which stores, and every name a clue
    shows. It fires where `gate` (which needs no feature) and `rest` (all else) are true; `key` is its episode's."""

    rule: Rule
    order: int
    version: str
    features: Mapping[str, str]
    stores: frozenset[str]
    shown: tuple[str, ...]
    bands: pl.Expr | None
    rank: int
    reads: tuple[Read, ...]
    gate: Node
    rest: pl.Expr
    key: pl.Expr
    made: Mapping[str, pl.Expr]  # columns that are computed for clues only: scores, thresholds
    hides: tuple[tuple[str, pl.Expr], ...]  # which firings are held back, and by what: "rule", or a filter's id
    filtered: frozenset[str]  # columns that filters read

    @property
    def key_name(self) -> str:
        """Rules with the same episode key share the column that holds it."""
        return APART.join(("key", root(self.rule.foreign), *self.rule.episode.by[1:]))

    @cached_property
    def told(self) -> tuple[tuple[str, str], ...]:
        """Each name that a clue needs, and the column that holds it."""
        derived = {one.name: _made(self.rule, one) for one in self.rule.derived}
        shown = {name: derived.get(name) or self.features.get(name, name) for name in self.shown}
        filtered = {name: name for name in sorted(self.filtered)} if self.rule.absence else {}
        return tuple((filtered | {name: name for name in _ALWAYS} | shown).items())

    @cached_property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Types of what a clue shows, by name; then its key and rank."""
        dtypes: dict[str, type[pl.DataType]] = {f.name: feature_dtype(f.agg, f.of) for f in self.rule.features}
        dtypes |= {one.name: pl.Float64 for one in self.rule.derived}
        shown = {name: dtypes.get(name) or DTYPES.get(name) or LOG_TYPES[name] for name, _ in self.told}
        return shown | {absence.KEY: pl.String, absence.RANK: pl.Int64}

    @cached_property
    def wait(self) -> str:
        """The name of its clocks, of a rule of absence: another key, condition or answer has others."""
        rule, told = self.rule, self.rule.absence
        of = told.of.canonical if told and told.of else ""
        text = "\n".join([rule.id, *rule.episode.by, "", rule.when.canonical, of])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def columns(self) -> frozenset[str]:
        """Event columns it reads."""
        severity = frozenset[str]().union(*(c.columns for _, c in self.rule.severity))
        named = self.rule.when.columns | severity | set(self.shown) | set(self.rule.episode.by)
        named |= self.filtered.union(*(columns(one.tree) for one in self.rule.derived))
        named |= frozenset[str]().union(*(one.when.columns for one in self.rule.suppress))
        return frozenset(name for name in named if name in DTYPES)


def root(foreign: str | None) -> str:
    """The column that a rule's state is local to."""
    return KEY if foreign else "subject"


def foreign_key(name: str) -> pl.Expr:
    """The key under which a copy of an event is sent: `region:320102`, `person:…`, `chain:…`; NULL where there is none."""
    prefixed = pl.concat_str([pl.lit(f"{name}:"), pl.col(name)])
    if name not in _PREFIXED:
        return prefixed
    return pl.when(pl.col(name).str.starts_with(f"{name}:")).then(pl.col(name)).otherwise(prefixed)


def gate(rule: Rule) -> Node:
    """The part of `when` that needs no feature: where it is not true, no feature is asked for."""
    return without(rule.when.tree, frozenset(f.name for f in rule.features))


def awaited(rule: Rule, kind: str) -> Node | None:
    """What a rule of absence waits for, if an event of that kind can be it."""
    of = rule.absence.of if rule.absence else None
    return of.tree if of and kind in reach.feeders(rule.episode.by, None, of.tree) else None


def column_of(feature: Feature) -> str | None:
    """The column whose values a feature's store holds. Readings always have a value: to count them takes no store of its own
    beside the one for their sums and means, whatever other rules there are."""
    if feature.agg == "count" and feature.of is None and feature.where is not None:
        return "value" if reach.feeders(feature.by, None, feature.where.tree) == _VALUED else None
    return feature.of


def store_of(feature: Feature, foreign: str | None) -> str:
    """The name of the store that a feature of a rule reads: a hash of key, column, condition and steps."""
    by = tuple(name for name in feature.by if name != (foreign or "subject"))
    where = feature.where.canonical if feature.where else ""
    steps = [step.canonical for step in feature.steps]
    text = "\n".join([foreign or "subject", *by, "", column_of(feature) or "", where, *steps])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read(feature: Feature, foreign: str | None) -> Read:
    """What holds a feature's answers."""
    return Read(store_of(feature, foreign), feature.within, feature.agg)


def specs(rules: Sequence[Rule], lateness: Mapping[str, int]) -> dict[str, Spec]:
    """The stores of these rules by name, in the rules' order."""
    found: dict[str, Spec] = {}
    for rule in rules:
        for feature in rule.features:
            spec = _spec(feature, rule, lateness)
            other = found.get(spec.name)
            found[spec.name] = spec if other is None else _merged(spec, other)
    return found


def _spec(feature: Feature, rule: Rule, lateness: Mapping[str, int]) -> Spec:
    foreign = rule.foreign
    where = feature.where.tree if feature.where else TRUE
    of = column_of(feature)
    kinds = reach.feeders(feature.by, of, where)
    return Spec(
        store_of(feature, foreign),
        foreign,
        tuple(name for name in feature.by if name != (foreign or "subject")),
        of,
        where,
        ((feature.within, feature.agg),),
        kinds,
        max(lateness.get(kind, 0) for kind in (*kinds, *rule.on)),
        tuple(step.tree for step in feature.steps),
    )


def _merged(one: Spec, other: Spec) -> Spec:
    aggs = tuple(sorted({*one.aggs, *other.aggs}))
    return replace(one, aggs=aggs, lateness=max(one.lateness, other.lateness))


def judged(rule: Rule, order: int, lists: Lists, filters: Sequence[Filter] = ()) -> Judged:
    """A rule compiled against event columns and the physical columns of its features."""
    mine = [one for one in filters if one.hides(rule.id, rule.sector)]
    hides = [("rule", one.when.tree) for one in rule.suppress] + [(one.id, one.hidden) for one in mine]
    reads = {f.name: read(f, rule.foreign) for f in rule.features}
    features = {name: found.column for name, found in reads.items()}
    names = physical(features)
    ((colour, condition), *more) = rule.severity
    plain = not more and condition.tree == TRUE
    severity = frozenset[str]().union(*(c.columns for _, c in rule.severity))
    shown = rule.when.columns | severity | explain.check(rule.explain, types(rule)) | features.keys()
    shown |= {one.name for one in rule.derived}
    return Judged(
        rule,
        order,
        rule.version,
        features,
        frozenset(store_of(f, rule.foreign) for f in rule.features),
        tuple(sorted(shown)),
        None if plain else _rank(rule.severity, names, lists),
        RANKS[colour],
        tuple(sorted({*reads.values()})),
        gate(rule),
        expression(within(rule.when.tree, frozenset(features)), names, lists),
        _episode_key(rule),
        {_made(rule, one): expression(one.tree, names, lists).cast(pl.Float64) for one in rule.derived},
        tuple((name, expression(tree, names, lists)) for name, tree in hides),
        frozenset[str]().union(*(columns(one.hidden) for one in mine)),
    )


def _made(rule: Rule, derived: Derived) -> str:
    """The physical column of a derived value."""
    return f"={rule.id}:{derived.name}"


def _episode_key(rule: Rule) -> pl.Expr:
    """The episode's key as people see it: the subject or foreign key, then the columns of `by`."""
    by = [pl.col(name).cast(pl.String).fill_null("") for name in rule.episode.by[1:]]
    return pl.concat_str([pl.col(root(rule.foreign)), *by], separator="/")


def _rank(bands: tuple[tuple[str, Condition], ...], names: Mapping[str, pl.Expr], lists: Lists) -> pl.Expr:
    """Rank of the gravest band that holds; 0 where none does."""
    result = pl.lit(0)
    for colour, condition in reversed(bands):
        result = pl.when(expression(condition.tree, names, lists)).then(pl.lit(RANKS[colour])).otherwise(result)
    return result


def physical(features: Mapping[str, str]) -> dict[str, pl.Expr]:
    """What conditions read by name: event columns, and features (name -> physical column)."""
    return {name: pl.col(name) for name in DTYPES} | {name: pl.col(column) for name, column in features.items()}


def types(rule: Rule) -> dict[str, Type]:
    """What conditions of a rule may name, and of what type each is."""
    found = {name: TYPES[dtype] for name, dtype in DTYPES.items()} | {f.name: f.type for f in rule.features}
    return found | {one.name: "number" for one in rule.derived}


def feature_dtype(agg: str, of: str | None) -> type[pl.DataType]:
    """The polars type of a feature."""
    if agg in ("count", "distinct"):
        return pl.Int64
    if agg in ("sequence", "completed"):
        return pl.Boolean
    if agg in ("min", "max", "last") and of is not None:
        return DTYPES[of]
    return pl.Float64


def scoped(rules: Sequence[Rule], foreign: bool) -> list[Rule]:
    """Rules in force (live or shadow) that are judged by subject, or by a foreign key."""
    return [r for r in rules if r.status in ("live", "shadow") and (r.foreign is not None) == foreign]
