"""When time itself acts on a clue: a reminder when most of a limit is gone, 督办 when it is over, each once."""

from collections.abc import Iterator

from msgspec.structs import replace

from streams.desk.case import COORDINATOR, Case
from streams.desk.steps import Step


def pending(case: Case) -> dict[str, int]:
    """Alarm -> when it is due (ms UTC), for all that have not gone off: `claim-`, `feedback-` and `assist-` with
    `reminder` or `overdue`; those of an assist carry its department after a slash."""
    return {name: due for name, due in _all(case) if name not in case.alarms}


def ring(case: Case, name: str) -> Step:
    """The case after the alarm: a reminder to the one who owes, or 督办, of which the coordinator is told as well."""
    what, _, department = name.partition("/")
    debtor = department or case.department
    rung = replace(case, alarms=(*case.alarms, name))
    if what.endswith("reminder"):
        return Step(rung, name, ((debtor, "reminder"),))
    told = dict.fromkeys((COORDINATOR, debtor))
    return Step(replace(rung, supervised=True), name, tuple((to, "overdue") for to in told))


def _all(case: Case) -> Iterator[tuple[str, int]]:
    if case.state == "closed":
        return
    if case.state == "dispatched":
        yield "claim-reminder", case.claim_remind_at
        yield "claim-overdue", case.claim_by
    if case.state != "fed-back":
        yield "feedback-reminder", case.feedback_remind_at
        yield "feedback-overdue", case.feedback_by
    for assist in case.assists:
        if not assist.replied_at:
            yield f"assist-reminder/{assist.department}", assist.remind_at
            yield f"assist-overdue/{assist.department}", assist.by
