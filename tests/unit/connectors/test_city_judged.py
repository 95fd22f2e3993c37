"""The whole city through the starter packs, in process: every story is found, and little is said that is not so."""

import sys
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.city import City, Report, score
from connectors.city.calendar import DAY, MINUTE
from fengsui.backtest.baseline import baseline
from fengsui.backtest.baseline import judged as replayed
from rules import Rule, load_packs
from topics.codes import SECTORS

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


def judged(city: City, packs: list[Rule], chunk: int = 500) -> list[dict[str, Any]]:
    """Clues of both stages."""
    return [clue for _, _, clues in replayed(city, packs, LATENESS, chunk) for clue in clues]


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


def test_each_rule_is_told_apart(packs: list[Rule]) -> None:
    """Its clues, those that are right, and how many events could have made it speak at all."""
    city = City(seed=7, events=20_000, now=NOW)
    clues = judged(city, packs)
    found = baseline(city, packs, LATENESS)
    assert sum(one.clues for one in found.rules) == len(clues)
    assert sum(one.wrong for one in found.rules) == len(score(city.truth, clues).wrong)
    assert found.wrong_per_day < 1
    by_id = {one.rule: one for one in found.rules}
    warm = by_id["food-cold-store-warm"]
    assert (warm.right, warm.wrong) == (warm.clues, 0)
    assert warm.looked_at > 100
    assert all(one.looked_at >= one.clues for one in found.rules if "absence" not in one.rule)
