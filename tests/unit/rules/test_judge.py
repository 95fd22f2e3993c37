"""The one evaluate function: windows, lateness, severity, episodes, storms, scopes, hot reload, the shape of a clue."""

import json
import time

import numpy as np
import polars as pl
import pytest

from rules import Judge
from rules.selftest import LATENESS
from tests.unit.rules.build import DAY, MINUTE, SHOP, T0, event, frame, judge_of, minutes, rule, run
from topics.records import CLUE


def counting(n: int = 3, within: str = "10m", **keys: str) -> dict[str, str]:
    """Keys of a rule that fires when n readings above 8 fall into the window."""
    features = f'{{n: {{agg: count, within: {within}, where: "value > 8"}}}}'
    return {"features": features, "when": f'"value > 8 AND n >= {n}"', "explain": "共 {n} 次"} | keys


def test_a_clue_has_every_field() -> None:
    """A threshold that is passed gives one clue whose columns are those of the clue record, and `shadow`."""
    clues = run(judge_of(rule()), [event(0, value=3.0), event(1, value=9.46)])
    assert clues.schema == pl.Schema({**CLUE.columns, "shadow": pl.Boolean})
    clue = clues.row(0, named=True)
    assert clues.height == 1
    assert clue["explanation"] == "甲餐馆 测得 9.5"
    assert (clue["origin"], clue["origin_id"], clue["severity"], clue["department"]) == (
        "rule", "test-rule", "orange", "market-supervision",
    )  # fmt: skip
    assert (clue["key"], clue["subject"], clue["region"], clue["shadow"]) == (SHOP, SHOP, "320102", False)
    assert (clue["occurred_at"], clue["raised_at"]) == (T0 + MINUTE, T0 + MINUTE)
    evidence = {"event_id": "e1", "topic": "events.iot", "partition": 3, "offset": 1, "occurred_at": T0 + MINUTE}
    assert json.loads(clue["evidence"]) == [evidence]
    assert json.loads(clue["values"]) == {"subject_name": "甲餐馆", "value": 9.46}


def test_null_never_fires() -> None:
    """A condition on a column that is NULL is not true, and its negation is not true either."""
    judge = judge_of(
        rule(when="\"flag = 'M'\"", explain="x"), rule(id="other-rule", when="\"NOT flag = 'M'\"", explain="x")
    )
    assert run(judge, [event(0)]).height == 0


def test_no_events_and_no_rules_give_no_clues() -> None:
    """An empty chunk, and a judge without rules, give an empty frame of the right shape."""
    assert judge_of(rule()).judge("iot", frame([event(0)]).clear(), topic="t", partition=0).height == 0
    assert run(judge_of(), [event(0)]).schema == pl.Schema({**CLUE.columns, "shadow": pl.Boolean})


def test_windows_are_per_subject_and_device() -> None:
    """`by: device_id` counts each device of each subject apart, even where two subjects name a device alike."""
    features = "{n: {agg: count, within: 10m, by: device_id}}"
    judge = judge_of(rule(features=features, when='"n >= 2"', explain="{n}", episode="{by: device_id, quiet: 1h}"))
    other = "uscc:91350100M000100Y44"
    events = [event(0), event(1, device_id="d2"), event(2, subject=other), event(3, device_id="d2")]
    clues = run(judge, events)
    assert minutes(clues) == [3]
    assert clues["key"].to_list() == [f"{SHOP}/d2"]


def test_features_are_fed_by_every_kind() -> None:
    """A complaint fires on a failed inspection of the same subject within its window, though inspections do not trigger."""
    features = "{fails: {agg: count, within: 30d, where: \"kind = 'inspection' AND result = 'fail'\"}}"
    judge = judge_of(rule(on="complaint", features=features, when='"fails >= 1"', explain="{fails}"))
    complaint = {"kind": "complaint", "complaint_type": "complaint"}
    events = [
        event(0, **complaint),
        event(1, kind="inspection", result="pass"),
        event(2, **complaint),
        event(3, kind="inspection", result="fail"),
        event(4, **complaint),
    ]
    assert minutes(run(judge, events)) == [4]


def test_every_aggregate() -> None:
    """count, sum, avg, min, max, distinct, last and rate of one window, as the clue shows them."""
    aggs = ("count", "sum", "avg", "min", "max", "distinct", "last", "rate")
    features = "{" + ", ".join(f"f_{agg}: {{agg: {agg}, of: value, within: 1h}}" for agg in aggs) + ", "
    features += "metrics: {agg: distinct, of: metric, within: 1h}, metric_last: {agg: last, of: metric, within: 1h}}"
    judge = judge_of(rule(features=features, when='"f_count = 4"', explain="{f_avg:.2f} {metric_last}"))
    events = [event(0, value=2.0), event(15, value=5.0), event(30, value=5.0, metric="hum"), event(45, value=-1.0)]
    clue = run(judge, events).row(0, named=True)
    values = json.loads(clue["values"])
    assert {name.removeprefix("f_"): value for name, value in values.items()} == {
        "count": 4, "sum": 11.0, "avg": 2.75, "min": -1.0, "max": 5.0, "distinct": 3, "last": -1.0, "rate": -4.0,
        "metrics": 2, "metric_last": "temp",
    }  # fmt: skip
    assert clue["explanation"] == "2.75 temp"


def test_window_edges() -> None:
    """A window is (t - within, t]: a reading exactly `within` ago is outside."""
    assert minutes(run(judge_of(rule(**counting(2))), [event(0), event(10)])) == []
    assert minutes(run(judge_of(rule(**counting(2))), [event(0), event(9.999)])) == [9.999]


def test_nothing_in_the_window_is_zero_or_null() -> None:
    """count is 0 and avg is NULL where no event belongs to the window."""
    where = "within: 1h, where: \"metric = 'other'\""
    features = f"{{n: {{agg: count, {where}}}, a: {{agg: avg, of: value, {where}}}}}"
    judge = judge_of(rule(features=features, when='"n = 0 AND a IS NULL"', explain="{n} {a}"))
    assert run(judge, [event(0)])["explanation"].to_list() == ["0 —"]


def test_a_late_event_completes_a_crossing() -> None:
    """Two readings and a late third between them: judged again at the newest time, the crossing is not missed."""
    events = [event(0), event(8), event(4, observed_at=T0 + 8 * MINUTE, _ts=T0 + 8 * MINUTE)]
    clues = run(judge_of(rule(**counting(3))), events)
    assert minutes(clues) == [4]
    assert json.loads(clues["values"][0])["n"] == 3


def test_a_late_event_does_not_see_later_ones_at_its_own_time() -> None:
    """At its own time a late event counts only what occurred before it: three spread over 16 minutes are not three in ten."""
    events = [event(0), event(16), event(8, observed_at=T0 + 16 * MINUTE, _ts=T0 + 16 * MINUTE)]
    assert minutes(run(judge_of(rule(**counting(3))), events)) == []


def test_a_too_late_event_is_counted_and_changes_nothing() -> None:
    """Beyond the allowed lateness an event that is behind its key is neither judged nor stored."""
    judge = judge_of(rule(**counting(3)))
    late = {"observed_at": T0 + 20 * MINUTE, "_ts": T0 + 20 * MINUTE}
    assert minutes(run(judge, [event(0), event(8), event(4, **late), event(9)])) == [9]
    stats = judge.take_stats()
    assert (stats["late"], stats["judged"]) == ({"iot": 1}, 4)
    assert judge.take_stats() == {"judged": 0, "late": {}, "suppressed": {}, "capped": {}, "hidden": {}}


def test_the_gravest_band_holds() -> None:
    """Of several colours whose condition holds the gravest counts; where none holds there is no clue."""
    bands = '{yellow: "value > 9", red: "value > 12", orange: "value > 10"}'
    clues = [
        run(judge_of(rule(severity=bands)), [event(0, value=v)])["severity"].to_list() for v in (8.5, 9.5, 11.0, 13.0)
    ]
    assert clues == [[], ["yellow"], ["orange"], ["red"]]


def test_one_clue_an_episode() -> None:
    """Firings less than `quiet` apart are one episode, however long; one that comes after `quiet` opens another."""
    judge = judge_of(rule())
    at = [0, 60, 119, 230, 350, 400]
    clues = run(judge, [event(m) for m in at])
    assert minutes(clues) == [0, 350]
    assert clues["clue_id"].n_unique() == 2
    assert judge.take_stats()["suppressed"] == {"test-rule": 4}


def test_a_rise_in_severity_raises_once_more() -> None:
    """Within an episode a graver firing gives a clue of its own, once; a milder one later does not."""
    judge = judge_of(rule(severity='{yellow: "value > 8", red: "value > 12"}'))
    clues = run(judge, [event(0), event(1, value=13.0), event(2), event(3, value=14.0)])
    assert list(zip(minutes(clues), clues["severity"], strict=True)) == [(0, "yellow"), (1, "red")]
    assert clues["clue_id"].n_unique() == 2


def test_the_id_comes_from_rule_key_and_opening_event() -> None:
    """The same events give the same ids in any batches; another rule, subject or opening event another id."""
    once = run(judge_of(rule()), [event(0), event(300)])["clue_id"].to_list()
    judge = judge_of(rule())
    assert [run(judge, [e])["clue_id"].item() for e in (event(0), event(300))] == once
    other = run(judge_of(rule(id="other-rule")), [event(0)])["clue_id"].to_list()
    other += run(judge_of(rule()), [event(0, subject="site:1")])["clue_id"].to_list()
    assert len({*once, *other}) == 4
    assert all(len(clue_id) == 40 for clue_id in once)


def test_a_storm_is_capped_with_one_clue_that_says_so() -> None:
    """Beyond the cap of an hour one storm clue comes, with an id made of rule and hour alone; the rest is counted."""
    events = [event(i / 100, subject=f"site:{i}", event_id=f"e{i}") for i in range(30)]
    judge = judge_of(rule(), cap_per_hour=10)
    clues = run(judge, events)
    assert clues["origin"].to_list() == ["rule"] * 10 + ["storm"]
    storm = clues.row(10, named=True)
    assert (storm["severity"], storm["department"], storm["key"]) == ("orange", "market-supervision", "test-rule")
    assert "超过 10 条" in storm["explanation"]
    assert judge.take_stats()["capped"] == {"test-rule": 20}
    elsewhere = run(judge_of(rule(), cap_per_hour=10), [e | {"subject": e["subject"] + "x"} for e in events])
    assert elsewhere["clue_id"][10] == storm["clue_id"]
    assert run(judge, [event(61, subject="site:99")])["origin"].to_list() == ["rule"]


def test_clues_come_in_arrival_order() -> None:
    """Clues of several rules are ordered by event, then by rule."""
    rules = [rule(id="rule-a", when='"value > 9"'), rule(**counting(1, id="rule-b")), rule(id="rule-c")]
    clues = run(judge_of(*rules), [event(0, subject="site:1"), event(1, value=9.5, subject="site:2")])
    assert clues["origin_id"].to_list() == ["rule-b", "rule-c", "rule-a", "rule-b", "rule-c"]


def test_status_decides() -> None:
    """Live and shadow rules raise, shadow ones marked; drafts and retired rules do not."""
    rules = [rule(id=f"rule-{status}", status=status) for status in ("draft", "shadow", "live", "retired")]
    clues = run(judge_of(*rules), [event(0)])
    assert dict(zip(clues["origin_id"], clues["shadow"], strict=True)) == {"rule-shadow": True, "rule-live": False}


def test_lists() -> None:
    """A condition asks the lists it is given; replacing them takes effect with the next batch."""
    judge = judge_of(rule(when="\"subject IN list('key')\"", explain="x"), lists={"key": {"site:1": None}})
    assert run(judge, [event(0, subject="site:1"), event(1, subject="site:2")])["subject"].to_list() == ["site:1"]
    judge.replace([rule(when="\"subject IN list('key')\"", explain="x")], {"key": {"site:2": None}})
    assert run(judge, [event(2, subject="site:2")])["subject"].to_list() == ["site:2"]


REGIONAL = {
    "on": "complaint",
    "features": "{n: {agg: distinct, of: subject, within: 1d, by: [region, category], where: \"complaint_type = 'complaint'\"}}",
    "when": "\"complaint_type = 'complaint' AND n >= 3\"",
    "episode": "{by: [region, category], quiet: 1d}",
    "explain": "{region} 同类投诉 {n} 家",
}


def test_foreign_keys_are_judged_on_copies() -> None:
    """A rule by region: the subject's judge gives the copies it needs, the other judge raises on them, keyed by region."""
    regional = rule(**REGIONAL)
    here, there = judge_of(regional), judge_of(regional, scope="foreign")
    base = {"kind": "complaint", "complaint_type": "complaint", "category": "油烟"}
    events = [event(i, subject=f"site:{i}", **base) for i in range(3)]
    events += [
        event(3, subject="site:9", **(base | {"complaint_type": "consult"})),
        event(4, **(base | {"region": None})),
    ]
    chunk = frame(events)
    assert here.judge("complaint", chunk, topic="events.complaint", partition=0).height == 0
    copies = here.copies("complaint", chunk)
    assert copies.schema == pl.Schema({"row": pl.UInt32, "key": pl.String})
    assert copies.rows() == [(i, "region:320102") for i in range(3)]
    rekeyed = chunk[copies["row"].to_numpy()].with_columns(copies["key"].alias("_key"))
    clues = there.judge("complaint", rekeyed, topic="rekeyed", partition=1)
    assert (minutes(clues), clues["key"].to_list()) == ([2], ["region:320102/油烟"])
    assert there.copies("complaint", chunk).height == 0


def test_a_foreign_judge_takes_only_its_own_keys() -> None:
    """A copy under a person's key does not feed or fire a rule by region."""
    there = judge_of(rule(**REGIONAL), scope="foreign")
    base = {"kind": "complaint", "complaint_type": "complaint", "_key": "person:1"}
    assert run(there, [event(i, subject=f"site:{i}", **base) for i in range(5)]).height == 0


def test_a_rule_content_with_no_answer_takes_only_its_own_keys_too() -> None:
    """Beside a rule by person, a rule by region that holds where nothing is known is silent on a person's copies."""
    absent = rule(id="absent", **(REGIONAL | {"when": '"COALESCE(n, 0) = 0"', "explain": "{region}"}))
    features = "{n: {agg: count, within: 1d, by: person}}"
    person = rule(id="person", on="complaint", features=features, when='"n >= 1"', explain="{n}")
    there = judge_of(absent, person, scope="foreign")
    chunk = [event(0, kind="complaint", complaint_type="complaint", person="person:1", _key="person:1")]
    assert run(there, chunk)["origin_id"].to_list() == ["person"]


def test_person_and_chain_keys_keep_their_prefix() -> None:
    """`person:1` stays; a bare identifier gets its prefix."""
    features = "{n: {agg: count, within: 1d, by: person}}"
    judge = judge_of(rule(features=features, when='"n >= 2"', explain="{n}"))
    chunk = frame([event(0, person="person:1"), event(1, person="2"), event(2)])
    assert judge.copies("iot", chunk)["key"].to_list() == ["person:1", "person:2"]


def test_hot_reload_keeps_features_that_stay() -> None:
    """A new threshold over the same feature goes on from its state; a feature that is new starts empty."""
    judge = judge_of(rule(**counting(3)))
    run(judge, [event(0), event(1)])
    judge.replace([rule(**counting(4, explain="四次 {n}"))], {})
    assert minutes(run(judge, [event(2), event(3)])) == [3]
    judge.replace([rule(**counting(2, features='{n: {agg: count, within: 10m, where: "value > 8.5"}}'))], {})
    assert minutes(run(judge, [event(4)])) == []


def test_hot_reload_of_other_rules_does_not_repeat_a_clue() -> None:
    """Publishing an unrelated rule leaves open episodes alone."""
    judge = judge_of(rule())
    run(judge, [event(0)])
    judge.replace([rule(), rule(id="other-rule", when='"value > 99"')], {})
    assert run(judge, [event(1)]).height == 0


def test_snapshot_holds_plain_arrays() -> None:
    """State is numpy arrays without objects, and a restored judge goes on as if nothing had happened."""
    rules = [rule(**counting(3)), rule(id="other-rule")]
    judge, events = (
        judge_of(*rules, cap_per_hour=2),
        [event(i / 10, subject=f"site:{i % 4}", event_id=f"e{i}") for i in range(60)],
    )
    first = run(judge, events[:20])
    state = judge.snapshot()
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in state.values())
    other = judge_of(*rules, cap_per_hour=2)
    other.restore(state)
    assert run(other, events[20:]).equals(run(judge, events[20:]))
    assert first.height
    assert other.sizes() == judge.sizes()


def test_episodes_that_nothing_can_reach_are_dropped() -> None:
    """After quiet, lateness and a day by arrival an episode leaves memory."""
    judge = judge_of(rule())
    run(judge, [event(i / 100, subject=f"site:{i}", event_id=f"e{i}") for i in range(50)])
    assert judge.sizes()["episodes"] == 50
    run(judge, [event(12 * 24 * 60)])
    judge.snapshot()
    assert judge.sizes()["episodes"] == 1


def test_fifty_thresholds_cost_little() -> None:
    """Fifty rules without features on 20,000 rows take at most 0.15 us a row and rule."""
    rules = [rule(id=f"rule-{i}", when=f"\"metric = 'm{i % 7}' AND value > {100 + i}\"") for i in range(50)]
    judge, n = Judge(rules, scope="subject", lateness=LATENESS), 20_000
    rng = np.random.default_rng(1)
    chunk = frame([event(0)])[np.zeros(n, np.int64)].with_columns(
        pl.Series("value", rng.random(n) * 100.2), pl.Series("metric", [f"m{i % 7}" for i in range(n)])
    )
    times = []
    for _ in range(5):
        began = time.perf_counter()
        judge.judge("iot", chunk, topic="events.iot", partition=0)
        times.append(time.perf_counter() - began)
    assert min(times) / (n * 50) < 0.15e-6


def test_an_unknown_scope_key_is_not_needed() -> None:
    """Rules of the other scope cost nothing: a regional rule leaves no state in the subject's judge."""
    judge = judge_of(rule(**REGIONAL))
    run(judge, [event(0, kind="complaint", complaint_type="complaint")])
    assert judge.sizes() == {"rows": 0, "keys": 0, "episodes": 0, "awaited": 0}


@pytest.mark.parametrize("quiet", ["1s", "366d"])
def test_quiet_of_any_length(quiet: str) -> None:
    """The shortest and the longest quiet time both work."""
    clues = run(judge_of(rule(episode=f"{{quiet: {quiet}}}")), [event(0), event(1), event(DAY / MINUTE)])
    assert len(minutes(clues)) == (3 if quiet == "1s" else 1)
