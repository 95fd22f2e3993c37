"""Sequences: A, then B within a time, at the same key; as a rule's own `sequence` and as a feature."""

import polars as pl
import pytest

from rules import Rule, RuleError
from tests.unit.rules.build import DAY, MINUTE, event, frame, judge_of, minutes, rule, run

STEPS = "[\"kind = 'complaint'\", \"kind = 'inspection' AND result = 'fail'\"]"
COMPLAINT = {"kind": "complaint", "complaint_type": "complaint"}
FAILED = {"kind": "inspection", "result": "fail"}


def complained(**keys: str | None) -> Rule:
    """A complaint, then a failed inspection of the same subject within a day."""
    given = {"on": "inspection", "when": None, "sequence": f"{{steps: {STEPS}, within: 1d}}", "explain": "x"}
    return rule(**(given | keys))


def test_the_last_step_fires_where_the_first_came_before_it() -> None:
    """Order counts, as do the subject and the time between; steps may be of different kinds."""
    events = [
        event(0, **FAILED),
        event(10, **COMPLAINT),
        event(20, **FAILED, subject="site:2"),
        event(30, **FAILED),
        event(30 + 24 * 60, **COMPLAINT, subject="site:2"),
        event(60 + 24 * 60, **FAILED, subject="site:2"),
        event(70 + 72 * 60, **FAILED),
    ]
    assert minutes(run(judge_of(complained()), events)) == [30, 60 + 24 * 60]


def test_when_narrows_the_last_step() -> None:
    """A rule with a sequence may have a `when` as well; both must hold."""
    one = complained(when="\"region = '110101'\"")
    events = [event(0, **COMPLAINT), event(1, **FAILED), event(2, **FAILED, region="110101")]
    assert minutes(run(judge_of(one), events)) == [2]


def test_as_a_feature_it_tells_whether_the_window_holds_one() -> None:
    """`agg: sequence` is true or false for any event; other steps, or one event for two steps, do not do."""
    steps = '["value > 5", "value > 8", "metric = \'hum\'"]'
    features = f"{{up: {{agg: sequence, within: 10m, by: device_id, steps: {steps}}}}}"
    one = rule(features=features, when='"up"', episode="{by: device_id, quiet: 1m}", explain="{up}")
    values = [9.0, 1.0, 6.0, 2.0]
    events = [event(i, value=v) for i, v in enumerate(values)]
    events += [event(4, value=1.0, metric="hum"), event(5, value=9.0), event(6, value=1.0, metric="hum")]
    events += [event(6.5, value=0.0), event(13, value=1.0, metric="hum"), event(17, value=0.0)]
    clues = run(judge_of(one), events)
    assert minutes(clues) == [6]
    assert clues["explanation"].to_list() == ["是"]


def test_a_late_step_completes_a_sequence() -> None:
    """The complaint is heard of after the inspection: it is judged again at the newest time, if its kind triggers the rule.
    Another complaint in order is no last step, though the window still holds the sequence."""
    both = complained(on="[complaint, inspection]", episode="{quiet: 1m}")
    events = [event(0, **FAILED), event(10, **FAILED)]
    late = event(5, **COMPLAINT) | {"_ts": events[1]["_ts"] + MINUTE, "event_id": "late"}
    clues = run(judge_of(both), [*events, late, event(30, **COMPLAINT)])
    assert clues["evidence"].str.contains("late").to_list() == [True]
    assert run(judge_of(complained()), [*events, late]).height == 0


def test_a_late_step_that_completes_nothing_fires_nothing() -> None:
    """The window holds a sequence, told of days ago; a late complaint beside it is no news."""
    both = complained(on="[complaint, inspection]", sequence=f"{{steps: {STEPS}, within: 7d}}", episode="{quiet: 1d}")
    events = [event(0, **COMPLAINT), event(10, **FAILED), event(3 * 1440, **COMPLAINT)]
    late = event(3 * 1440 - 60, **COMPLAINT) | {"_ts": events[-1]["_ts"] + MINUTE, "event_id": "late"}
    assert minutes(run(judge_of(both), [*events, late])) == [10]


def test_it_may_be_of_a_region() -> None:
    """`by: region`: the steps may be at different subjects of a region, judged in the regional stage."""
    one = complained(sequence=f"{{steps: {STEPS}, within: 1d, by: region}}")
    assert one.foreign == "region"
    here, there = judge_of(one), judge_of(one, scope="foreign")
    clues = []
    for item in (event(0, **COMPLAINT, subject="site:1"), event(5, **FAILED, subject="site:2")):
        chunk = frame([item])
        copies = here.copies(item["kind"], chunk)
        assert copies["key"].to_list() == ["region:320102"]
        rekeyed = chunk[copies["row"].to_numpy()].with_columns(copies["key"].alias("_key"))
        clues.append(there.judge(item["kind"], rekeyed, topic="t", partition=0))
    assert minutes(pl.concat(clues)) == [5]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"sequence": '{steps: ["value > 1"], within: 1m}'}, "2 to 8 steps"),
        ({"sequence": "{within: 1m}"}, "'steps' is missing"),
        ({"sequence": f"{{steps: {STEPS}, within: 40d}}"}, "at most 32d"),
        ({"sequence": f"{{steps: {STEPS}, within: 1d, of: value}}"}, "unknown key 'of'"),
        ({"sequence": f"{{steps: {STEPS}, within: 1d, by: device_id}}"}, "can be this step"),
        ({"on": "complaint"}, "last step can be none of"),
        ({"sequence": None}, "key 'when' is missing"),
        ({"features": "{sequence: {agg: count, within: 1d}}"}, "no feature of that name"),
        ({"features": "{s: {agg: count, within: 1d, steps: [a, b]}}"}, "only a sequence has steps"),
        ({"features": "{s: {agg: sequence, within: 1d, of: value}}"}, "a sequence has steps, no of"),
        ({"features": "{s: {agg: sequence, within: 1d}}"}, "needs 'steps'"),
    ],
)
def test_mistakes_are_named(keys: dict[str, str | None], words: str) -> None:
    """Each says what is wrong and where."""
    with pytest.raises(RuleError, match=words):
        complained(**keys)


def test_the_version_knows_the_steps() -> None:
    """Another step is another rule, and keeps its state apart."""
    other = complained(sequence=f"{{steps: {STEPS.replace('fail', 'pass')}, within: 1d}}")
    assert other.version != complained().version
    judge = judge_of(complained())
    run(judge, [event(0, **COMPLAINT)])
    judge.replace([other], {})
    assert judge.sizes()["rows"] == 0
    assert complained().features[0].within == DAY
