"""A record of the clue log as the view takes it: what to index, and the answer to the command that caused it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from topics.records import CLUE_LOG
from topics.wire import Refused, decode

_CLAIM_OPEN: Final = "dispatched"
_FEEDBACK_OPEN: Final = frozenset({"claimed", "handling"})


class Logged(NamedTuple):
    """One record of clue-log at its place; `record` is None for a tombstone, which takes the clue out of the view."""

    partition: int
    offset: int
    clue_id: str
    record: Mapping[str, Any] | None


def read_log(value: bytes) -> dict[str, Any]:
    """The record of a clue-log value. Raises Refused."""
    name, record = decode(value)
    if name != CLUE_LOG.name:
        raise Refused("unknown-schema", name)
    return record


def state_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The clue's whole state after the step; None for an unknown clue and for the mere mark of one closed long ago.

    >>> state_of({"state": "null"}), state_of({"state": '{"clue_id": "c", "state": "closed"}'})
    (None, {'clue_id': 'c', 'state': 'closed'})
    """
    state = msgspec.json.decode(record["state"])
    return state if isinstance(state, dict) and not state.get("compact") else None


def due_of(state: Mapping[str, Any]) -> int | None:
    """The limit that runs out next, ms UTC; None when nothing is owed."""
    if state["state"] == _CLAIM_OPEN:
        return int(state["claim_by"])
    return int(state["feedback_by"]) if state["state"] in _FEEDBACK_OPEN else None


def answer_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the one who sent the command is told; the same as the desk's own answer."""
    state = msgspec.json.decode(record["state"]) or {}
    told = {name: record[name] for name in ("command_id", "clue_id", "verb", "accepted", "reason", "at", "seq")}
    return told | {name: state.get(name) for name in ("state", "department", "owner", "owner_department")}


def earlier_answer(state: Mapping[str, Any], command_id: str) -> dict[str, Any] | None:
    """The answer to a command that a clue's history shows as done: a repeat of it is not logged again."""
    for past in state.get("history", ()):
        if past["command_id"] == command_id:
            told = {name: state.get(name) for name in ("clue_id", "state", "department", "owner", "owner_department")}
            own = {"command_id": command_id, "verb": past["verb"], "accepted": True, "reason": ""}
            return told | own | {"at": past["at"], "seq": past["seq"]}
    return None
