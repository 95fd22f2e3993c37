"""What the rules in force ask of one kind of event, compiled once: gates, store conditions, copies, and the columns read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from rules import plan
from rules.compile import Lists, expression
from rules.model import Rule
from rules.plan import DTYPES, KEY, Judged, Spec
from rules.tree import columns

ALWAYS: Final = ("event_id", "subject", "subject_name", "region", "occurred_at", "observed_at", "_offset", "_ts")
OPTIONAL: Final = ("_topic", "_partition")  # where copies of events from many partitions say what they are copies of
_OWN: Final[dict[str, type[pl.DataType]]] = {
    "_offset": pl.Int64,
    "_ts": pl.Int64,
    "_topic": pl.String,
    "_partition": pl.Int64,
    KEY: pl.String,
}
_NAMES: Final = {name: pl.col(name) for name in DTYPES}


@dataclass(frozen=True, slots=True)
class Steps:
    """For one kind: rules without and with features, stores it feeds or asks, expressions of the first pass (`gate<order>` of a
    rule, `where<store>`), columns read, and which events are copied under which foreign key."""

    plain: tuple[Judged, ...]
    featured: tuple[Judged, ...]
    specs: tuple[Spec, ...]
    first: tuple[pl.Expr, ...]
    columns: tuple[str, ...]
    copies: tuple[tuple[str, pl.Expr], ...]
    copy_columns: tuple[str, ...]


def steps(kind: str, rules: Sequence[Judged], specs: Iterable[Spec], lists: Lists, foreign: bool) -> Steps:
    """The steps of one kind, without copies."""
    triggered = [j for j in rules if kind in j.rule.on]
    asked = frozenset[str]().union(*(j.stores for j in triggered))
    mine = tuple(s for s in specs if kind in s.kinds or s.name in asked)
    gates = [j.gate.alias(f"gate{j.order}") for j in triggered]
    wheres = [_where(s, lists).alias(f"where{s.name}") for s in mine if kind in s.kinds]
    names = frozenset[str]().union(*(j.columns() for j in triggered), *(s.columns() for s in mine))
    read = (*ALWAYS, *sorted(names - {*ALWAYS}), *((KEY,) if foreign else ()))
    plain, featured = (tuple(j for j in triggered if bool(j.stores) == has) for has in (False, True))
    return Steps(plain, featured, mine, (*gates, *wheres), read, (), ())


def copied(
    kind: str, rules: Sequence[Rule], lateness: Mapping[str, int], lists: Lists
) -> tuple[tuple[tuple[str, pl.Expr], ...], tuple[str, ...]]:
    """Foreign key -> which events of the kind its rules need (they pass a gate, or feed a feature), and the columns read."""
    needed: dict[str, list[pl.Expr]] = {}
    read: set[str] = set()
    for rule in rules:
        trees = [plan.gate(rule)] if kind in rule.on else []
        trees += [s.where for s in plan.specs([rule], lateness).values() if kind in s.kinds]
        for tree in trees:
            needed.setdefault(str(rule.foreign), []).append(expression(tree, _NAMES, lists).fill_null(False))
            read |= {str(rule.foreign), *columns(tree)}
    return tuple((name, pl.any_horizontal(parts)) for name, parts in needed.items()), tuple(sorted(read))


def present(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Exactly these columns (and the optional ones that are there); what the kind lacks is NULL of the right type."""
    have = frame.columns
    wanted = [*names, *(name for name in OPTIONAL if name in have)]
    missing = [pl.lit(None, {**DTYPES, **_OWN}[name]).alias(name) for name in wanted if name not in have]
    return frame.select([name for name in wanted if name in have]).with_columns(missing)


def _where(spec: Spec, lists: Lists) -> pl.Expr:
    where = expression(spec.where, _NAMES, lists)
    return pl.col(KEY).str.starts_with(f"{spec.foreign}:") & where if spec.foreign else where
