"""A clue and all that happened to it: the JSON of this is `state` in the clue log, from which any view is rebuilt."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from topics.records import CLUE

State = Literal["dispatched", "claimed", "handling", "fed-back", "closed"]
STATES: Final[Mapping[str, str]] = {
    "dispatched": "分发",
    "claimed": "认领",
    "handling": "处置",
    "fed-back": "反馈",
    "closed": "结束",
}
COORDINATOR: Final = "coordinator"
ENGINE: Final = "fengsui"  # the actor of steps that no person took
HISTORY: Final = 48  # steps a state carries; the archive has them all
_CLUE_FIELDS: Final = tuple(field.name for field in CLUE.fields)


class Past(msgspec.Struct, frozen=True):
    """One accepted step."""

    seq: int
    verb: str
    actor: str
    department: str
    at: int
    note: str = ""
    command_id: str = ""


class Assist(msgspec.Struct, frozen=True):
    """A request to another department to look into something (协查) until `by`; `replied_at` 0 while it has not."""

    department: str
    asked_by: str
    text: str
    asked_at: int
    by: int
    remind_at: int
    reply: str = ""
    replied_at: int = 0
    replied_by: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A clue's fields (`topics.records.CLUE`; `department` is the one in charge now), then its state.

    Times are ms UTC, 0 = not yet.
    """

    clue_id: str
    origin: str
    origin_id: str
    origin_version: str
    title: str
    sector: str
    severity: str
    department: str
    subject: str
    subject_name: str | None = None
    region: str | None = None
    key: str
    explanation: str
    evidence: str
    values: str
    occurred_at: int
    raised_at: int
    score: float | None = None
    actor: str | None = None

    state: State = "dispatched"
    seq: int = 0
    owner: str | None = None
    owner_department: str | None = None
    first_department: str = ""
    dispatched_at: int = 0
    assigned_at: int = 0
    claimed_at: int = 0
    handled_at: int = 0
    fed_back_at: int = 0
    closed_at: int = 0
    claim_by: int = 0
    claim_remind_at: int = 0
    feedback_by: int = 0
    feedback_remind_at: int = 0
    extended: bool = False
    returns: int = 0
    designated: bool = False
    supervised: bool = False
    verdict: str | None = None
    feedback_text: str = ""
    feedback_evidence: tuple[Any, ...] = ()
    assists: tuple[Assist, ...] = ()
    copies: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    history: tuple[Past, ...] = ()

    def json(self) -> str:
        """The whole state as JSON text."""
        return msgspec.json.encode(self).decode()


def of_clue(clue: Mapping[str, Any]) -> dict[str, Any]:
    """The clue's own fields, as arguments of `Case`."""
    return {name: clue.get(name) for name in _CLUE_FIELDS}


def clue_of(case: Case) -> dict[str, Any]:
    """The clue's own fields of a case, the department being the one in charge now."""
    return {name: getattr(case, name) for name in _CLUE_FIELDS}


def after(case: Case, past: Past) -> Case:
    """The case with one more step in its history. The dispatch stays; the oldest of the others go."""
    history = (*case.history, past)
    if len(history) > HISTORY:
        history = (history[0], *history[-(HISTORY - 1) :])
    return msgspec.structs.replace(case, seq=past.seq, history=history)
