"""Panel, learner, serving, profile: a sector's model learns from visits and verdicts, and speaks once it knows enough."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.contract import BadSnapshot
from models.learner import Learner, example_from_feedback, features_of
from models.outcomes import bad_outcome, complains
from models.panel import EXAMPLES, Panel
from models.profile import DAY_MS, FEATURES, Profile
from models.serving import Serving, load
from topics.codes import SECTORS
from topics.records import CLUE

START = 1_600_000_000_000
FOOD = [s for s in load() if s.sector == "food-drug" and s.model == "visit"]


def events(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of one kind with an envelope."""
    common = {"kind": kind, "sector": "food-drug", "subject_name": "某酒楼", "region": "310101"}
    full = [
        {**common, "event_id": f"{kind}{i}{row['occurred_at']}", "_offset": i, "_ts": row["occurred_at"] + 5, **row}
        for i, row in enumerate(rows)
    ]
    return pl.DataFrame(full)


def town(panel: Panel, seed: int, weeks: int = 60) -> pl.DataFrame:
    """Sixty restaurants, weekly visits to half of them; ten of them draw complaints and mostly fail. -> all examples"""
    rng = np.random.default_rng(seed)
    out = []
    for week in range(weeks):
        at = START + week * 7 * DAY_MS
        bad = [{"subject": f"site:{i}", "occurred_at": at, "complaint_type": "complaint"} for i in range(10)]
        panel.observe("complaint", events("complaint", bad), "events.complaint", 0)
        visited = rng.permutation(60)[:30]
        fails = rng.random(30) < np.where(visited < 10, 0.9, 0.05)
        rows = [
            {"subject": f"site:{s}", "occurred_at": at + DAY_MS, "result": "fail" if f else "pass"}
            for s, f in zip(visited.tolist(), fails.tolist(), strict=True)
        ]
        out.append(panel.observe("inspection", events("inspection", rows), "events.inspection", 0).examples)
    return pl.concat(out)


@pytest.fixture(scope="module")
def taught() -> Learner:
    learner = Learner("food-drug", "visit")
    learner.learn(town(Panel(FOOD), 1))
    return learner


def complaint(subject: str, at: int) -> pl.DataFrame:
    return events("complaint", [{"subject": subject, "occurred_at": at, "complaint_type": "complaint"}])


def test_a_taught_model_names_the_risky_restaurants_once(taught: Learner) -> None:
    """With the learner's snapshot, clues come for restaurants that fail, one an episode, none for the good ones."""
    panel = Panel(FOOD)
    town(panel, 2, weeks=20)
    panel.apply("food-drug", "visit", taught.parameters(), taught.version)
    at = START + 20 * 7 * DAY_MS
    found = pl.concat(
        panel.observe("complaint", complaint(f"site:{i}", at), "events.complaint", 1).clues for i in range(60)
    )
    assert found.columns == list(CLUE.columns)
    assert set(found["subject"]) == {f"site:{i}" for i in range(10)}
    assert (found["score"] >= 0.6).all()
    assert (found["origin_version"] == f"1.{taught.version}").all()
    assert "近30天投诉举报" in "".join(found["explanation"])
    again = panel.observe("complaint", complaint("site:3", at + DAY_MS), "events.complaint", 1).clues
    assert len(again) == 0


def test_an_untaught_model_is_silent(taught: Learner) -> None:
    """Before a snapshot, and with one that has learnt from too few visits, no clue is raised."""
    young = Learner("food-drug", "visit")
    young.learn(town(Panel(FOOD), 1, weeks=4))
    for learner in (None, young):
        panel = Panel(FOOD)
        if learner is not None:
            panel.apply("food-drug", "visit", learner.parameters(), learner.version)
        town(panel, 2, weeks=20)
        found = panel.observe("complaint", complaint("site:1", START + 20 * 7 * DAY_MS), "events.complaint", 1)
        assert len(found.clues) == 0


def test_examples_hold_what_was_known_before_the_visit() -> None:
    """The first visit's example knows no outcome, the second knows the first one's; a closed door is no example."""
    panel = Panel(FOOD)
    rows = [("fail", 0), ("No Entry", 10), ("pass", 20)]
    frame = events(
        "inspection", [{"subject": "site:1", "occurred_at": START + d * DAY_MS, "result": r} for r, d in rows]
    )
    examples = panel.observe("inspection", frame, "events.inspection", 0).examples
    assert examples.columns == list(EXAMPLES)
    assert examples["label"].to_list() == [1.0, 0.0]
    first, second = (json.loads(text) for text in examples["features"])
    assert (first["first_visit"], first["last_bad"]) == (1.0, None)
    assert (second["first_visit"], second["last_bad"]) == (0.0, 1.0)
    assert second["since_visit"] == pytest.approx(np.log1p(10))


def test_prequential_quality_is_told(taught: Learner) -> None:
    """Scores given before learning put most bad visits above the good ones, and snapshots are due every so many examples."""
    quality = taught.quality()
    assert quality["auc"] > 0.85  # one bad visit in five is pure chance here
    assert quality["examples"] == 1800
    assert taught.should_publish()
    taught.published()
    assert not taught.should_publish()


def test_a_verdict_becomes_an_example(taught: Learner) -> None:
    """A confirmed or refuted clue of a learning model teaches; an unclear one, a rule's or a sensor's does not."""
    panel = Panel([replace(FOOD[0], threshold=0.01, lift=0.0)])
    panel.apply("food-drug", "visit", taught.parameters(), taught.version)
    clue = panel.observe("complaint", complaint("site:1", START), "events.complaint", 1).clues.row(0, named=True)
    row = example_from_feedback(clue, "false-alarm")
    assert row is not None
    assert (row["sector"], row["model"], row["label"]) == ("food-drug", "visit", 0.0)
    assert set(json.loads(row["features"])) == set(FEATURES)
    before = taught.version
    taught.learn(pl.DataFrame([row], schema=EXAMPLES))
    assert int(taught.version) == int(before) + 1
    assert example_from_feedback(clue, "unclear") is None
    assert example_from_feedback({**clue, "origin": "rule"}, "confirmed") is None
    assert example_from_feedback({**clue, "origin_id": "sensor"}, "confirmed") is None
    assert example_from_feedback({**clue, "values": "[" * 100_000}, "confirmed") is None


def test_broken_features_count_as_missing() -> None:
    """Examples arrive through a topic: one broken text costs itself only."""
    texts = pl.Series(['{"visits": 1.5}', "not json", '{"visits": "x", "other": 1}', None, "[1]", '{"visits": 1e999}'])
    assert features_of(texts)["visits"].to_list() == [1.5, None, None, None, None, None]


def test_hostile_parameters_leave_the_old_model_serving(taught: Learner) -> None:
    """A snapshot that does not fit is refused by name, and what was served goes on."""
    panel = Panel(FOOD)
    panel.apply("food-drug", "visit", taught.parameters(), "5")
    with pytest.raises(BadSnapshot):
        panel.apply("food-drug", "visit", taught.parameters() | {"weights": np.full(17, np.nan)}, "6")
    panel.apply("no-such-sector", "visit", taught.parameters(), "6")
    assert panel.versions()[("food-drug", "visit")] == "5"


def test_a_panel_refuses_a_broken_state_as_a_whole(taught: Learner) -> None:
    """Whichever part is missing or damaged, nothing has changed."""
    panel = Panel(FOOD)
    town(panel, 1, weeks=5)
    panel.apply("food-drug", "visit", taught.parameters(), "5")
    state = panel.snapshot()
    for name in ("sensor/digests", "profile/sums", "episodes/last", "served/food-drug/visit/weights"):
        for broken in ({k: v for k, v in state.items() if k != name}, state | {name: np.array([np.nan])}):
            with pytest.raises(BadSnapshot):
                panel.restore(broken)
    after = panel.snapshot()
    assert all((after[k] == state[k]).all() for k in state)


def test_every_sector_is_served() -> None:
    """All thirteen key sectors have a model, and a serving that names what is not there is refused."""
    assert {s.sector for s in load()} == set(SECTORS)
    with pytest.raises(ValueError, match="unknown"):
        Serving("fire", "oracle", "fire-rescue", "t", 0.5, {"red": 0.5}, 1, "x")
    with pytest.raises(ValueError, match="out of range"):
        Serving("fire", "visit", "fire-rescue", "t", 1.5, {"red": 0.5}, 1, "x")
    for text in ("", "models: {}\nsectors: {fire: {department: fire-rescue, serve: [visit]}}"):
        with pytest.raises(ValueError, match="serving"):
            load(text)


@pytest.mark.parametrize(
    ("result", "critical", "bad"),
    [
        ("fail", None, True),
        ("Fail", 0, True),
        ("不合格", None, True),
        ("检查不通过，限期整改", None, True),
        ("Pass w/ Conditions", 0, False),
        ("合格", None, False),
        ("未发现问题", None, False),
        ("fixed-on-site", None, False),
        ("pass", 1, True),
        ("transferred", None, None),
        ("Out of Business", None, None),
        (None, None, None),
        ("transferred", 0, False),
    ],
)
def test_outcomes(result: str | None, critical: int | None, bad: bool | None) -> None:
    """Failed or a critical violation is bad; passed is not; what says neither is unknown."""
    frame = pl.DataFrame(
        {"result": [result], "critical_violations": [critical]}, schema_overrides={"result": pl.String}
    )
    assert bad_outcome(frame).to_list() == [bad]


def test_absent_columns_say_nothing() -> None:
    """Frames without the columns give unknown outcomes and no complaints."""
    frame = pl.DataFrame({"subject": ["a"]})
    assert bad_outcome(frame).to_list() == [None]
    assert complains(frame).to_list() == [False]


def test_late_events_do_not_rewrite_the_present() -> None:
    """A complaint that arrives late still counts, faded; an old pass that arrives late does not hide the newer failure."""
    profile = Profile()
    visits = [("fail", 100), ("pass", 50)]
    frame = events("inspection", [{"subject": "site:1", "occurred_at": d * DAY_MS, "result": r} for r, d in visits])
    after = profile.walk("inspection", frame).after
    assert after[:, list(FEATURES).index("last_bad")].tolist() == [1.0, 1.0]
    late = profile.walk("complaint", complaint("site:1", 70 * DAY_MS)).after[0]
    assert late[list(FEATURES).index("complaints_30d")] == pytest.approx(np.log1p(0.5))
