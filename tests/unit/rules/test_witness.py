"""Why an event raised a clue or did not, part by part."""

from typing import Any

import pytest

from rules import Rule, parse_filter
from rules.selftest import LATENESS
from rules.witness import Seen, Witness
from tests.unit.rules.build import MINUTE, T0, event, frame, judge_of, rule, run

FEATURES = """
  n: {agg: count, within: 10m, by: device_id}
  top: {agg: max, of: value, within: 10m, by: device_id, where: "value > 5"}
"""
MANY = {
    "features": FEATURES,
    "when": "\"metric = 'temp' AND n >= 2 AND (top > 20 OR value > 8)\"",
    "severity": '{orange: "value > 8", red: "top > 30"}',
    "explain": "{n} {top}",
    "episode": "{by: device_id, quiet: 30m}",
}


def looked(one: Rule, *events: dict[str, Any], **given: Any) -> list[Seen]:
    """What a rule saw of events, one after the other."""
    witness = Witness(one, lateness=LATENESS, **given)
    return [
        seen
        for i, each in enumerate(events)
        for seen in witness.look(each["kind"], frame([each], i), topic=f"events.{each['kind']}", partition=0)
    ]


def test_the_part_that_was_not_true_is_told_with_its_values() -> None:
    """Alternatives of an OR apart; NULL is neither."""
    first, second, third = looked(rule(**MANY), event(0), event(1, value=6.0), event(2, metric="hum", value=3.0))
    assert [part.text for part in first.parts] == ["metric = 'temp'", "n >= 2", "top > 20 OR value > 8"]
    assert [part.holds for part in first.parts] == [True, False, True]
    assert [(a.text, a.holds) for a in first.parts[2].alternatives] == [("top > 20", False), ("value > 8", True)]
    assert first.verdict == "when is not true"
    assert (second.values["n"], second.values["top"]) == (2, 9.0)
    assert [part.holds for part in second.parts] == [True, True, False]
    assert third.parts[0].holds is False
    (empty,) = looked(rule(**MANY), event(0, value=1.0))
    assert empty.values["top"] is None
    assert [a.holds for a in empty.parts[2].alternatives] == [None, False]


def test_what_came_of_a_firing() -> None:
    """A clue, silence inside its episode, a rise, no severity, and a new episode; the ids are those of the clues."""
    events = [
        event(0), event(1), event(2), event(3, value=40.0), event(4, value=6.0), event(20, value=21.0), event(21, value=7.0),
        event(60), event(61),
    ]  # fmt: skip
    seen = looked(rule(**MANY), *events)
    assert [one.verdict for one in seen] == [
        "when is not true", "clue", "in an episode", "severity rose", "in an episode", "when is not true", "no severity",
        "when is not true", "clue",
    ]  # fmt: skip
    assert dict(seen[3].severities) == {"red": True, "orange": True}
    clues = run(judge_of(rule(**MANY)), events)
    assert [one.clue_id for one in seen if one.clue_id] == clues["clue_id"].to_list()


def test_what_is_held_back_names_what_holds_it() -> None:
    """A filter by its id, the rule itself; episodes are not opened."""
    held = parse_filter(
        'id: test-filter\nrules: [test-rule]\nwhere: "value < 10"\nuntil: 2027-01-01\nreason: x\nowner: y', "f"
    )
    one = rule(suppress="[{when: \"flag = 'M'\", why: 维护}]", episode="{quiet: 1h}")
    seen = looked(one, event(0), event(1, value=11.0, flag="M"), event(2, value=11.0), filters=[held])
    assert [(s.verdict, s.by) for s in seen] == [("held back", "test-filter"), ("held back", "rule"), ("clue", "")]


def test_late_events_are_seen_twice_and_too_late_ones_are_said_to_be() -> None:
    """At their own time and at the newest of their key."""
    late = event(1) | {"_ts": T0 + 6 * MINUTE, "observed_at": T0 + 2 * MINUTE, "event_id": "late"}
    old = event(2) | {"_ts": T0 + 40 * MINUTE, "observed_at": T0 + 40 * MINUTE, "event_id": "old"}
    seen = looked(rule(**MANY), event(0), event(5), late, old)
    assert [(s.event_id, s.again) for s in seen[2:]] == [("late", False), ("late", True), ("old", False)]
    assert seen[-1].verdict == "too late"


def test_scores_thresholds_and_absence_are_shown() -> None:
    """Numbers that a rule names are among the values; what starts to wait is said to."""
    scored = rule(
        tables="{limit: [{gives: 8}]}",
        score='[{when: "value > limit", points: 10}]',
        when='"score >= 10"',
        explain='"{score:g}"',
    )
    (one,) = looked(scored, event(0))
    assert (one.values["limit"], one.values["score"], one.verdict) == (8.0, 10.0, "clue")
    silent = rule(
        when="\"metric = 'heartbeat'\"", absence="{within: 15m}", episode="{by: device_id, quiet: 1h}", explain="x"
    )
    assert [s.verdict for s in looked(silent, event(0, metric="heartbeat"), event(1))] == [
        "waiting",
        "when is not true",
    ]


@pytest.mark.parametrize("kind", ["complaint", "inspection"])
def test_kinds_that_only_feed_features_are_taken_in_silence(kind: str) -> None:
    """What does not trigger the rule is not told of; what it fed counts."""
    given = {"complaint": {"complaint_type": "complaint"}, "inspection": {"result": "pass"}}[kind]
    one = rule(
        features=f"{{n: {{agg: count, within: 1h, where: \"kind = '{kind}'\"}}}}", when='"n >= 1"', explain="{n}"
    )
    (seen,) = looked(one, event(0, kind=kind, **given), event(1))
    assert (seen.values["n"], seen.verdict) == (1, "clue")
