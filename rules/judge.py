"""The one evaluate function: live stream, back-test and a rule's own tests all call `Judge.judge`.

Events come in batches of one kind, rows in arrival order; clues come out in the same order. The outcome is a function of the
order of events: batches may be split anywhere, and a snapshot restored anywhere, without changing a clue.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from rules import clues, features, plan
from rules.absence import Absences, Moves, Silence
from rules.arrays import Arrays, Bools, Ints
from rules.compile import Lists
from rules.episodes import Episodes, StormCap
from rules.features import Columns, Events, Part, View
from rules.filters import Filter
from rules.keytable import TextColumn
from rules.model import Rule
from rules.plan import Judged, Spec
from rules.raising import Hit, Raiser, Source, hits_of, shown_by, with_key
from rules.steps import First, Steps, copied, present, steps
from rules.windows import DAY, WindowStore
from topics.buffers import filled, select, truths
from topics.events import KINDS

CAP_PER_HOUR: Final = 500
_NO_COPIES: Final = pl.DataFrame(schema={"row": pl.UInt32, "key": pl.String})
_EPISODES: Final = "episodes/"
_STORMS: Final = "storms/"
_STORE: Final = "store/"
_ABSENCE: Final = "absence/"


class Judge:
    """Judges events by rules in force (live and shadow) of one scope: by `subject`, or by the `foreign` key in `_key`.

    `lateness`: kind -> allowed observed_at - occurred_at, ms. `cap_per_hour`: clues a rule and hour before the storm clue.
    `by_ticks`: events come here by a detour, so that only ticks say how far time has come.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        scope: Literal["subject", "foreign"],
        lateness: Mapping[str, int],
        cap_per_hour: int = CAP_PER_HOUR,
        lists: Lists | None = None,
        by_ticks: bool = False,
        filters: Sequence[Filter] = (),
    ) -> None:
        self._foreign = scope == "foreign"
        self._lateness = dict(lateness)
        self._stores: dict[str, WindowStore] = {}
        self._absences: dict[str, Absences] = {}
        self._raiser = Raiser(Episodes(slack=max(self._lateness.values(), default=0) + DAY), StormCap(cap_per_hour))
        self._clock = self._told = 0
        self._by_ticks = by_ticks
        self.others_wait = False  # whether rules of other keys wait for something: they must be told the time
        self._judged = 0
        self._late: dict[str, int] = {}
        self._hidden: dict[tuple[str, str], int] = {}
        self.replace(rules, lists or {}, filters)

    def replace(self, rules: Sequence[Rule], lists: Lists, filters: Sequence[Filter] = ()) -> None:
        """Judge by these from now on. Features that stay keep their state; new ones start empty."""
        own = plan.scoped(rules, self._foreign)
        specs = plan.specs(own, self._lateness)
        for name, spec in specs.items():
            if name in self._stores:
                self._stores[name].configure(spec.withins, spec.lateness, distinct=spec.distinct)
            else:
                self._stores[name] = _new_store(spec)
        self._stores = {name: self._stores[name] for name in specs}
        self._specs = specs
        self._rules = [plan.judged(rule, order, lists, filters) for order, rule in enumerate(own)]
        self._absences = {j.wait: self._absence(j) for j in self._rules if j.rule.absence}
        foreign = [] if self._foreign else plan.scoped(rules, True)
        self.others_wait = any(rule.absence for rule in foreign)
        self._steps = {kind: steps(kind, self._rules, specs.values(), lists, self._foreign) for kind in KINDS}
        self._copies = {kind: copied(kind, foreign, self._lateness, lists) for kind in KINDS}
        self._raiser.episodes.keep({rule.id for rule in own})

    def judge(self, kind: str, frame: pl.DataFrame, *, topic: str, partition: int) -> pl.DataFrame:
        """Clues of n events of one kind (columns of the kind, `_offset`, `_ts`, and `_key` in scope "foreign"; `_topic` and
        `_partition` win over the arguments) -> columns of the clue record and `shadow`, in arrival order."""
        found = self.fired(kind, frame)
        if found is None:
            return clues.frame([])
        events, first, hits = found
        source, todo = Source(events.clock, topic, partition), self._steps[kind]
        silences = self._silences(todo, events, first, hits, source) if todo.absent else []
        hits = self._seen(hit for hit in hits if not hit.judged.rule.absence)
        return clues.frame(self._raiser.clues(hits, source, silences) if hits or silences else [])

    def fired(self, kind: str, frame: pl.DataFrame) -> tuple[Events, First, list[Hit]] | None:
        """Take events in, and see where `when` of which rule holds; None where no rule looks at the kind."""
        todo = self._steps[kind]
        if frame.height == 0:
            return None
        clock = np.maximum.accumulate(np.maximum(frame["_ts"].to_numpy(), self._clock))
        self._clock = int(clock[-1])
        self._judged += frame.height
        if not (todo.plain or todo.specs or todo.absent):
            return None
        events = self._events(kind, present(frame, todo.columns), clock)
        first = First(events.frame, todo.first)
        hits: list[Hit] = []
        view = View(events.frame, np.arange(frame.height), 0)
        for judged in todo.plain:
            if first.any(gate := todo.gates[judged.order]):
                rows = np.flatnonzero(first.all(gate))
                hits.append(Hit(judged, view, rows, events.ts[rows]))
        return events, first, hits + self._featured(kind, events, first)

    def tick(self, at: int) -> pl.DataFrame:
        """Clues of what has not come by the log's time `at`; columns as those of `judge`."""
        self._told = max(self._told, at)
        over = [(j, one) for j in self._rules if j.rule.absence for one in self._absences[j.wait].tick(at)]
        silences = self._heard(over)
        nowhere = Source(np.zeros(0, np.int64), "", 0)
        return clues.frame(self._raiser.clues([], nowhere, silences) if silences else [])

    @property
    def waits(self) -> bool:
        """Whether rules wait for something: then it must be told the time."""
        return bool(self._absences)

    def columns(self, kind: str) -> frozenset[str]:
        """Columns that it reads of events of a kind."""
        return frozenset((*self._steps[kind].columns, *self._copies[kind].columns))

    def copies(self, kind: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Events that rules with a foreign key need: `row` (UInt32, index into the frame) and `key` (`region:320102`), by row."""
        todo = self._copies[kind]
        if not todo.keys or frame.height == 0:
            return _NO_COPIES.clone()
        first = First(present(frame, todo.columns), todo.first)
        found: list[tuple[int, str]] = []
        for name, conditions in todo.keys.items():
            needed = np.logical_or.reduce([first.all(parts) for parts in conditions])
            keys = first.frame[name]
            rows = np.flatnonzero(needed & filled(keys))
            found += zip(rows.tolist(), keys[rows].to_list(), strict=True)
        found.sort(key=lambda pair: pair[0])
        return pl.DataFrame(found, schema=_NO_COPIES.schema, orient="row") if found else _NO_COPIES.clone()

    def snapshot(self) -> Arrays:
        """All state as numpy arrays, none of objects."""
        self._raiser.episodes.forget(self._clock)
        self._raiser.storms.forget(self._clock)
        arrays: Arrays = {"clock": np.array([self._clock, self._told], np.int64)}
        arrays |= {_EPISODES + name: array for name, array in self._raiser.episodes.snapshot().items()}
        arrays |= {_STORMS + name: array for name, array in self._raiser.storms.snapshot().items()}
        for store, state in self._stores.items():
            arrays |= {f"{_STORE}{store}/{name}": array for name, array in state.snapshot().items()}
        for rule, absence in self._absences.items():
            arrays |= {f"{_ABSENCE}{rule}/{name}": array for name, array in absence.snapshot().items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Become what a snapshot holds; features it does not know start empty, features unknown here are left out."""
        self._clock, self._told = (*arrays["clock"].tolist(), 0)[:2]
        self._raiser.episodes.restore(_below(arrays, _EPISODES))
        self._raiser.episodes.keep({judged.rule.id for judged in self._rules})
        self._raiser.storms.restore(_below(arrays, _STORMS))
        for name, spec in self._specs.items():
            self._stores[name] = _new_store(spec)
            state = _below(arrays, f"{_STORE}{name}/")
            if state:
                self._stores[name].restore(state)
        for rule, absence in self._absences.items():
            if state := _below(arrays, f"{_ABSENCE}{rule}/"):
                absence.restore(state)

    def take_stats(self) -> dict[str, Any]:
        """Counts since the last call: `judged` rows, rows too `late` by kind, firings `suppressed` and clues `capped` by rule,
        and firings `hidden`, by rule and what hid them (a filter's id, or "rule")."""
        raiser = self._raiser
        stats = {"judged": self._judged, "late": self._late, "suppressed": raiser.suppressed, "capped": raiser.capped}
        stats["hidden"] = self._hidden
        self._judged, self._late, self._hidden, raiser.suppressed, raiser.capped = 0, {}, {}, {}, {}
        return stats

    def sizes(self) -> dict[str, int]:
        """How much state is held: window `rows` and `keys`, open `episodes`, keys `awaited`."""
        stores = self._stores.values()
        sizes = {"rows": sum(s.rows for s in stores), "keys": sum(s.keys for s in stores)}
        return sizes | {"episodes": len(self._raiser.episodes), "awaited": sum(map(len, self._absences.values()))}

    def _events(self, kind: str, frame: pl.DataFrame, clock: Ints) -> Events:
        ts = frame["occurred_at"].to_numpy()
        prompt = frame["observed_at"].to_numpy() - ts <= self._lateness.get(kind, 0)
        return Events(frame, ts, clock, prompt)

    def _featured(self, kind: str, events: Events, first: First) -> list[Hit]:
        """Feed the stores, and see which rules hold with their answers beside the events they were asked for."""
        todo = self._steps[kind]
        rules = [judged for judged in todo.featured if first.any(todo.gates[judged.order])]
        gates = {judged.order: first.all(todo.gates[judged.order]) for judged in rules}
        asked: dict[str, Bools] = {}
        for judged in rules:
            gate = gates[judged.order]
            for store in judged.stores:
                asked[store] = asked[store] | gate if store in asked else gate
        parts = self._answers(kind, events, first, asked)
        if not any(part.asked.any() for part in parts.values()):
            return []
        reads = list(dict.fromkeys(read for judged in rules for read in judged.reads))
        own = features.own_view(events, parts, reads, self._specs, self._stores)
        again = features.again_view(events, own, parts, self._specs, self._stores)
        return [hit for view in (own, again) if view is not None for hit in hits_of(rules, view, gates, events.ts)]

    def _absence(self, judged: Judged) -> Absences:
        """The clocks of a rule; those that run go on."""
        told, slack = judged.rule.absence, max(self._lateness.values(), default=0)
        assert told is not None  # noqa: S101 - asked for rules of absence only
        found = self._absences.get(judged.wait)
        if found is None:  # one without running clocks is false, and still knows what was answered
            found = Absences(judged.schema)
        found.adopt(judged.schema)
        found.configure(told.within, told.grace, slack, again=told.of is None)
        return found

    def _silences(
        self, todo: Steps, events: Events, first: First, hits: Sequence[Hit], source: Source
    ) -> list[tuple[Judged, Silence]]:
        """Let events start and stop the clocks of absence; what was due before they arrived."""
        found = []
        now = np.full(events.ts.size, self._told) if self._by_ticks else events.clock
        for judged in todo.absent:
            hit = next((hit for hit in hits if hit.judged is judged and hit.view.turn == 0), None)
            starts, stops = np.zeros(events.ts.size, np.bool_), np.zeros(events.ts.size, np.bool_)
            fresh = pl.DataFrame(schema=judged.schema)
            if hit is not None:
                hit = with_key(hit)
                places, fresh = shown_by(hit, source)
                starts[hit.view.rows[places]] = True
                if judged.rule.absence and judged.rule.absence.of is None:
                    stops[hit.view.rows[hit.places]] = True
            if first.any(todo.awaited.get(judged.order)):
                stops = first.all(todo.awaited[judged.order])
            rows = np.flatnonzero(starts | stops)
            if rows.size:
                keys = TextColumn.of(first.frame[judged.key_name][rows])
                moves = Moves(
                    rows, keys, events.ts[rows], events.clock[rows], now[rows], starts[rows], stops[rows], fresh
                )
                found += [(judged, one) for one in self._absences[judged.wait].take(moves)]
        return self._heard(found)

    def _seen(self, hits: Iterable[Hit]) -> list[Hit]:
        """Firings that nothing holds back; the others are counted."""
        found = []
        for hit in hits:
            for name, hides in hit.judged.hides:
                hidden = truths(select(hit.view.frame[hit.places], [pl.col("_ts"), hides.alias("hidden")])["hidden"])
                self._count(hit.judged, name, int(hidden.sum()))
                hit = hit._replace(places=hit.places[~hidden], at=hit.at[~hidden])  # noqa: PLW2901 - narrowed by each
            if hit.places.size:
                found.append(hit)
        return found

    def _heard(self, silences: Sequence[tuple[Judged, Silence]]) -> list[tuple[Judged, Silence]]:
        """Silences that no filter hides, by the event that began to wait and the time when the wait was over."""
        found = []
        for judged, one in silences:
            row = pl.DataFrame([{**one.shown, "occurred_at": one.at}], schema=judged.schema, strict=False)
            by = next((name for name, hides in judged.hides if row.select(hides.alias("h"))["h"][0] is True), None)
            if by is None:
                found.append((judged, one))
            else:
                self._count(judged, by, 1)
        return found

    def _count(self, judged: Judged, by: str, n: int) -> None:
        if n:
            self._hidden[judged.rule.id, by] = self._hidden.get((judged.rule.id, by), 0) + n

    def _answers(self, kind: str, events: Events, first: First, asked: Mapping[str, Bools]) -> dict[str, Part]:
        """What each store that takes or must answer some row says."""
        todo = self._steps[kind]
        nothing = np.zeros(events.ts.size, np.bool_)
        refused, columns = nothing.copy(), Columns(events, first, todo.sequences)
        parts: dict[str, Part] = {}
        for spec in todo.specs:
            if spec.name not in asked and not first.any(todo.wheres.get(spec.name)):
                continue
            insert = first.all(todo.wheres[spec.name]) if spec.name in todo.wheres else nothing
            part = features.ask(spec, self._stores[spec.name], events, columns, insert, asked.get(spec.name, nothing))
            if part is not None:
                parts[spec.name] = part
                refused[part.rows] |= part.answers.refused
        if refused.any():
            self._late[kind] = self._late.get(kind, 0) + int(refused.sum())
        return parts


def _new_store(spec: Spec) -> WindowStore:
    return WindowStore(spec.withins, spec.lateness, distinct=spec.distinct, text=spec.text, steps=len(spec.steps))


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
