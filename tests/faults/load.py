"""What the fault tests feed, and what must come of it: one offline pass over the log by the same rules."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from connectors.archive.reading import Reader, ranges
from fengsui.settings import Settings
from rules import Judge, parse_rule
from rules.model import Rule
from tests.acceptance.house import reading
from topics.columns import decode_chunk
from topics.events import KINDS

SUBJECTS = 400
REGIONS = ("320102", "320104", "320105", "320106")


def load(seed: int, events: int, hours: int = 2) -> list[dict[str, Any]]:
    """Readings of 400 subjects over some hours: some late, some repeated, one in fifty hot, three in ten of one subject."""
    rng, span = random.Random(seed), hours * 3_600_000
    base = reading(0, 0.0)["occurred_at"] - span
    found: list[dict[str, Any]] = []
    for i in range(events):
        at = base + i * span // events - (rng.randrange(300_000) if rng.random() < 0.03 else 0)
        value = 60.0 if rng.random() < 0.02 else round(rng.gauss(4, 2), 2)
        number = 0 if rng.random() < 0.3 else min(int(rng.expovariate(1 / 120)), SUBJECTS - 1)
        region = REGIONS[number % len(REGIONS)]
        found.append(reading(number, value, event_id=f"e{i}", occurred_at=at, observed_at=at, region=region))
        if rng.random() < 0.01:
            found.append(found[-1])
    return found


@dataclass(slots=True)
class Expected:
    """Clues of one pass, and the copies under other keys that they rest on."""

    clues: Counter[str] = field(default_factory=Counter)
    copies: Counter[tuple[str, str]] = field(default_factory=Counter)  # event id, key


def expected(settings: Settings, texts: Sequence[str]) -> Expected:
    """What the log of readings calls for: clues by subject, and copies; then, by the log of copies, clues by other keys."""
    rules = [parse_rule(text, "test") for text in texts]
    result = Expected()
    _by_subject(settings, rules, result)
    _by_other_keys(settings, rules, result)
    return result


def copies(settings: Settings) -> Counter[tuple[str, str]]:
    """The copies that are in the log."""
    found: Counter[tuple[str, str]] = Counter()
    for frame, _ in _frames(settings, "rekeyed"):
        found.update(zip(frame["event_id"].to_list(), frame["_key"].to_list(), strict=True))
    return found


def _by_subject(settings: Settings, rules: Iterable[Rule], result: Expected) -> None:
    judges = _Judges(settings, rules, "subject")
    seen: set[str] = set()
    for frame, partition in _frames(settings, "events.iot"):
        fresh = [not (i in seen or seen.add(i)) for i in frame["event_id"].to_list()]  # type: ignore[func-returns-value]
        rows = frame.filter(pl.Series(fresh)).drop("_key")
        clues = judges[partition].judge("iot", rows, topic="events.iot", partition=partition)
        result.clues.update(clues["clue_id"].to_list())
        wanted = judges[partition].copies("iot", rows)
        ids = rows["event_id"].gather(wanted["row"]).to_list()
        result.copies.update(zip(ids, wanted["key"].to_list(), strict=True))


def _by_other_keys(settings: Settings, rules: Iterable[Rule], result: Expected) -> None:
    judges = _Judges(settings, rules, "foreign")
    for frame, partition in _frames(settings, "rekeyed"):
        clues = judges[partition].judge("iot", frame, topic="rekeyed", partition=partition)
        result.clues.update(clues["clue_id"].to_list())


class _Judges(dict[int, Judge]):
    """A judge for each partition."""

    def __init__(self, settings: Settings, rules: Iterable[Rule], scope: Any) -> None:
        super().__init__()
        self._make = lambda: Judge(list(rules), scope=scope, lateness=settings.allowed_lateness_ms)

    def __missing__(self, partition: int) -> Judge:
        self[partition] = self._make()
        return self[partition]


def _frames(settings: Settings, topic: str) -> Iterable[tuple[pl.DataFrame, int]]:
    """The committed readings of a topic, in the order of each partition."""
    wanted = ranges(settings.kafka_client(), settings.topic_prefix, [topic])[topic]
    with Reader(settings.kafka_client()) as reader:
        for stretch in reader.read(settings.topic_prefix + topic, wanted):
            yield (
                decode_chunk(KINDS["iot"], [r.value for r in stretch.records]).frame.with_columns(
                    pl.Series("_offset", [r.offset for r in stretch.records]),
                    pl.Series("_ts", [r.timestamp for r in stretch.records]),
                    pl.Series("_key", [(r.key or b"").decode() for r in stretch.records]),
                ),
                stretch.partition,
            )
