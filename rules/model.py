"""What a rule is, once read: frozen, checked, with the hash of its meaning."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rules.tree import Node, Type, canonical, columns, lists

Agg = Literal["count", "sum", "avg", "min", "max", "distinct", "last", "rate", "sequence", "completed"]
AGGS: Final = ("count", "sum", "avg", "min", "max", "distinct", "last", "rate", "sequence")
STATUSES: Final = ("draft", "shadow", "live", "retired")
FOREIGN: Final = ("region", "person", "chain")
RANKS: Final = {"blue": 1, "yellow": 2, "orange": 3, "red": 4}
COLOURS: Final = {rank: colour for colour, rank in RANKS.items()}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition with the text it was written in; equal when the meaning is equal."""

    tree: Node
    text: str = field(compare=False)

    @property
    def canonical(self) -> str:
        """One text per meaning."""
        return canonical(self.tree)

    @property
    def columns(self) -> frozenset[str]:
        """Columns and features it reads."""
        return columns(self.tree)

    @property
    def lists(self) -> frozenset[str]:
        """Lists it asks."""
        return lists(self.tree)


@dataclass(frozen=True, slots=True)
class Feature:
    """An exact sliding window by event time: `agg` of column `of` over the last `within` ms of the key `by`, of events
    (of any kind) for which `where` holds. `type` is what a condition sees. A sequence has `steps`, and `where` is any of them;
    of agg `completed` (a rule's own) it is true only of events that are the last step, or late."""

    name: str
    agg: Agg
    of: str | None
    within: int
    by: tuple[str, ...]
    where: Condition | None
    type: Type
    steps: tuple[Condition, ...] = ()

    @property
    def foreign(self) -> str | None:
        """The foreign key (region, person or chain) in `by`, if any."""
        return next((name for name in self.by if name in FOREIGN), None)


@dataclass(frozen=True, slots=True)
class Derived:
    """A number by name (`rules.derived`): what it is computed from, and what each part or row of it says."""

    name: str
    tree: Node
    parts: tuple[str, ...] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Episode:
    """One clue an episode of the key `by` (columns); it ends `quiet` ms after the last firing."""

    by: tuple[str, ...]
    quiet: int


@dataclass(frozen=True, slots=True)
class Absence:
    """What should come after an event for which `when` holds, at the episode's key: an event for which `of` holds (None: another
    of its own), within so many ms; `grace`: how much longer to wait for what is reported late."""

    of: Condition | None
    within: int
    grace: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Firings that a rule itself holds back, and why."""

    when: Condition
    why: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A clue that a test expects: of the event (or the end of the wait) at `at` ms after the test's start."""

    at: int
    severity: str


@dataclass(frozen=True, slots=True)
class Case:
    """A test inside a rule: `events` in arrival order, whole (every column of their kind), times in ms UTC; `until`: how far the
    log's time goes on after them."""

    name: str
    start: int
    events: tuple[dict[str, Any], ...]
    expect: tuple[Expected, ...]
    lists: tuple[tuple[str, tuple[tuple[str, int | None], ...]], ...]  # name, entries and when they expire
    line: int
    until: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule file. `severity` is graver first; `tests` and `path` are not part of its meaning."""

    id: str
    title: str
    sector: str
    status: str
    on: tuple[str, ...]
    features: tuple[Feature, ...]
    when: Condition
    severity: tuple[tuple[str, Condition], ...]
    episode: Episode
    department: str
    explain: str
    basis: str
    source: str
    false_positives: tuple[str, ...]
    runbook: str
    absence: Absence | None
    derived: tuple[Derived, ...]
    suppress: tuple[Suppression, ...]
    tests: tuple[Case, ...] = field(compare=False)
    path: str = field(compare=False)
    text: str = field(compare=False, repr=False)

    @property
    def foreign(self) -> str | None:
        """The foreign key the rule is judged by (in the regional stage), or None for the subject."""
        root = self.episode.by[0]
        return root if root in FOREIGN else None

    @property
    def lists(self) -> frozenset[str]:
        """Every list it asks."""
        wheres = [f.where for f in self.features if f.where]
        wheres += [self.absence.of] if self.absence and self.absence.of else []
        derived = (lists(one.tree) for one in self.derived)
        suppress = (one.when for one in self.suppress)
        return frozenset().union(
            *(c.lists for c in (self.when, *wheres, *(c for _, c in self.severity), *suppress)), *derived
        )

    def meaning(self) -> dict[str, Any]:
        """Everything but tests and comments, in one form whatever the file's spacing or order."""
        return {
            "id": self.id,
            "title": self.title,
            "sector": self.sector,
            "status": self.status,
            "on": sorted(self.on),
            "features": {f.name: _feature(f) for f in self.features},
            "when": self.when.canonical,
            "severity": {colour: condition.canonical for colour, condition in self.severity},
            "episode": {"by": list(self.episode.by), "quiet": self.episode.quiet},
            "department": self.department,
            "explain": self.explain,
            "basis": self.basis,
            "source": self.source,
            "false_positives": list(self.false_positives),
            "runbook": self.runbook,
        } | self._more()

    def _more(self) -> dict[str, Any]:
        """What few rules have: where it is absent, versions are as before there was such a thing."""
        more: dict[str, Any] = {"absence": _absence(self.absence)} if self.absence else {}
        if self.derived:
            more["derived"] = {one.name: canonical(one.tree) for one in self.derived}
        if self.suppress:
            more["suppress"] = {one.when.canonical: one.why for one in self.suppress}
        return more

    @property
    def version(self) -> str:
        """Twelve hex digits of the meaning's hash."""
        return version_of(self.meaning())


def version_of(meaning: Mapping[str, Any]) -> str:
    """Twelve hex digits of a meaning's hash."""
    text = json.dumps(meaning, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _feature(feature: Feature) -> dict[str, Any]:
    return {
        "agg": feature.agg,
        "of": feature.of,
        "within": feature.within,
        "by": list(feature.by),
        "where": feature.where.canonical if feature.where else None,
    } | ({"steps": [step.canonical for step in feature.steps]} if feature.steps else {})


def _absence(absence: Absence) -> dict[str, Any]:
    of = absence.of.canonical if absence.of else None
    return {"of": of, "within": absence.within, "grace": absence.grace}
