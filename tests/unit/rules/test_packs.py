"""The starter packs: complete, sourced, tested in both directions, and their own tests pass."""

from collections import Counter
from pathlib import Path

import pytest

from rules import Rule, load_packs, run_tests
from topics.codes import SECTORS

PACKS = Path(__file__).parents[3] / "rules" / "packs"
RULES = load_packs(PACKS)
by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def test_every_sector_is_served() -> None:
    """All 13 key sectors are served, with more than 100 rules in all; all means of the language among them."""
    count = Counter(rule.sector for rule in RULES)
    assert set(count) == set(SECTORS)
    assert min(count.values()) >= 5
    assert len(RULES) > 100
    assert sum(any(f.agg == "completed" for f in rule.features) for rule in RULES) >= 10  # sequences
    assert sum(rule.absence is not None for rule in RULES) >= 10
    assert sum(any(one.name == "score" for one in rule.derived) for rule in RULES) >= 5
    assert sum(any(one.name != "score" for one in rule.derived) for rule in RULES) >= 10  # tables
    assert {rule.foreign for rule in RULES} == {None, "region", "person", "chain"}


@by_rule
def test_a_rule_tells_where_it_comes_from_and_what_to_do(rule: Rule) -> None:
    """Basis, source, false positives and runbook are filled in; the file lies in its sector's folder."""
    assert rule.basis
    assert rule.source
    assert rule.runbook
    assert rule.false_positives
    assert Path(rule.path).parent.name == rule.sector
    assert "{" in rule.explain


@by_rule
def test_a_rule_is_tested_in_both_directions(rule: Rule) -> None:
    """At least one test expects clues and at least one expects silence."""
    assert any(case.expect for case in rule.tests)
    assert any(not case.expect for case in rule.tests)


@by_rule
def test_sensor_rules_drop_flagged_readings(rule: Rule) -> None:
    """A rule that judges measured values leaves out maintenance, calibration and fault data; settlements have none."""
    if rule.on == ("iot",) and "claim_fee" not in rule.when.text:
        texts = [rule.when.text, *(f.where.text for f in rule.features if f.where)]
        assert all("flag NOT IN ('M', 'C', 'D', 'F', 'S')" in text for text in texts)


@by_rule
def test_sensor_rules_never_judge_a_single_point(rule: Rule) -> None:
    """Every sensor rule asks for a number of readings within a window."""
    if "iot" in rule.on:
        assert any(feature.agg == "count" for feature in rule.features)


def test_all_tests_inside_the_packs_pass() -> None:
    """Every rule's own tests, both kinds, give exactly the clues they expect."""
    report = run_tests(RULES)
    assert [(outcome.rule, outcome.name, outcome.problem) for outcome in report.failed] == []
    assert len(report.outcomes) == sum(len(rule.tests) for rule in RULES)
    assert (report.rules, report.sectors) == (len(RULES), len(SECTORS))
