"""Scores and decision tables: numbers that a rule names, in its conditions, its severity and what a clue says."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from rules import Rule, RuleError, run_tests
from rules.explain import BEIJING
from tests.unit.rules.build import event, judge_of, minutes, rule, run

LAW = """
  limit:
    - {metric: temp, region: "3201", from: 2026-01-06, gives: 6}
    - {metric: temp, gives: 8}
    - {metric: hum, months: 11-3, gives: 60}
    - {metric: hum, when: "sector = 'fire'", gives: 70}
"""
SCORE = """
  - {when: "value > 10", points: 30, why: 超限}
  - {when: "region = '320102'", points: 25}
  - {when: "flag IS NOT NULL", points: -20}
"""


def limited(**keys: str | None) -> Rule:
    """A value above the limit of a table."""
    return rule(**({"tables": LAW, "when": '"value > limit"', "explain": '"高于 {limit:.0f}"'} | keys))


def at(day: str) -> int:
    """Minutes from the start of the tests' clock to that day's midnight in Beijing."""
    first = datetime.fromtimestamp(event(0)["occurred_at"] / 1000, UTC)
    return int((datetime.fromisoformat(day).replace(tzinfo=BEIJING) - first) / timedelta(minutes=1))


def test_a_threshold_is_that_of_the_first_row_that_holds() -> None:
    """By type, region and all below it, season; no row: no clue."""
    events = [
        event(0, metric="temp", value=7.0, region="320102"),  # before the city's own limit
        event(1, metric="temp", value=9.0, region="110101"),
        event(2, metric="hum", value=65.0),  # January
        event(3, metric="other", value=1e9),
        event(at("2026-07-01"), metric="hum", value=65.0),  # no row: summer, and not of fire
        event(at("2026-07-02"), metric="hum", value=75.0, sector="fire"),
    ]
    clues = run(judge_of(limited(episode="{by: metric, quiet: 1s}")), events)
    assert clues["explanation"].to_list() == ["高于 8", "高于 60", "高于 70"]
    assert [json.loads(values)["limit"] for values in clues["values"]] == [8, 60, 70]


def test_an_event_is_judged_by_what_was_in_force_when_it_occurred() -> None:
    """Also one that is heard of after the law has changed."""
    turn = at("2026-01-06")
    before, after = event(turn - 1, value=7.0, region="320102"), event(turn, value=7.0, region="320102")
    late = event(turn - 2, value=7.0, region="320102", observed_at=after["observed_at"])
    late |= {"_ts": after["_ts"] + 60_000}
    clues = run(judge_of(limited(episode="{quiet: 1s}")), [before, after, late])
    assert minutes(clues) == [turn]


def test_a_score_is_the_sum_of_the_parts_that_hold() -> None:
    """NULL counts nothing; levels are bands of it; the clue shows it."""
    one = rule(
        score=SCORE, when='"score > 0"', severity='{yellow: "true", red: "score >= 55"}',
        explain='"{score:.0f} 分"', episode="{quiet: 1s}",
    )  # fmt: skip
    events = [
        event(0, value=11.0),
        event(10, value=1.0),
        event(20, value=11.0, region="110101"),
        event(30, value=1.0, region="110101"),
        event(40, value=11.0, flag="M"),
    ]
    clues = run(judge_of(one), events)
    assert clues["explanation"].to_list() == ["55 分", "25 分", "30 分", "35 分"]
    assert clues["severity"].to_list() == ["red", "yellow", "yellow", "yellow"]


def test_a_score_may_ask_tables_and_features() -> None:
    """They stand in for their names whatever is named where."""
    features = "{n_5m: {agg: count, within: 5m}}"
    score = '[{when: "value > limit", points: 10}, {when: "n_5m >= 2", points: 5}]'
    one = rule(
        tables="{limit: [{gives: 8}]}", features=features, score=score, when='"score >= 15"', explain='"{score:g}"'
    )
    clues = run(judge_of(one), [event(0, value=9.0), event(1, value=9.0)])
    assert minutes(clues) == [1]
    assert json.loads(clues["values"][0]) == {"limit": 8.0, "n_5m": 2, "score": 15.0, "value": 9.0}


def test_a_changed_row_is_another_version_and_a_reason_is_not() -> None:
    """What changes no judgement changes no version; rules without them keep the versions they had."""
    assert limited().version != limited(tables=LAW.replace("gives: 60", "gives: 61")).version
    scored = {"when": '"score > 0"', "explain": '"{score}"'}
    assert rule(score=SCORE, **scored).version == rule(score=SCORE.replace("超限", "过高"), **scored).version
    assert "derived" not in rule().meaning()


def test_its_own_tests_run() -> None:
    """`start` puts a test on either side of a change of law."""
    tests = """
  - name: 新限值之后
    start: "2026-02-01 08:00"
    events: [{at: 0m, metric: temp, value: 7}]
    expect: [{at: 0m, severity: orange}]
  - name: 新限值之前
    start: "2025-12-31 08:00"
    events: [{at: 0m, metric: temp, value: 7}]
    expect: []
"""
    assert [outcome.problem for outcome in run_tests([limited(tests=tests)]).outcomes] == ["", ""]


def test_the_longest_table_and_score_are_judged() -> None:
    """Two hundred rows, forty parts."""
    rows = ", ".join(f"{{metric: m{i}, gives: {i}}}" for i in range(200))
    parts = ", ".join(f'{{when: "value > {i}", points: 1}}' for i in range(40))
    one = rule(tables=f"{{limit: [{rows}]}}", score=f"[{parts}]", when='"value > limit AND score >= 40"', explain="x")
    assert minutes(
        run(judge_of(one), [event(0, metric="m199", value=198.0), event(1, metric="m199", value=200.0)])
    ) == [1]


BROKEN = [
    ({"tables": "{limit: []}"}, "1 to 200 rows"),
    ({"tables": "{limit: [{metric: temp}]}"}, "key 'gives' is missing"),
    ({"tables": "{limit: [{gives: much}]}"}, "a number is needed here, not 'much'"),
    ({"tables": "{limit: [{gives: .inf}]}"}, "a number is needed"),
    ({"tables": "{limit: [{metrik: temp, gives: 1}]}"}, "did you mean 'metric'?"),
    ({"tables": "{limit: [{metric: temp, gives: 1}, {metric: temp, months: 6, gives: 2}]}"}, "never reached"),
    ({"tables": "{limit: [{gives: 1}, {metric: temp, gives: 2}]}"}, "never reached"),
    ({"tables": "{limit: [{months: 13, gives: 1}]}"}, "6-8"),
    ({"tables": "{limit: [{months: summer, gives: 1}]}"}, "6-8"),
    ({"tables": "{limit: [{from: 2026-02-30, gives: 1}]}"}, "a day is written like"),
    ({"tables": "{limit: [{from: 2026-07-01, until: 2026-07-01, gives: 1}]}"}, "until is not after from"),
    ({"tables": "{limit: [{region: 南京, gives: 1}]}"}, "two, four or six digits"),
    ({"tables": "{limit: [{when: 'valu > 1', gives: 1}]}"}, "did you mean 'value'?"),
    ({"tables": "{limit: [{criminal: maybe, gives: 1}]}"}, "true or false"),
    ({"tables": "{value: [{gives: 1}]}"}, "cannot name a table"),
    ({"tables": "{score: [{gives: 1}]}"}, "cannot name a table"),
    ({"tables": "{limit: [{gives: 8}], other: [{gives: 1}]}"}, "nothing asks for 'other'"),
    ({"features": "{limit: {agg: count, within: 5m}}"}, "the name of a feature and of a table"),
    ({"score": "[]"}, "1 to 40 parts"),
    ({"score": '[{when: "value > 1"}]'}, "key 'points' is missing"),
    ({"score": '[{when: "value > 1", points: 0}]'}, "changes nothing"),
    ({"score": '[{when: "value", points: 1}]'}, "must be a bool"),
    ({"score": '[{when: "value > 1", points: 1}]'}, "nothing asks for 'score'"),
    ({"when": '"value > limits"'}, "did you mean 'limit'?"),
]


@pytest.mark.parametrize(("keys", "words"), BROKEN, ids=range(len(BROKEN)))
def test_what_makes_no_sense_is_refused(keys: dict[str, str], words: str) -> None:
    """With the words that mend it."""
    with pytest.raises(RuleError, match=words.replace("?", r"\?")):
        limited(**keys)
