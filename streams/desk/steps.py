"""What each verb does to a clue: pure functions from a case to a step, or `Refused` with a named reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from streams.desk.case import COORDINATOR, Assist, Case, of_clue
from streams.desk.command import (
    Ask,
    Claim,
    Close,
    Command,
    Feedback,
    Handle,
    Raise,
    Return,
    Transfer,
    arguments_of,
)
from streams.desk.limits import Terms
from topics.codes import DEPARTMENTS
from topics.wire import Refused

_ASSIST_LONGEST: Final = 400 * 86_400_000
_ASSISTS: Final = 64
_CLAIM_ALARMS: Final = ("claim-reminder", "claim-overdue")


@dataclass(frozen=True, slots=True)
class Step:
    """A case after a step, a note for its history, and who is to be told: (department, cause)."""

    case: Case
    note: str = ""
    notices: tuple[tuple[str, str], ...] = ()


def dispatched(clue: Mapping[str, Any], at: int, terms: Terms) -> Step:
    """A clue of a rule or a model, sent to its department; an unknown department's goes to the coordinator."""
    fields = of_clue(clue)
    known = fields["department"] in DEPARTMENTS
    note = "" if known else f"unknown-department: {fields['department']}"
    return _opened(fields | ({} if known else {"department": COORDINATOR}), at, terms, note)


def raised(command: Command, at: int, terms: Terms) -> Step:
    """A clue raised by a person. Raises Refused as `arguments_of`."""
    given = arguments_of(command)
    if not isinstance(given, Raise):
        raise Refused("unknown-clue", command.clue_id)
    fields = msgspec.structs.asdict(given) | {
        "clue_id": command.clue_id,
        "origin": "manual",
        "origin_id": "manual",
        "origin_version": "1",
        "key": given.subject,
        "evidence": msgspec.json.encode(given.evidence).decode(),
        "values": msgspec.json.encode(given.values).decode(),
        "occurred_at": at if given.occurred_at is None else given.occurred_at,
        "raised_at": at,
        "actor": command.actor,
    }
    return _opened(fields, at, terms, "")


def take(case: Case, command: Command, at: int, terms: Terms) -> Step:
    """The step a command asks for. Raises Refused: the named reason, and the case stays as it is."""
    if case.state == "closed":
        raise Refused("clue-closed", case.clue_id)
    given = arguments_of(command)
    step = _STEPS.get(command.verb)
    if step is None:
        raise Refused("wrong-state", "the clue exists already")
    return step(case, command, given, at, terms)


def _opened(fields: Mapping[str, Any], at: int, terms: Terms, note: str) -> Step:
    dues = terms.dues(str(fields["severity"]), at)
    times = {"dispatched_at": at, "assigned_at": at, "first_department": fields["department"]}
    case = Case(**{**fields, **dues, **times})
    return Step(case, note, ((case.department, "dispatch"),))


def _sent(case: Case, to: str, at: int, terms: Terms) -> Case:
    """The case in the hands of another department: nobody's yet, with limits of its own."""
    kept = tuple(name for name in case.alarms if name.startswith("assist"))
    return replace(
        case,
        state="dispatched",
        department=to,
        owner=None,
        owner_department=None,
        assigned_at=at,
        claimed_at=0,
        extended=False,
        alarms=kept,
        **terms.dues(case.severity, at),
    )


def _held(case: Case, command: Command) -> None:
    """Only the department that holds the clue goes on: a colleague may stand in for the one who claimed it."""
    if case.owner is None:
        raise Refused("not-claimed", case.clue_id)
    if command.department != case.owner_department:
        raise Refused("not-owner", case.clue_id)


def _claim(case: Case, command: Command, given: Claim, at: int, terms: Terms) -> Step:
    if case.owner is not None:
        raise Refused("already-claimed", case.clue_id)
    if command.department != case.department:
        raise Refused("not-addressed", case.clue_id)
    claimed = replace(
        case,
        state="claimed",
        owner=command.actor,
        owner_department=command.department,
        claimed_at=at,
        alarms=tuple(name for name in case.alarms if name not in _CLAIM_ALARMS),
    )
    return Step(claimed, given.note)


def _return(case: Case, command: Command, given: Return, at: int, terms: Terms) -> Step:
    """Only by the assigned department, before the claim limit; the second one goes to the coordinator (指定办理)."""
    if command.department != case.department:
        raise Refused("not-addressed", case.clue_id)
    if case.state not in ("dispatched", "claimed") or case.designated or at >= case.claim_by:
        raise Refused("wrong-state", "claim limit passed" if at >= case.claim_by else case.state)
    if given.suggested == case.department:
        raise Refused("bad-command", "suggested: the same department")
    to = given.suggested if case.returns == 0 else COORDINATOR
    back = replace(_sent(case, to, at, terms), returns=case.returns + 1)
    return Step(back, f"{given.reason} → {given.suggested}", ((to, "return"),))


def _transfer(case: Case, command: Command, given: Transfer, at: int, terms: Terms) -> Step:
    """By the holder, or by the coordinator at any time before feedback: then it is 指定办理, and cannot be returned."""
    coordinator = command.department == COORDINATOR
    if not coordinator:
        _held(case, command)
    if case.state == "fed-back":
        raise Refused("wrong-state", case.state)
    if given.to == case.department:
        raise Refused("bad-command", "to: the same department")
    sent = replace(_sent(case, given.to, at, terms), designated=case.designated or coordinator)
    return Step(sent, given.reason, ((given.to, "transfer"),))


def _assist(case: Case, command: Command, given: Ask, at: int, terms: Terms) -> Step:
    if given.reply:
        return _reply(case, command, given.reply, at)
    _held(case, command)
    by = terms.calendar.deadline(at, terms.assist_days) if given.by is None else given.by
    if not at < by <= at + _ASSIST_LONGEST:
        raise Refused("bad-command", "by: not in the time to come")
    waiting = {assist.department for assist in case.assists if not assist.replied_at}
    asked = tuple(dict.fromkeys(given.to))
    if case.department in asked or waiting.intersection(asked) or len(case.assists) + len(asked) > _ASSISTS:
        raise Refused("wrong-state", "asked already, or holds the clue itself")
    new = tuple(Assist(to, command.department, given.text, at, by, terms.reminder(at, by)) for to in asked)
    copies = tuple(dict.fromkeys((*case.copies, *given.copies)))
    told = tuple((to, "assist") for to in asked) + tuple((to, "copy") for to in dict.fromkeys(given.copies))
    # An alarm of an earlier request to the same department must not keep this one's quiet.
    alarms = tuple(name for name in case.alarms if name.partition("/")[2] not in asked)
    return Step(replace(case, assists=case.assists + new, copies=copies, alarms=alarms), given.text, told)


def _reply(case: Case, command: Command, reply: str, at: int) -> Step:
    """The first open request to the department is answered; the holder is told."""
    for place, assist in enumerate(case.assists):
        if assist.department == command.department and not assist.replied_at:
            done = replace(assist, reply=reply, replied_at=at, replied_by=command.actor)
            assists = (*case.assists[:place], done, *case.assists[place + 1 :])
            return Step(replace(case, assists=assists), reply, ((case.department, "assist"),))
    raise Refused("not-addressed", case.clue_id)


def _handle(case: Case, command: Command, given: Handle, at: int, terms: Terms) -> Step:
    _held(case, command)
    if case.state == "fed-back":
        raise Refused("wrong-state", case.state)
    handled = replace(case, state="handling", handled_at=case.handled_at or at)
    if not given.extend:
        return Step(handled, given.note)
    if case.extended or at >= case.feedback_by:
        raise Refused("wrong-state", "extended already" if case.extended else "feedback limit passed")
    days = terms.of(case.severity).feedback
    longer = terms.calendar.deadline(case.feedback_by - 1, days)
    alarms = tuple(name for name in case.alarms if not name.startswith("feedback"))
    remind_at = terms.reminder(at, longer)
    extended = replace(handled, extended=True, feedback_by=longer, feedback_remind_at=remind_at, alarms=alarms)
    return Step(extended, given.note)


def _feedback(case: Case, command: Command, given: Feedback, at: int, terms: Terms) -> Step:
    """What was found; until the clue is closed a later feedback stands in place of an earlier one."""
    _held(case, command)
    fed = replace(
        case,
        state="fed-back",
        verdict=given.verdict,
        feedback_text=given.text,
        feedback_evidence=tuple(given.evidence),
        fed_back_at=case.fed_back_at or at,
    )
    return Step(fed, f"{given.verdict}: {given.text}")


def _close(case: Case, command: Command, given: Close, at: int, terms: Terms) -> Step:
    if command.department != COORDINATOR:
        _held(case, command)
    if case.state != "fed-back":
        raise Refused("wrong-state" if case.owner else "not-claimed", case.state)
    return Step(replace(case, state="closed", closed_at=at), given.note)


_STEPS: Final[Mapping[str, Callable[[Case, Command, Any, int, Terms], Step]]] = {
    "claim": _claim,
    "return": _return,
    "transfer": _transfer,
    "assist": _assist,
    "handle": _handle,
    "feedback": _feedback,
    "close": _close,
}
