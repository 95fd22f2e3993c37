"""Why an event raised a clue, or did not: what one rule saw of each event, part by part.

The rule is judged twice over the same events: as it is, for what came of it; and with a `when` that always holds, for the values
of all its features on every event. Meant for the events of one key, not for a stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from rules import plan
from rules.clues import clue_id
from rules.compile import Lists, expression
from rules.filters import Filter
from rules.judge import Judge
from rules.model import Condition, Derived, Episode, Rule
from rules.raising import Hit
from rules.tree import TRUE, Node, conjuncts
from rules.words import said

Verdict = Literal[
    "clue", "severity rose", "in an episode", "waiting", "held back", "no severity", "when is not true", "too late", "no key"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One part of `when`, of an `or` in it, or of a severity; `holds` is None where it is NULL."""

    text: str
    holds: bool | None
    alternatives: tuple["Part", ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule saw of an event: values by name, parts of `when`, severities (graver first), what came of it. A late event is
    judged a second time, at its key's newest time (`again`)."""

    event_id: str
    occurred_at: int
    again: bool
    values: Mapping[str, Any]
    parts: tuple[Part, ...]
    severities: tuple[tuple[str, bool | None], ...]
    verdict: Verdict
    by: str = ""  # which filter, or "rule", holds it back
    clue_id: str = ""


class Witness:
    """A rule under observation. Events come as they come to a `Judge` of the same scope."""

    def __init__(
        self, rule: Rule, *, lateness: Mapping[str, int], lists: Lists | None = None, filters: Sequence[Filter] = ()
    ) -> None:
        scope: Literal["subject", "foreign"] = "foreign" if rule.foreign else "subject"
        self._rule = replace(rule, status="live")
        trees = (rule.when.tree, *(band.tree for _, band in rule.severity))  # so that the probe has their columns
        probe = replace(
            self._rule, when=Condition(TRUE, "true"), severity=(("blue", Condition(TRUE, "true")),), absence=None, suppress=(),
            derived=(*rule.derived, *(Derived(f"read{i}", tree, ()) for i, tree in enumerate(trees))),
            episode=Episode((*rule.episode.by[:1],), 1),
        )  # fmt: skip
        lists = lists or {}
        self._judge = Judge([self._rule], scope=scope, lateness=lateness, lists=lists, filters=filters)
        self._probe = Judge([probe], scope=scope, lateness=lateness, lists=lists)
        self._judged = plan.judged(self._rule, 0, lists, filters)
        self._names = plan.physical(self._judged.features)
        self._lists = lists

    def columns(self, kind: str) -> frozenset[str]:
        """Columns that it reads of events of a kind."""
        return self._judge.columns(kind) | self._probe.columns(kind)

    def look(self, kind: str, frame: pl.DataFrame, *, topic: str, partition: int) -> Iterator[Seen]:
        """What the rule saw of events of one kind, in arrival order; nothing of kinds that do not trigger it."""
        for i in range(frame.height):
            yield from self._one(kind, frame[i : i + 1], topic, partition)

    def _one(self, kind: str, event: pl.DataFrame, topic: str, partition: int) -> Iterator[Seen]:
        probed = self._probe.fired(kind, event)
        clues = self._judge.judge(kind, event, topic=topic, partition=partition).to_dicts()
        stats = self._judge.take_stats()
        if kind not in self._rule.on:
            return
        hits = [hit for hit in (probed[2] if probed else []) if hit.places.size]
        if not hits:
            late = bool(stats["late"])
            yield self._bare(event, "too late" if late else "no key")
        for hit in hits:
            yield self._seen(hit, clues, stats)

    def _bare(self, event: pl.DataFrame, verdict: Verdict) -> Seen:
        return Seen(event["event_id"][0], event["occurred_at"][0], False, {}, (), (), verdict)

    def _seen(self, hit: Hit, clues: list[dict[str, Any]], stats: Mapping[str, Any]) -> Seen:
        row = hit.view.frame[hit.places]
        parts = tuple(self._part(row, node) for node in conjuncts(self._rule.when.tree))
        severities = tuple((colour, self._holds(row, band.tree)) for colour, band in self._rule.severity)
        verdict, by = self._verdict(parts, severities, stats)
        clue = clues.pop(0) if verdict == "in an episode" and clues else None
        if clue is not None:
            own = clue_id(self._rule.id, clue["key"], row["event_id"][0])
            verdict = "clue" if clue["clue_id"] == own else "severity rose"
        shown = {name: column for name, column in self._judged.told if name in self._judged.shown}
        made = self._judged.made
        values = row.select(
            *(made.get(column, pl.col(column)).alias(name) for name, column in shown.items())
        ).to_dicts()[0]
        at, again = row["occurred_at"][0], hit.view.turn > 0
        raised = clue["clue_id"] if clue is not None else ""
        return Seen(row["event_id"][0], at, again, values, parts, severities, verdict, by, raised)

    def _verdict(
        self, parts: Sequence[Part], severities: Sequence[tuple[str, bool | None]], stats: Mapping[str, Any]
    ) -> tuple[Verdict, str]:
        """What came of it, as far as the event itself tells."""
        if not all(part.holds for part in parts):
            return "when is not true", ""
        if stats["hidden"] and not self._rule.absence:
            return "held back", ", ".join(by for _, by in stats["hidden"])
        if not any(holds for _, holds in severities):
            return "no severity", ""
        return ("waiting" if self._rule.absence else "in an episode"), ""

    def _part(self, row: pl.DataFrame, node: Node) -> Part:
        alternatives = tuple(self._part(row, child) for child in node.children()) if node.op == "or" else ()
        return Part(said(node), self._holds(row, node), alternatives)

    def _holds(self, row: pl.DataFrame, node: Node) -> bool | None:
        found: bool | None = row.select(expression(node, self._names, self._lists).alias("h"))["h"][0]
        return found
