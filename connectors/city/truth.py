"""What was planted, and how clues are scored against it. Pure.

>>> rats = Planted("rats-at-night", "food-drug", frozenset({"uscc:1"}), frozenset({"food-rats-at-night"}), 0, 1000)
>>> clue = {"origin": "rule", "origin_id": "food-rats-at-night", "subject": "uscc:1", "key": "uscc:1",
...         "region": "624001", "sector": "food-drug", "occurred_at": 500}
>>> report = score([rats], [clue, clue | {"subject": "uscc:2", "key": "uscc:2"}])
>>> report.recall, report.precision, report.stories["rats-at-night"]
(1.0, 0.5, Tally(found=1, expected=1, false=1))
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

HOUR: Final = 3_600_000
TOLERANCE: Final = (
    2 * HOUR
)  # a clue opens at a reading's own time; a late reading may carry it a little outside the span
ORDINARY: Final = "ordinary"
UNCLEAR_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted incident: `keys` are the subjects, persons, devices or regions it shows at, `origins` the rules that
    count as finding it, `begin` to `end` its span in ms UTC (with the time a rule's window keeps seeing it)."""

    story: str
    sector: str
    keys: frozenset[str]
    origins: frozenset[str]
    begin: int
    end: int


@dataclass(slots=True)
class Tally:
    """Counts of one story or sector: planted instances found and expected, clues that fall on none."""

    found: int = 0
    expected: int = 0
    false: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Recall over planted instances; precision over all clues (1.0 when there is none, as there is nothing wrong);
    `wrong`: the clues that fall on no planted instance; `missed`: the instances that no clue fell on."""

    recall: float
    precision: float
    clues: int
    stories: dict[str, Tally] = field(default_factory=dict)
    sectors: dict[str, Tally] = field(default_factory=dict)
    wrong: tuple[Mapping[str, Any], ...] = ()
    missed: tuple[Planted, ...] = ()


def _keys_of(clue: Mapping[str, Any]) -> set[str]:
    """Where a clue points: its key as it stands and without a scheme of one word before it, and its subject."""
    key = str(clue["key"])
    return {key, key.partition(":")[2] or key, str(clue["subject"])}


def matches(planted: Planted, clue: Mapping[str, Any]) -> bool:
    """Whether the clue is right about this incident. A model's clue needs only the place and the time."""
    if not planted.begin - TOLERANCE <= int(clue["occurred_at"]) <= planted.end + TOLERANCE:
        return False
    if clue["origin"] != "model" and clue["origin_id"] not in planted.origins:
        return False
    return not planted.keys.isdisjoint(_keys_of(clue))


class Index:
    """The truth by key, so that each clue meets only the incidents of its own place."""

    def __init__(self, truth: Iterable[Planted]) -> None:
        self._by_key: dict[str, list[Planted]] = defaultdict(list)
        for planted in truth:
            for key in planted.keys:
                self._by_key[key].append(planted)

    def of(self, clue: Mapping[str, Any]) -> set[Planted]:
        """The incidents that the clue is right about."""
        return {p for key in _keys_of(clue) for p in self._by_key.get(key, ()) if matches(p, clue)}


def score(truth: Sequence[Planted], clues: Iterable[Mapping[str, Any]]) -> Report:
    """Recall, precision, tallies per story and sector of clues (records with the fields of `topics.records.CLUE`)."""
    index = Index(truth)
    told = sorted({(origin, p.story) for p in truth for origin in p.origins}, key=lambda pair: pair[1] == ORDINARY)
    story_of = dict(reversed(told))  # a named story takes the blame before "ordinary"
    stories: dict[str, Tally] = defaultdict(Tally)
    sectors: dict[str, Tally] = defaultdict(Tally)
    found: set[Planted] = set()
    wrong: list[Mapping[str, Any]] = []
    total = 0
    for clue in clues:
        total += 1
        right = index.of(clue)
        found |= right
        if not right:
            wrong.append(clue)
            stories[story_of.get(str(clue["origin_id"]), ORDINARY)].false += 1
            sectors[str(clue["sector"])].false += 1
    for planted in truth:
        for tally in (stories[planted.story], sectors[planted.sector]):
            tally.expected += 1
            tally.found += planted in found
    missed = tuple(p for p in truth if p not in found)
    recall = len(found) / len(set(truth)) if truth else 1.0
    precision = 1 - len(wrong) / total if total else 1.0
    return Report(recall, precision, total, dict(stories), dict(sectors), tuple(wrong), missed)


def verdict(clue: Mapping[str, Any], truth: "Sequence[Planted] | Index", seed: int) -> tuple[str, str]:
    """What the simulated officer feeds back on a clue: (confirmed, false-alarm or unclear; Chinese text). The same seed
    and clue give the same answer, in whatever order the clues are handled."""
    index = truth if isinstance(truth, Index) else Index(truth)
    drawn = zlib.crc32(f"{seed}:{clue['clue_id']}".encode()) / 2**32
    if drawn < UNCLEAR_SHARE:
        return "unclear", "现场未能核实,需补充材料后复查"
    if index.of(clue):
        return "confirmed", "经现场核查,线索属实,已责令整改并跟踪复查"
    return "false-alarm", "经现场核查,未发现线索所述问题"
