"""The one evaluate function: live stream, back-test and a rule's own tests all call `Judge.judge`.

Events come in batches of one kind, rows in arrival order; clues come out in the same order. The outcome is a function of the
order of events: batches may be split anywhere, and a snapshot restored anywhere, without changing a clue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from rules import clues, features, plan
from rules.arrays import Arrays, Bools, Ints
from rules.compile import Lists
from rules.episodes import Episodes, StormCap
from rules.features import Events, Part, View
from rules.model import Rule
from rules.plan import Spec
from rules.raising import Raiser, Ranked, Source, fired, fired_in_views, mask
from rules.steps import Steps, copied, present, steps
from rules.windows import DAY, WindowStore
from topics.events import KINDS

CAP_PER_HOUR: Final = 500
_EPISODES: Final = "episodes/"
_STORMS: Final = "storms/"
_STORE: Final = "store/"


class Judge:
    """Judges events by rules in force (live and shadow) of one scope: by `subject`, or by the `foreign` key in `_key`.

    `lateness`: kind -> allowed observed_at - occurred_at, ms. `cap_per_hour`: clues a rule and hour before the storm clue.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        scope: Literal["subject", "foreign"],
        lateness: Mapping[str, int],
        cap_per_hour: int = CAP_PER_HOUR,
        lists: Lists | None = None,
    ) -> None:
        self._foreign = scope == "foreign"
        self._lateness = dict(lateness)
        self._stores: dict[str, WindowStore] = {}
        self._raiser = Raiser(Episodes(slack=max(self._lateness.values(), default=0) + DAY), StormCap(cap_per_hour))
        self._clock = 0
        self._judged = 0
        self._late: dict[str, int] = {}
        self.replace(rules, lists or {})

    def replace(self, rules: Sequence[Rule], lists: Lists) -> None:
        """Judge by these rules and lists from now on. Features that stay keep their state; new ones start empty."""
        own = plan.scoped(rules, self._foreign)
        specs = plan.specs(own, self._lateness)
        for name, spec in specs.items():
            if name in self._stores:
                self._stores[name].configure(spec.withins, spec.lateness, distinct=spec.distinct)
            else:
                self._stores[name] = _new_store(spec)
        self._stores = {name: self._stores[name] for name in specs}
        self._specs = specs
        self._rules = [plan.judged(rule, order, lists) for order, rule in enumerate(own)]
        foreign = [] if self._foreign else plan.scoped(rules, True)
        self._steps: dict[str, Steps] = {}
        for kind in KINDS:
            copies, read = copied(kind, foreign, self._lateness, lists)
            mine = steps(kind, self._rules, specs.values(), lists, self._foreign)
            self._steps[kind] = replace(mine, copies=copies, copy_columns=read)
        self._raiser.episodes.keep({rule.id for rule in own})

    def judge(self, kind: str, frame: pl.DataFrame, *, topic: str, partition: int) -> pl.DataFrame:
        """Clues of n events of one kind (columns of the kind, `_offset`, `_ts`, and `_key` in scope "foreign"; `_topic` and
        `_partition` win over the arguments) -> columns of the clue record and `shadow`, in arrival order."""
        todo = self._steps[kind]
        if frame.height == 0:
            return clues.frame([])
        clock = np.maximum.accumulate(np.maximum(frame["_ts"].to_numpy(), self._clock))
        self._clock = int(clock[-1])
        self._judged += frame.height
        if not todo.first:
            return clues.frame([])
        events = self._events(kind, present(frame, todo.columns), clock)
        first = events.frame.select(pl.col("_ts"), *todo.first)
        source = Source(clock, topic, partition)
        found: list[Ranked] = []
        for judged in todo.plain:
            rows = np.flatnonzero(mask(first[f"gate{judged.order}"]))
            if rows.size:
                firing = fired(judged, events.frame[rows], rows, events.ts[rows], 0)
                found += self._raiser.clues(judged, firing, source)
        for judged, firing in fired_in_views(todo.featured, self._views(kind, events, first), events.ts):
            found += self._raiser.clues(judged, firing, source)
        found.sort(key=lambda ranked: ranked[0])
        return clues.frame([record for _, record in found])

    def copies(self, kind: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Events that rules with a foreign key need: `row` (UInt32, index into the frame) and `key` (`region:320102`), by row."""
        todo = self._steps[kind]
        schema = {"row": pl.UInt32, "key": pl.String}
        if not todo.copies or frame.height == 0:
            return pl.DataFrame(schema=schema)
        wide = present(frame, todo.copy_columns)
        parts = [
            wide.select(row=pl.int_range(pl.len(), dtype=pl.UInt32), key=plan.foreign_key(name), _needed=needed)
            .filter(pl.col("_needed") & pl.col("key").is_not_null())
            .drop("_needed")
            for name, needed in todo.copies
        ]
        return pl.concat(parts).sort("row", maintain_order=True)

    def snapshot(self) -> Arrays:
        """All state as numpy arrays, none of objects."""
        self._raiser.episodes.forget(self._clock)
        self._raiser.storms.forget(self._clock)
        arrays: Arrays = {"clock": np.array([self._clock], np.int64)}
        arrays |= {_EPISODES + name: array for name, array in self._raiser.episodes.snapshot().items()}
        arrays |= {_STORMS + name: array for name, array in self._raiser.storms.snapshot().items()}
        for store, state in self._stores.items():
            arrays |= {f"{_STORE}{store}/{name}": array for name, array in state.snapshot().items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Become what a snapshot holds; features it does not know start empty, features unknown here are left out."""
        self._clock = int(arrays["clock"][0])
        self._raiser.episodes.restore(_below(arrays, _EPISODES))
        self._raiser.episodes.keep({judged.rule.id for judged in self._rules})
        self._raiser.storms.restore(_below(arrays, _STORMS))
        for name, spec in self._specs.items():
            self._stores[name] = _new_store(spec)
            state = _below(arrays, f"{_STORE}{name}/")
            if state:
                self._stores[name].restore(state)

    def take_stats(self) -> dict[str, Any]:
        """Counts since the last call: `judged` rows, rows too `late` by kind, firings `suppressed` and clues `capped` by rule."""
        raiser = self._raiser
        stats = {"judged": self._judged, "late": self._late, "suppressed": raiser.suppressed, "capped": raiser.capped}
        self._judged, self._late, raiser.suppressed, raiser.capped = 0, {}, {}, {}
        return stats

    def sizes(self) -> dict[str, int]:
        """How much state is held: window `rows` and `keys`, open `episodes`."""
        stores = self._stores.values()
        sizes = {"rows": sum(s.rows for s in stores), "keys": sum(s.keys for s in stores)}
        return sizes | {"episodes": len(self._raiser.episodes)}

    def _events(self, kind: str, frame: pl.DataFrame, clock: Ints) -> Events:
        ts = frame["occurred_at"].to_numpy()
        prompt = frame["observed_at"].to_numpy() - ts <= self._lateness.get(kind, 0)
        return Events(frame, ts, clock, prompt)

    def _views(self, kind: str, events: Events, first: pl.DataFrame) -> list[View]:
        """Feed the stores, and lay their answers beside the events they were asked for."""
        todo, n = self._steps[kind], events.ts.size
        asked: dict[str, Bools] = {}
        for judged in todo.featured:
            gate = mask(first[f"gate{judged.order}"])
            for store in judged.stores:
                asked[store] = asked[store] | gate if store in asked else gate
        parts: dict[str, Part] = {}
        refused, nothing = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        for spec in todo.specs:
            insert = mask(first[f"where{spec.name}"]) if kind in spec.kinds else nothing
            part = features.ask(spec, self._stores[spec.name], events, insert, asked.get(spec.name, nothing))
            if part is not None:
                parts[spec.name] = part
                refused[part.rows] |= part.answers.refused
        if refused.any():
            self._late[kind] = self._late.get(kind, 0) + int(refused.sum())
        if not any(part.asked.any() for part in parts.values()):
            return []
        specs = [s for s in todo.specs if s.name in asked]
        own = features.own_view(events, parts, specs, self._stores)
        again = features.again_view(own, parts, specs, self._stores)
        return [own] if again is None else [own, again]


def _new_store(spec: Spec) -> WindowStore:
    return WindowStore(spec.withins, spec.lateness, distinct=spec.distinct, text=spec.text)


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
