"""The whole city through the starter packs, in process: every story is found, and little is said that is not so."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest

from connectors.city import City, Report, score
from connectors.city.calendar import DAY, MINUTE
from rules import Judge, Rule, load_packs
from topics.codes import SECTORS
from topics.events import KINDS

NOW: Final = 1_767_225_600_000
LATENESS: Final = {
    "inspection": 7 * DAY,
    "penalty": 7 * DAY,
    "complaint": 3 * DAY,
    "iot": 10 * MINUTE,
    "video": 10 * MINUTE,
    "opinion": DAY,
}
STORIES: Final = (
    "cold-store-warms",
    "complaints-then-failed",
    "repeat-offender",
    "rats-at-night",
    "current-creeps",
    "site-at-night",
    "regional-cluster",
)


@pytest.fixture(scope="module")
def packs() -> list[Rule]:
    return load_packs(Path(__file__).parents[3] / "rules" / "packs")


def _arrivals(city: City, chunk: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The city's events as detect sees them: repeats dropped, with offset and arrival."""
    seen: set[str] = set()
    offset = 0
    for delivery in city.deliveries(chunk):
        if delivery.gateway == "raw":
            continue
        new = [event not in seen for event in delivery.frame["event_id"].to_list()]
        seen.update(delivery.frame["event_id"].to_list())
        frame = delivery.frame.filter(pl.Series(new)).unique("event_id", keep="first", maintain_order=True)
        ts = frame["_arrived"]
        yield (
            delivery.kind,
            frame.drop("_arrived").with_columns(
                _offset=pl.Series(np.arange(offset, offset + len(frame), dtype=np.int64)), _ts=ts
            ),
        )
        offset += len(frame)


def judged(city: City, packs: list[Rule], chunk: int = 500) -> list[dict[str, Any]]:
    """Clues of the subject scope, and of the copies under other keys."""
    own = Judge(packs, scope="subject", lateness=LATENESS)
    regional = Judge(packs, scope="foreign", lateness=LATENESS)
    clues: list[dict[str, Any]] = []
    for kind, frame in _arrivals(city, chunk):
        clues += own.judge(kind, frame, topic=KINDS[kind].topic, partition=0).to_dicts()
        copies = own.copies(kind, frame)
        if len(copies):
            foreign = frame[copies["row"]].with_columns(_key=copies["key"])
            clues += regional.judge(kind, foreign, topic="rekeyed", partition=0).to_dicts()
    return clues


def _told(city: City, report: Report) -> str:
    per_day = len(report.wrong) / (len(city.subjects) / 10_000) / city.days
    stories = ", ".join(f"{name} {t.found}/{t.expected}/{t.false}" for name, t in sorted(report.stories.items()))
    return (
        f"seed {city.seed}: {report.clues} clues, recall {report.recall:.3f}, precision {report.precision:.3f}, "
        f"{per_day:.2f} false alarms per 10,000 subjects and day; {stories}"
    )


@pytest.mark.parametrize("seed", [7, 20])
def test_the_packs_find_the_stories(seed: int, packs: list[Rule], record_property: Any) -> None:
    """Recall and precision over all clues are at least 0.9, each story is found nearly always, all sectors raise clues."""
    city = City(seed=seed, events=20_000, now=NOW)
    clues = judged(city, packs)
    report = score(city.truth, clues)
    told = _told(city, report)
    sys.stdout.write(told + "\n")
    record_property("city", told)
    assert report.recall >= 0.9, told
    assert report.precision >= 0.9, told
    assert all(report.stories[story].found >= report.stories[story].expected - 1 for story in STORIES), told
    assert {clue["sector"] for clue in clues} == set(SECTORS)
    assert len({clue["clue_id"] for clue in clues}) == len(clues)


def test_coarse_delivery_changes_little(packs: list[Rule]) -> None:
    """With days of one kind arriving before the next kind, late events still complete what they belong to."""
    city = City(seed=7, events=20_000, now=NOW)
    report = score(city.truth, judged(city, packs, chunk=5_000))
    told = _told(city, report)
    assert report.recall >= 0.9, told
    assert report.precision >= 0.9, told


def test_silence_without_incidents(packs: list[Rule]) -> None:
    """Of the events at subjects and in regions where nothing was planted, next to none raises a clue."""
    city = City(seed=7, events=20_000, now=NOW)
    marked = {key for planted in city.truth for key in planted.keys}
    clues = [c for c in judged(city, packs) if c["subject"] not in marked and c["key"] not in marked]
    assert len(clues) <= 0.05 * len(city.truth), [c["explanation"] for c in clues]
