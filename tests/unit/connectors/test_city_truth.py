"""Scoring of clues against the truth, and the simulated officers."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.city import Planted, score, verdict
from connectors.city.truth import TOLERANCE

COLD = Planted(
    "cold-store-warms", "food-drug", frozenset({"uscc:a", "CST-1"}), frozenset({"r1", "r2"}), 10**7, 2 * 10**7
)
CLUSTER = Planted(
    "regional-cluster", "ecology", frozenset({"region:624001", "624001"}), frozenset({"r3"}), 10**7, 10**8
)


def clue(**changes: Any) -> dict[str, Any]:
    base = {
        "clue_id": "c1",
        "origin": "rule",
        "origin_id": "r1",
        "subject": "uscc:a",
        "key": "uscc:a",
        "region": "624001",
        "sector": "food-drug",
        "occurred_at": 15_000_000,
    }
    return base | changes


def test_a_clue_of_an_accepted_rule_at_the_place_and_time_is_right() -> None:
    """Two clues of one incident count once for recall and twice for precision."""
    report = score([COLD], [clue(), clue(origin_id="r2")])
    assert (report.recall, report.precision, report.clues) == (1.0, 1.0, 2)
    assert report.sectors["food-drug"].found == 1


def test_wrong_rule_place_or_time_is_false() -> None:
    """Each of the three makes a clue false, and the story whose rule it is bears it."""
    wrong = [clue(origin_id="r9"), clue(subject="uscc:b", key="uscc:b"), clue(occurred_at=20_000_001 + TOLERANCE)]
    report = score([COLD], wrong)
    assert (report.recall, report.precision, len(report.wrong)) == (0.0, 0.0, 3)
    assert report.stories["cold-store-warms"].false == 2
    assert report.stories["ordinary"].false == 1
    assert report.missed == (COLD,)


def test_device_and_region_keys_count() -> None:
    """A clue by device or by region is matched by its key, with or without the scheme before it."""
    by_device = clue(key="CST-1", subject="uscc:other")
    by_region = clue(origin_id="r3", key="624001", subject="uscc:z", sector="ecology", occurred_at=5 * 10**7)
    assert score([COLD, CLUSTER], [by_device, by_region, by_region | {"key": "region:624001"}]).precision == 1.0


def test_a_subject_in_the_region_is_not_the_region() -> None:
    """A clue at some subject of the county does not find the county's cluster."""
    assert score([CLUSTER], [clue(origin_id="r3", occurred_at=5 * 10**7)]).recall == 0.0


def test_a_model_clue_needs_no_rule_name() -> None:
    """A model's clue is right inside an incident's span at its subject, and false elsewhere."""
    report = score([COLD], [clue(origin="model", origin_id="anything"), clue(origin="model", occurred_at=10**12)])
    assert (report.recall, report.precision) == (1.0, 0.5)


def test_nothing_planted_nothing_said_is_perfect() -> None:
    """Empty truth and no clues: nothing is missed and nothing is wrong."""
    report = score([], [])
    assert (report.recall, report.precision) == (1.0, 1.0)


def test_verdicts_follow_the_truth() -> None:
    """Over many clues about one in twenty is unclear, and the others are told as they are."""
    right = [verdict(clue(clue_id=f"c{i}"), [COLD], 7)[0] for i in range(2_000)]
    wrong = [verdict(clue(clue_id=f"c{i}", subject="uscc:b", key="uscc:b"), [COLD], 7)[0] for i in range(2_000)]
    assert set(right) == {"confirmed", "unclear"}
    assert set(wrong) == {"false-alarm", "unclear"}
    assert 50 < right.count("unclear") < 150


@given(st.text(min_size=1, max_size=20), st.integers(0, 1000))
def test_a_verdict_is_repeatable(clue_id: str, seed: int) -> None:
    """The same clue and seed get the same verdict and a Chinese text."""
    first = verdict(clue(clue_id=clue_id), [COLD], seed)
    assert first == verdict(clue(clue_id=clue_id), [COLD], seed)
    assert first[1]


@given(st.lists(st.tuples(st.sampled_from(["r1", "r2", "r9"]), st.integers(0, 3 * 10**7)), max_size=30))
def test_score_is_between_nothing_and_everything(said: list[tuple[str, int]]) -> None:
    """Recall and precision stay in [0, 1]; right and wrong clues add up."""
    report = score([COLD], [clue(origin_id=origin, occurred_at=at) for origin, at in said])
    assert 0 <= report.recall <= 1
    assert 0 <= report.precision <= 1
    assert round(report.clues * (1 - report.precision)) == len(report.wrong)
