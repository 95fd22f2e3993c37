"""Laws of the dispatch desk: whatever is sent to it in whatever order, restarted wherever."""

import datetime as dt
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.desk import Case, Desk, Outcome, Workdays
from streams.desk.alarms import pending
from streams.desk.case import STATES
from tests.unit.streams.desk_scene import DAY, HOME, MONDAY, OTHER, THIRD, clue
from topics.reasons import REASONS

CALENDAR = Workdays()
CLUES = ("c1", "c2", "c3")
DEPARTMENTS = (HOME, OTHER, THIRD, "coordinator", "no-such")
RAISED = {"title": "t", "sector": "fire", "severity": "red", "subject": "site:s", "explanation": "e"}

departments = st.sampled_from(DEPARTMENTS)
arguments = {
    "raise": departments.map(lambda to: RAISED | {"department": to}),
    "claim": st.just({}),
    "return": departments.map(lambda to: {"reason": "r", "suggested": to}),
    "transfer": departments.map(lambda to: {"to": to, "reason": "r"}),
    "assist": st.one_of(
        departments.map(lambda to: {"to": [to], "text": "t"}),
        departments.map(lambda to: {"copies": [to]}),
        st.just({"reply": "ok"}),
    ),
    "handle": st.booleans().map(lambda extend: {"note": "n", "extend": extend}),
    "feedback": st.sampled_from(["confirmed", "false-alarm", "unclear", "?"]).map(
        lambda v: {"verdict": v, "text": "t"}
    ),
    "close": st.just({}),
}
verbs = st.sampled_from(sorted(arguments))
commands = verbs.flatmap(
    lambda verb: st.builds(
        lambda clue_id, command_id, actor, department, given: {
            "command_id": command_id,
            "clue_id": clue_id,
            "verb": verb,
            "actor": actor,
            "department": department,
            "issued_at": 0,
            "arguments": json.dumps(given),
        },
        st.sampled_from(CLUES),
        st.integers(0, 40).map(lambda n: f"k{n}"),
        st.sampled_from(["li", "wang"]),
        departments,
        arguments[verb],
    )
)
clues = st.builds(
    lambda clue_id, severity, department: clue(clue_id, severity=severity, department=department),
    st.sampled_from(CLUES),
    st.sampled_from(["red", "orange", "yellow", "blue"]),
    departments,
)
records = st.one_of(
    clues.map(lambda record: ("clue", record)),
    commands.map(lambda record: ("command", record)),
    commands.map(lambda record: ("command", record)),
    commands.map(lambda record: ("command", record)),
    st.just(("tick", None)),
)
logs = st.lists(st.tuples(records, st.sampled_from([0, 1000, 3_600_000, DAY, 3 * DAY])), max_size=60)
Log = list[tuple[tuple[str, Any], int]]


def play(desk: Desk, kind: str, record: Any, at: int) -> list[Outcome]:
    """One record of the log."""
    if kind == "tick":
        return desk.tick(at)
    return [desk.clue(record, at) if kind == "clue" else desk.command(record, at)]


def frozen(desk: Desk) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in desk.snapshot().items()}


def started() -> Desk:
    return Desk(CALENDAR, closed_kept_ms=DAY)


@given(logs)
@settings(max_examples=150, deadline=None)
def test_steps_and_owners(log: Log) -> None:
    """An accepted step raises seq by one and nothing else does; an owner is replaced only after he was let go.

    A refusal changes nothing and has a named reason; each record of the log says the state it leaves.
    """
    desk, at = started(), MONDAY
    for (kind, record), later in log:
        at += later
        before = {clue_id: desk.case(clue_id) for clue_id in CLUES}
        for outcome in play(desk, kind, record, at):
            for entry in outcome.entries:
                before[entry["clue_id"]] = follows(before[entry["clue_id"]], entry)
            if outcome.refused is not None:
                assert outcome.refused in REASONS
                assert outcome.warnings == []
        for clue_id, expected in before.items():
            case = desk.case(clue_id)
            assert case == expected or (case is None and expected is not None and expected.state == "closed")


def follows(before: Case | None, entry: dict[str, Any]) -> Case | None:
    """The case after an entry, once that is seen to be right."""
    after = msgspec.json.decode(entry["state"], type=Case | None) if "compact" not in entry["state"] else None
    if not entry["accepted"]:
        assert after == before or before is None
        return before
    assert after is not None
    assert entry["reason"] == ""
    assert entry["seq"] == after.seq == (before.seq if before else 0) + 1
    assert after.history[-1].seq == after.seq
    assert after.state in STATES
    assert (after.owner is None) == (after.state == "dispatched")
    assert after.owner is None or after.owner_department == after.department
    if before is not None and before.owner is not None:
        assert after.owner in (before.owner, None)
    if entry["verb"] == "claim":
        assert before is not None
        assert before.owner is None
        assert (after.owner, after.owner_department) == (entry["actor"], entry["department"])
    return after


@given(logs, st.sets(st.integers(0, 60), max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_restart_equals_no_restart(log: Log, splits: set[int]) -> None:
    """The same log gives the same outcomes and the same state, however often state is saved and restored on the way."""
    whole, parts, at = started(), started(), MONDAY
    end: Log = [(("tick", None), later) for later in (DAY, 3 * DAY, 30 * DAY, 300 * DAY)]
    splits = splits | {len(log)}
    for place, ((kind, record), later) in enumerate(log + end):
        at += later
        if place in splits:
            saved, parts = parts.snapshot(), started()
            assert all(array.dtype != object for array in saved.values())
            parts.restore(saved)
        assert play(parts, kind, record, at) == play(whole, kind, record, at)
    assert frozen(parts) == frozen(whole)


@given(logs)
@settings(max_examples=100, deadline=None)
def test_every_alarm_rings_once_and_in_time(log: Log) -> None:
    """After a tick nothing is pending that was due, and no alarm rings twice for the same limit."""
    desk, at = started(), MONDAY
    rung: set[tuple[str, str, int, bool]] = set()
    for (kind, record), later in log:
        at += later
        for outcome in play(desk, kind, record, at):
            for entry in outcome.entries:
                if entry["verb"] in ("remind", "supervise"):
                    case = msgspec.json.decode(entry["state"], type=Case)
                    name = case.history[-1].note
                    limit = len(case.assists) if "assist" in name else case.assigned_at
                    assert (case.clue_id, name, limit, case.extended) not in rung
                    rung.add((case.clue_id, name, limit, case.extended))
        if kind == "tick":
            for clue_id in CLUES:
                case_now = desk.case(clue_id)
                assert case_now is None or all(due > at for due in pending(case_now).values())


@given(
    st.integers(1_000_000_000_000, 2_500_000_000_000),
    st.integers(1, 40),
    st.integers(-10 * DAY, 60 * DAY),
)
@settings(deadline=None)
def test_a_limit_is_over_when_the_field_counts_it_so(start: int, days: int, later: int) -> None:
    """The deadline and the field's own formula of working days agree at every moment."""
    end = CALENDAR.deadline(start, days)
    now = max(start, min(start + later, end + 5 * DAY))
    assert (CALENDAR.elapsed(start, now) > days) == (CALENDAR.deadline(start, days) <= now and gone(end, now))


def gone(end: int, now: int) -> bool:
    """Whether a working day has begun since the end of the limit: only then does the field call it overdue."""
    day = CALENDAR._day(end)
    last = CALENDAR._day(now)
    return any(CALENDAR.is_workday(day + dt.timedelta(days=i)) for i in range((last - day).days + 1))


@given(st.integers(1_000_000_000_000, 2_500_000_000_000), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_a_share_of_a_limit_lies_within_it_and_grows(start: int, days: int, one: float, other: float) -> None:
    end = CALENDAR.deadline(start, days)
    first, second = (CALENDAR.moment(start, end, share) for share in sorted((one, other)))
    assert start <= first <= second <= end


@given(st.integers(1_000_000_000_000, 2_500_000_000_000), st.integers(0, 40 * DAY), st.integers(1, 40))
@settings(deadline=None)
def test_limits_keep_order(start: int, later: int, days: int) -> None:
    """A later start ends no earlier; a longer limit ends later; every limit ends at a midnight in Shanghai."""
    end = CALENDAR.deadline(start, days)
    assert end <= CALENDAR.deadline(start + later, days)
    assert end < CALENDAR.deadline(start, days + 1)
    assert (end + 8 * 3_600_000) % DAY == 0
