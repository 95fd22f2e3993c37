"""What holds firings back: filters in files of their own, a rule's own `suppress`, lists whose entries expire."""

import polars as pl
import pytest

from rules import Filter, Judge, RuleError, parse_filter
from rules.derived import moment
from rules.nodes import compose
from tests.unit.rules.build import DAY, MINUTE, T0, event, judge_of, minutes, rule, run

QUIET = "{quiet: 1s}"


def exception(**keys: str | None) -> Filter:
    """A filter on the test rule."""
    given = {"id": "test-filter", "rules": "[test-rule]", "until": "2027-01-01", "reason": "检修", "owner": "张三"}
    return parse_filter("\n".join(f"{k}: {v}" for k, v in (given | keys).items() if v is not None), "test-filter.yaml")


def hidden(judge: Judge) -> dict[tuple[str, str], int]:
    """What was held back since the last call."""
    found: dict[tuple[str, str], int] = judge.take_stats()["hidden"]
    return found


def test_a_filter_hides_what_it_says_and_counts_it() -> None:
    """By column and by time; the rule's version stays as it was."""
    judge = judge_of(rule(episode=QUIET), filters=[exception(where="\"region = '320102'\"", until="2026-01-06")])
    events = [event(0), event(10, region="110101"), event(25 * 60)]
    clues = run(judge, events)
    assert minutes(clues) == [10, 25 * 60]
    assert hidden(judge) == {("test-rule", "test-filter"): 1}
    assert hidden(judge) == {}
    assert set(clues["origin_version"]) == {rule(episode=QUIET).version}


def test_a_hidden_firing_opens_no_episode() -> None:
    """What comes after the exception is told."""
    judge = judge_of(rule(), filters=[exception(where='"value > 10"')])
    assert minutes(run(judge, [event(0, value=11.0), event(1)])) == [1]


def test_a_filter_of_a_sector_is_about_all_its_rules_and_no_others() -> None:
    """A sector, or rules by id."""
    rules = [rule(episode=QUIET), rule(id="other-rule", sector="fire", episode=QUIET)]
    by_sector = exception(rules=None, sector="fire", where=None)
    clues = run(judge_of(*rules, filters=[by_sector, exception(rules="[none-such]")]), [event(0)])
    assert clues["origin_id"].to_list() == ["test-rule"]


def test_filters_of_rules_with_features_and_of_regions() -> None:
    """On the events of every view, late ones judged again among them."""
    features = "{n: {agg: count, within: 10m}}"
    one = rule(features=features, when='"n >= 2"', explain="{n}", episode=QUIET)
    judge = judge_of(one, filters=[exception(where="\"device_id = 'd2'\"")])
    late = event(1, device_id="d2") | {"_ts": T0 + 6 * MINUTE, "observed_at": T0 + 2 * MINUTE, "event_id": "late"}
    assert minutes(run(judge, [event(0), event(5), late, event(7, device_id="d2"), event(8)])) == [5, 8]
    assert hidden(judge) == {("test-rule", "test-filter"): 3}


def test_a_silence_is_hidden_by_the_event_that_began_it_and_the_time_it_was_over() -> None:
    """A device under repair is not missed; its heartbeats go on counting meanwhile."""
    silent = rule(
        when="\"metric = 'heartbeat'\"",
        absence="{within: 15m}",
        episode="{by: device_id, quiet: 1h}",
        explain="{device_id}",
    )
    filters = [exception(where="\"region = '320102'\"", until="2026-01-06")]
    judge = judge_of(silent, filters=filters)
    heard = [event(0, metric="heartbeat"), event(1, metric="heartbeat", device_id="d2", region="110101")]
    heard.append(event(24 * 60 - 10, metric="heartbeat", device_id="d3"))
    run(judge, heard)
    clues = pl.concat([judge.tick(T0 + minute * MINUTE) for minute in (20, 24 * 60 - 1, 24 * 60 + 10)])
    assert clues["explanation"].to_list() == ["d2", "d3"]  # d3's silence is over after the exception has ended
    assert hidden(judge) == {("test-rule", "test-filter"): 1}


def test_a_rule_holds_back_by_itself_and_says_why() -> None:
    """By columns, features and thresholds; counted, where `when` would only be false."""
    one = rule(
        features="{n: {agg: count, within: 10m}}", tables="{much: [{gives: 2}]}", explain="{n}", when='"value > 8"',
        suppress="[{when: \"flag = 'M'\", why: 维护}, {when: 'n > much', why: 连续}]", episode=QUIET,
    )  # fmt: skip
    judge = judge_of(one)
    assert minutes(run(judge, [event(0), event(1, flag="M"), event(2)])) == [0]
    assert hidden(judge) == {("test-rule", "rule"): 2}
    assert one.version != rule(features="{n: {agg: count, within: 10m}}", explain="{n}", episode=QUIET).version


@pytest.mark.parametrize("condition", ["subject IN list('revoked')", "NOT subject IN list('revoked')"])
def test_an_entry_counts_until_it_expires_by_the_events_time(condition: str) -> None:
    """Also for an event that is heard of later; NULL is neither in a list nor not."""
    lists = {"revoked": {event(0)["subject"]: T0 + DAY, "site:1": None, "site:2": T0}}
    judge = judge_of(rule(when=f'"{condition}"', explain="x", episode="{by: device_id, quiet: 1s}"), lists=lists)
    subjects = [event(0)["subject"], "site:1", "site:2", "site:3"]
    events = [event(i, subject=s) for i, s in enumerate(subjects)] + [
        event(24 * 60 + i, subject=subjects[i]) for i in (0, 1)
    ]
    events.append(event(5) | {"_ts": T0 + DAY + 9 * MINUTE, "device_id": "d9"})
    within = [0, 1, 24 * 60 + 1, 5]
    held = minutes(run(judge, events))
    assert held == (within if condition.startswith("subject") else [2, 3, 24 * 60])


def test_tests_of_rules_know_lists_that_expire() -> None:
    """`lists: {name: {entry: day}}`."""
    tests = """
  - name: 仍在名单
    lists: {revoked: {"site:1": 2026-01-06}}
    events: [{at: 0m, subject: "site:1", metric: temp, value: 1}, {at: 26h, subject: "site:1", metric: temp, value: 1}]
    expect: [{at: 0m, severity: orange}]
"""
    one = rule(when="\"subject IN list('revoked')\"", explain="x", tests=tests)
    assert one.tests[0].lists == (("revoked", (("site:1", T0 + DAY),)),)
    assert moment(compose("2026-01-06", "x")) == T0 + DAY


BROKEN = [
    ({"until": None}, "key 'until' is missing"),
    ({"reason": None}, "key 'reason' is missing"),
    ({"owner": ""}, "a text is needed"),
    ({"rules": None}, "either the rules it is about, or a sector"),
    ({"sector": "fire"}, "either the rules it is about, or a sector"),
    ({"rules": None, "sector": "fires"}, "did you mean 'fire'?"),
    ({"from": "2026-01-01", "until": "2026-01-01"}, "until is after from"),
    ({"from": "2025-01-01", "until": "2026-12-01"}, "looked at once a year"),
    ({"where": '"regio = 1"'}, "did you mean 'region'?"),
    ({"where": '"value"'}, "must be a bool"),
    ({"wher": "x"}, "did you mean 'where'?"),
    ({"id": "A"}, "3 to 64"),
]


@pytest.mark.parametrize(("keys", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_filter_is_refused_with_place_and_fix(keys: dict[str, str | None], words: str) -> None:
    """As rules are."""
    with pytest.raises(RuleError) as refused:
        exception(**keys)
    assert words in refused.value.message


def test_a_rule_of_absence_has_no_suppress() -> None:
    """There is no event whose values could hold it back."""
    with pytest.raises(RuleError, match="write a filter"):
        rule(absence="{within: 15m}", suppress='[{when: "value > 1", why: x}]')
