"""All partitions of the archive through the rules, a thread a core; then the rules of other keys over the copies.

A batch is read, judged and forgotten: memory is what the windows hold, whatever the archive's size. Rules are judged in groups by
the kinds of event they look at, each group in one pass: order across kinds costs only those that ask for it.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from fengsui.backtest import copies
from fengsui.backtest.log import Log, Slice, end_of, partitions, refused
from rules import Filter, Judge, Lists, Rule
from rules.clues import SCHEMA
from rules.plan import scoped
from rules.reach import feeders
from rules.tree import TRUE
from topics.events import KINDS, ORDER

UNCAPPED: Final = 2**40  # clues an hour: an analyst wants to see all of a noisy rule


@dataclass(frozen=True, slots=True)
class Given:
    """What is judged, as threads share it: rules (all taken as live), filters, lists, lateness by kind."""

    rules: tuple[Rule, ...]
    filters: tuple[Filter, ...]
    lists: Lists
    lateness: Mapping[str, int]
    cap_per_hour: int

    def judge(self, rules: Sequence[Rule], scope: Literal["subject", "foreign"]) -> Judge:
        """A judge of some of the rules."""
        return Judge(
            rules,
            scope=scope,
            lateness=self.lateness,
            lists=self.lists,
            filters=self.filters,
            cap_per_hour=self.cap_per_hour,
        )


@dataclass(slots=True)
class Backtest:
    """Clues (columns of the clue record), how many events were judged, seconds, and what was held back, by rule and by what."""

    clues: pl.DataFrame
    events: int = 0
    seconds: float = 0.0
    hidden: dict[tuple[str, str], int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)

    @property
    def events_per_second(self) -> float:
        """Events judged a second, reading included."""
        return self.events / self.seconds if self.seconds else 0.0


def kinds_of(rule: Rule) -> tuple[str, ...]:
    """Kinds of event that a rule looks at at all, in their order."""
    found = set(rule.on)
    for feature in rule.features:
        found |= set(feeders(feature.by, feature.of, feature.where.tree if feature.where else TRUE))
    if rule.absence and rule.absence.of:
        found |= set(feeders(rule.episode.by, None, rule.absence.of.tree))
    return tuple(kind for kind in ORDER if kind in found)


def backtest(
    rules: Sequence[Rule],
    root: Path,
    *,
    lateness: Mapping[str, int],
    lists: Lists | None = None,
    filters: Sequence[Filter] = (),
    when: Slice | None = None,
    cap_per_hour: int = UNCAPPED,
    threads: int = 0,
) -> Backtest:
    """Judge what the archive below `root` holds. Rules count as live whatever their status. Clues are those raised in `when`;
    what came before is read as far back as windows and episodes reach. Raises OSError, ArrowInvalid."""
    began, count, when = time.perf_counter(), partitions(root), when or Slice()
    given = Given(tuple(_live(rules)), tuple(filters), lists or {}, lateness, cap_per_hour)
    bad, end = refused(root), end_of(root)
    threads = threads or os.cpu_count() or 1
    end = end if when.until is None else min(end, when.until)
    wider = when
    if when.since is not None:
        wider = replace(when, since=when.since - max(map(_reach, rules)) - max(lateness.values()))
    with tempfile.TemporaryDirectory(prefix="fengsui-backtest-") as scratch:
        jobs = [(given, root, p, count, _own(bad, p), wider, end, Path(scratch)) for p in range(count)]
        parts = list(_mapped(_by_subject, jobs, threads))
        if scoped(given.rules, True):
            parts += _mapped(
                _by_other_keys, [(given, root, Path(scratch), p, count, end) for p in range(count)], threads
            )
    total = Backtest(pl.concat([pl.DataFrame(schema=SCHEMA), *(part.clues for part in parts)]).drop("shadow"))
    for part in parts:
        total.events += part.events
        _sum(total.hidden, part.hidden)
        _sum(total.suppressed, part.suppressed)
        _sum(total.late, part.late)
    total.clues = total.clues.filter(pl.col("raised_at") >= (when.since or 0)).sort("raised_at", "clue_id")
    total.seconds = time.perf_counter() - began
    return total


def _reach(rule: Rule) -> int:
    """How far back in time a rule looks, ms."""
    waits = rule.absence.within + rule.absence.grace if rule.absence else 0
    return max([waits, *(feature.within for feature in rule.features)]) + rule.episode.quiet


def _own(bad: Mapping[tuple[str, int], Any], partition: int) -> dict[tuple[str, int], Any]:
    return {key: offsets for key, offsets in bad.items() if key[1] == partition}


def _sum(total: dict[Any, int], part: Mapping[Any, int]) -> None:
    for key, n in part.items():
        total[key] = total.get(key, 0) + n


def _mapped(work: Any, jobs: Sequence[Any], threads: int) -> Iterator[Backtest]:
    """Each job in a thread of its own choosing. Kernels and polars let the interpreter go, and a thread begins at once; a process
    would import and load kernels for seconds first."""
    with ThreadPoolExecutor(max(1, min(threads, len(jobs)))) as pool:
        yield from (future.result() for future in [pool.submit(work, *job) for job in jobs])


def _live(rules: Iterable[Rule]) -> list[Rule]:
    return [replace(rule, status="live") for rule in rules]


def _groups(rules: Iterable[Rule]) -> dict[tuple[str, ...], list[Rule]]:
    """Rules by the kinds they look at."""
    found: dict[tuple[str, ...], list[Rule]] = {}
    for rule in rules:
        found.setdefault(kinds_of(rule), []).append(rule)
    return found


def _by_subject(
    given: Given,
    root: Path,
    partition: int,
    count: int,
    bad: Mapping[tuple[str, int], Any],
    when: Slice,
    end: int,
    scratch: Path,
) -> Backtest:
    """One partition of events through the rules by subject; copies for other keys go to files in `scratch`."""
    result = Backtest(pl.DataFrame(schema=SCHEMA))
    found: list[pl.DataFrame] = []
    events: dict[str, int] = {}
    for kinds, group in _groups(given.rules).items():
        read: dict[str, int] = {}
        judge, other = given.judge(group, "subject"), given.judge(scoped(group, True), "foreign")
        columns = {kind: judge.columns(kind) | other.columns(kind) for kind in kinds}
        for n, (kind, frame) in enumerate(Log(root, partition, count, bad, when).events(columns)):
            clues = judge.judge(kind, frame, topic=KINDS[kind].topic, partition=partition)
            found += [clues] if clues.height else []
            copies.put(judge, kind, frame, scratch / "+".join(kinds), partition, n)
            _said(judge, int(frame["_ts"][-1]), found)
            read[kind] = read.get(kind, 0) + frame.height
        _said(judge, end, found)
        _count(result, judge)
        events |= {kind: max(n, events.get(kind, 0)) for kind, n in read.items()}
    result.events = sum(events.values())
    result.clues = pl.concat([result.clues, *found])
    return result


def _said(judge: Judge, at: int, found: list[pl.DataFrame]) -> None:
    """What had not come by a time of the log."""
    if judge.waits and (silent := judge.tick(at)).height:
        found.append(silent)


def _by_other_keys(given: Given, root: Path, scratch: Path, partition: int, count: int, end: int) -> Backtest:
    """One share of the other keys, over the copies of all partitions, in order of arrival."""
    result = Backtest(pl.DataFrame(schema=SCHEMA))
    found: list[pl.DataFrame] = []
    for kinds, group in _groups(scoped(given.rules, True)).items():
        judge = given.judge(group, "foreign")
        for kind, frame in copies.take(root, scratch / "+".join(kinds), kinds, partition, count):
            clues = judge.judge(kind, frame, topic="rekeyed", partition=partition)
            found += [clues] if clues.height else []
            _said(judge, int(frame["_ts"][-1]), found)
        _said(judge, end, found)
        _count(result, judge)
    result.clues = pl.concat([result.clues, *found])
    return result


def _count(result: Backtest, judge: Judge) -> None:
    stats = judge.take_stats()
    for name in ("hidden", "suppressed", "late"):
        _sum(getattr(result, name), stats[name])
