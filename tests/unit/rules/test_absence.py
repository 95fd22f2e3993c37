"""Absence: what should have come and did not; told by the next event of the key, or by a tick, and alike whichever it was."""

import json
from typing import Any

import polars as pl
import pytest

from rules import Judge, Rule, RuleError, run_tests
from tests.unit.rules.build import HOUR, MINUTE, T0, event, frame, judge_of, minutes, rule, run

FAILED = {"kind": "inspection", "result": "fail"}
PASSED = {"kind": "inspection", "result": "pass"}


def heartbeat(**keys: str | None) -> Rule:
    """Nothing of a device for fifteen minutes."""
    given = {
        "when": "\"metric = 'temp'\"",
        "absence": "{within: 15m}",
        "episode": "{by: device_id, quiet: 1h}",
        "explain": "{device_id} 自 {occurred_at} 起无数据,最后读数 {value:.1f}",
    }
    return rule(**(given | keys))


def unmended(**keys: str | None) -> Rule:
    """A failed inspection, and no passed one within a day."""
    given = {
        "on": "inspection",
        "when": "\"result = 'fail'\"",
        "absence": "{of: \"kind = 'inspection' AND result = 'pass'\", within: 1d}",
        "explain": "x",
    }
    return rule(**(given | keys))


def ticked(judge: Judge, minutes_: float) -> pl.DataFrame:
    """The clues of a tick so many minutes after T0."""
    return judge.tick(T0 + int(minutes_ * MINUTE))


def test_a_tick_tells_of_a_silent_device_once() -> None:
    """Not before its time, not twice, each device apart; the clue shows the last event."""
    judge = judge_of(heartbeat())
    assert run(judge, [event(0), event(1, device_id="d2"), event(10, value=7.25)]).height == 0
    assert ticked(judge, 16).height == 0
    clues = ticked(judge, 16.5)
    assert minutes(clues) == [16]
    assert clues["key"].to_list() == ["uscc:91350100M000100Y43/d2"]
    assert ticked(judge, 20).height == 0
    clue = ticked(judge, 25.1).row(0, named=True)
    assert (clue["occurred_at"], clue["raised_at"]) == (T0 + 25 * MINUTE, T0 + int(25.1 * MINUTE))
    assert clue["explanation"] == "d1 自 2026-01-05 00:10 起无数据,最后读数 7.2"
    (evidence,) = json.loads(clue["evidence"])
    assert evidence == {
        "event_id": "e10", "topic": "events.iot", "partition": 3, "offset": 2, "occurred_at": T0 + 10 * MINUTE,
    }  # fmt: skip
    assert ticked(judge, 10_000).height == 0


def test_the_next_event_tells_it_as_well() -> None:
    """Without any tick (the worker was down, a back-test): the same clue, as soon as the key is heard of again."""
    judge, other = judge_of(heartbeat()), judge_of(heartbeat())
    events = [event(0), event(20), event(21)]
    clues = run(judge, events)
    assert minutes(clues) == [15]
    run(other, events[:1])
    told = pl.concat([ticked(other, 17), run(other, events[1:])])
    assert told["clue_id"].to_list() == clues["clue_id"].to_list()
    assert minutes(ticked(judge, 36.5)) == minutes(ticked(other, 36.5)) == []  # the episode of an hour goes on


def test_a_device_that_comes_on_time_is_not_told_of() -> None:
    """Just in time is in time; what is older than what is known does not shorten the wait."""
    judge = judge_of(heartbeat())
    events = [event(0), event(15), event(12) | {"_ts": T0 + 16 * MINUTE, "event_id": "late"}]
    assert run(judge, events).height == 0
    assert ticked(judge, 30).height == 0
    assert minutes(ticked(judge, 30.5)) == [30]


def test_an_old_event_counts_from_its_arrival() -> None:
    """A backfill of last year does not fire between two of its batches."""
    judge = judge_of(heartbeat())
    old = [event(i) | {"_ts": T0 + 1_000 * HOUR + i} for i in (0, 1, 100)]
    assert run(judge, old).height == 0
    assert judge.tick(T0 + 1_000 * HOUR + 15 * MINUTE).height == 0
    assert judge.tick(T0 + 1_000 * HOUR + 16 * MINUTE)["occurred_at"].to_list() == [
        T0 + 1_000 * HOUR + 100 + 15 * MINUTE
    ]


def test_an_answer_of_another_sort_stops_the_clock() -> None:
    """The first unanswered failure counts; an answer before it, of another subject or too late is none."""
    judge = judge_of(unmended())
    events = [
        event(0, **PASSED),
        event(1, **FAILED),
        event(2, **FAILED, subject="site:2"),
        event(60, **FAILED),
        event(61, **PASSED, subject="site:2"),
    ]
    assert run(judge, events).height == 0
    assert minutes(ticked(judge, 24 * 60 + 2)) == [24 * 60 + 1]
    assert ticked(judge, 26 * 60).height == 0  # the second failure falls into the same episode
    assert minutes(run(judge, [event(30 * 60, **FAILED), event(60 * 60, **PASSED)])) == [54 * 60]


def test_an_answer_that_comes_late_answers_what_is_before_it() -> None:
    """It occurred between two failures: the later one still waits; a failure heard of after its answer never does."""
    judge = judge_of(unmended())
    events = [
        event(0, **FAILED),
        event(100, **FAILED),
        event(50, **PASSED) | {"_ts": T0 + 101 * MINUTE, "event_id": "b"},
    ]
    run(judge, events)
    assert ticked(judge, 24 * 60 + 10).height == 0
    assert minutes(ticked(judge, 24 * 60 + 101)) == [24 * 60 + 100]
    run(judge, [event(5_000, **PASSED), event(4_900, **FAILED) | {"_ts": T0 + 5_001 * MINUTE}])
    assert ticked(judge, 20_000).height == 0


def test_grace_waits_for_late_reports() -> None:
    """The clue comes later, and says when the time was over."""
    judge = judge_of(unmended(absence="{of: \"result = 'pass'\", within: 1d, grace: 2h}"))
    run(judge, [event(0, **FAILED)])
    assert ticked(judge, 25 * 60).height == 0
    clue = ticked(judge, 26 * 60 + 1)
    assert minutes(clue) == [24 * 60]


def test_features_and_severity_are_those_of_the_event_that_began_it() -> None:
    """`when` may ask features; a failure that reaches no severity starts nothing."""
    judge = judge_of(
        unmended(
            features="{n: {agg: count, within: 7d, where: \"kind = 'inspection' AND result = 'fail'\"}}",
            when="\"result = 'fail' AND n >= 2\"",
            severity='{red: "n >= 3", orange: "region = \'320102\'"}',
            explain="{n} 次不合格",
        )
    )
    events = [event(0, **FAILED), event(1, **FAILED, region="110101"), event(2, **FAILED)]
    run(judge, events[:2])
    assert judge.sizes()["awaited"] == 0
    run(judge, events[2:])
    clue = ticked(judge, 3_000).row(0, named=True)
    assert (clue["severity"], clue["explanation"]) == ("red", "3 次不合格")


def test_it_may_wait_for_a_region() -> None:
    """`episode: {by: region}` without any feature: judged in the regional stage, on copies of both sorts of events."""
    one = unmended(episode="{by: region, quiet: 1h}")
    assert one.foreign == "region"
    here, there = judge_of(one), judge_of(one, scope="foreign")

    def take(item: dict[str, Any]) -> None:
        chunk = frame([item])
        copies = here.copies("inspection", chunk)
        rekeyed = chunk[copies["row"].to_numpy()].with_columns(copies["key"].alias("_key"))
        there.judge("inspection", rekeyed, topic="t", partition=0)

    take(event(0, **FAILED))
    take(event(5, **FAILED, region="110101"))
    take(event(6, **PASSED, subject="site:9"))
    assert here.tick(T0 + 100 * HOUR).height == 0
    assert there.tick(T0 + 100 * HOUR)["key"].to_list() == ["region:110101"]


def test_what_came_by_a_detour_does_not_tell_the_time() -> None:
    """Copies arrive when somebody sends them on: only a tick says how far time has come for the regional stage."""
    judge = judge_of(heartbeat(), by_ticks=True)
    delayed = [event(i, _ts=T0 + 60 * MINUTE) for i in range(0, 40, 10)]
    assert run(judge, delayed).height == 0
    assert ticked(judge, 44).height == 0
    other = judge_of(heartbeat(), by_ticks=True)
    other.restore(judge.snapshot())
    assert ticked(other, 74).height == 0
    assert minutes(ticked(other, 76)) == [75]  # older than a quarter of an hour when it came: from its arrival


def test_another_key_or_answer_begins_anew() -> None:
    """A rule that waits for something else forgets the clocks of the old one; one that waits longer or shorter goes on."""
    judge = judge_of(heartbeat())
    run(judge, [event(0)])
    judge.replace([heartbeat(absence="{within: 5m}")], {})
    assert judge.sizes()["awaited"] == 1
    run(judge, [event(1)])
    assert minutes(ticked(judge, 7)) == [6]
    run(judge, [event(8)])
    judge.replace([heartbeat(episode="{quiet: 1h}")], {})
    assert judge.sizes()["awaited"] == 0


def test_an_old_failure_that_is_reported_late_does_not_put_off_the_alarm() -> None:
    """It becomes the earliest that waits; what was due stays due."""
    judge = judge_of(unmended())
    run(judge, [event(2_000, **FAILED), event(100, **FAILED) | {"_ts": T0 + 3_000 * MINUTE, "event_id": "old"}])
    assert minutes(ticked(judge, 2_000 + 24 * 60 + 1)) == [2_000 + 24 * 60]


def test_a_sign_of_life_without_severity_is_one() -> None:
    """It stops the clock, and starts none."""
    judge = judge_of(heartbeat(severity='{red: "value > 5"}'))
    run(judge, [event(0, value=9.0), event(5, value=1.0)])
    assert ticked(judge, 60).height == 0


def test_an_event_without_the_key_starts_nothing() -> None:
    """Nothing could ever answer it."""
    judge = judge_of(heartbeat(episode="{by: flag, quiet: 1h}"))
    run(judge, [event(0), event(1, flag="N")])
    assert judge.sizes()["awaited"] == 1


def test_state_survives_restarts_and_new_versions() -> None:
    """A snapshot holds clocks and events without objects; a rule that shows another column goes on with NULL for it."""
    judge = judge_of(heartbeat())
    run(judge, [event(0, value=3.0), event(1, device_id="d2")])
    state = judge.snapshot()
    assert all(array.dtype != object for array in state.values())
    other = judge_of(heartbeat())
    other.restore(state)
    assert other.sizes()["awaited"] == 2
    other.replace([heartbeat(explain="{device_id} {flag}")], {})
    told = ticked(other, 60)
    assert sorted(told["explanation"].to_list()) == ["d1 —", "d2 —"]
    assert judge_of(heartbeat()).tick(T0).height == 0
    other.replace([], {})
    assert other.sizes()["awaited"] == 0


def test_a_reload_between_forgets_no_answer() -> None:
    """Rules are published anew while no clock runs: a failure that is reported after its answer still starts nothing."""
    judge = judge_of(unmended())
    run(judge, [event(100, **PASSED)])
    judge.replace([unmended()], {})
    run(judge, [event(50, **FAILED) | {"_ts": T0 + 101 * MINUTE}])
    assert ticked(judge, 20_000).height == 0


def test_many_devices_need_little_room() -> None:
    """What nobody waits for any more is left out: a thousand devices, forty thousand heartbeats."""
    judge, n = judge_of(heartbeat()), 1_000
    for second in range(40):
        at = second / 60
        beats = [event(at, device_id=f"d{i}", event_id=f"{second}-{i}") for i in range(n)]
        judge.judge("iot", frame(beats, second * n), topic="events.iot", partition=0)
    kept = next(iter(judge._absences.values()))
    assert sum(segment.height for segment in kept._segments) < 25_000 + n
    assert ticked(judge, 60)["origin"].value_counts().rows() in (
        [("rule", 500), ("storm", 1)],
        [("storm", 1), ("rule", 500)],
    )


def test_a_rule_tests_itself() -> None:
    """`until` lets the time of a test go on; `at` is when the wait was over."""
    tests = """
  - name: silence is told of
    events: [{from: 0m, to: 30m, every: 5m, device_id: d1, metric: temp, value: 4.0}]
    until: 1h
    expect: [{at: 45m, severity: orange}]
  - name: a device that goes on is not
    events: [{from: 0m, to: 2h, every: 5m, device_id: d1, metric: temp, value: 4.0}]
    until: 130m
    expect: []
"""
    assert [o.problem for o in run_tests([heartbeat(tests=tests)]).outcomes] == ["", ""]
    wrong = heartbeat(tests=tests.replace("until: 1h", "until: 40m"))
    assert [o.problem for o in run_tests([wrong]).failed] == ["expected orange at 45m, got nothing"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"absence": "{of: \"result = 'pass'\"}"}, "'within' is missing"),
        ({"absence": "{within: 40d}"}, "at most 32d"),
        ({"absence": "{within: 1d, grace: 40d}"}, "grace is at most"),
        ({"absence": "{within: 1d, after: 1}"}, "unknown key 'after'"),
        ({"absence": "{within: 1d, of: \"metric = 'a' AND result = 'pass'\"}"}, "can be what is awaited"),
        ({"absence": '{within: 1d, of: "nothing"}'}, "nothing"),
        ({"episode": "{by: device_id, quiet: 1h}"}, "has no device_id"),
        ({"when": None}, "'when' is missing"),
    ],
)
def test_mistakes_are_named(keys: dict[str, str | None], words: str) -> None:
    """Each says what is wrong and where."""
    with pytest.raises(RuleError, match=words):
        unmended(**keys)


def test_the_version_knows_what_is_awaited() -> None:
    """Another wait is another version."""
    versions = {one.version for one in (unmended(), unmended(absence="{within: 1d}"), unmended(absence="{within: 2d}"))}
    assert len(versions) == 3
