"""The dispatch desk: every open clue of one task, a single writer, a function of the log alone.

>>> from streams.desk.workdays import Workdays
>>> desk = Desk(Workdays())
>>> claim = {"command_id": "c", "clue_id": "x", "verb": "claim", "actor": "li", "department": "fire-rescue",
...          "issued_at": 0, "arguments": "{}"}
>>> desk.command(claim, at=0).refused
'unknown-clue'
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from streams.desk import alarms, steps
from streams.desk.case import COORDINATOR, ENGINE, Case, Past, after, clue_of
from streams.desk.command import Command, parse_command
from streams.desk.limits import LIMITS, Limit, Terms
from streams.desk.masking import mask_person
from streams.desk.memory import Held, Marks, packed, unpacked
from streams.desk.steps import Step
from streams.desk.workdays import Workdays
from topics.wire import Refused

_CLOSED_KEPT: Final = 86_400_000
_DROP: Final = "drop"
_NOTE: Final = 500
_ALARMS, _STALE = 12, 1000  # alarms a clue may have in the heap, on average, before it is wound anew


@dataclass(slots=True)
class Outcome:
    """What a decision writes: `entries` to clue-log, `warnings` (department, record), `audit`.

    `refused` names the reason, None where it was accepted; `answer` is what the one who asked is told.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    refused: str | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Desk:
    """All open clues of one task. The same records at the same times give the same outcomes."""

    def __init__(
        self,
        calendar: Workdays,
        *,
        limits: Mapping[str, Limit] = LIMITS,
        closed_kept_ms: int = _CLOSED_KEPT,
        marks: int = 300_000,
    ) -> None:
        """A closed clue is kept whole for `closed_kept_ms` of log time, then as one of at most `marks` marks."""
        self._terms = Terms(calendar, limits)
        self._closed_kept = closed_kept_ms
        self._held: dict[str, Held] = {}
        self._marks = Marks(marks)
        self._alarms: list[tuple[int, str, str]] = []
        self.repeats = 0

    def __len__(self) -> int:
        """Clues held whole: the open ones and those closed a short while ago."""
        return len(self._held)

    def case(self, clue_id: str) -> Case | None:
        """A clue's state now; None for an unknown one and for one closed long ago."""
        held = self._held.get(clue_id)
        return held.case if held else None

    def clue(self, clue: Mapping[str, Any], at: int) -> Outcome:
        """Dispatch a clue of the `clues` topic. A known id is a repeat: counted, nothing written."""
        clue_id = str(clue["clue_id"])
        if clue_id in self._held or clue_id in self._marks:
            self.repeats += 1
            return Outcome(answer={"clue_id": clue_id, "repeat": True})
        step = steps.dispatched(clue, at, self._terms)
        return self._accept(step, Command("", clue_id, "dispatch", ENGINE, "", at, ""), at)

    def command(self, command: Mapping[str, Any] | Command, at: int) -> Outcome:
        """Decide on a command. Raises Refused("bad-command") where it lacks what an answer needs: a dead letter.

        A repeat of an id that was decided is answered as then. An accepted one writes nothing again; a refused one is
        logged again, so that whoever asks again hears again.
        """
        asked = command if isinstance(command, Command) else parse_command(command)
        held = self._held.get(asked.clue_id)
        before = held.answered(asked.command_id) if held else None
        if held and before:
            return self._again(held, before, asked, at)
        try:
            return self._accept(self._step(held, asked, at), asked, at)
        except Refused as refused:
            return self._refuse(held, asked, refused.reason, at)

    def tick(self, at: int) -> list[Outcome]:
        """What time does up to `at`, in order of due times: reminders, 督办; closed clues leave."""
        outcomes = []
        while self._alarms and self._alarms[0][0] <= at:
            due, clue_id, name = heapq.heappop(self._alarms)
            held = self._held.get(clue_id)
            if held is None:
                continue
            if name == _DROP:
                self._drop(held.case)
            elif alarms.pending(held.case).get(name) == due:
                verb = "remind" if "reminder" in name else "supervise"
                command = Command("", clue_id, verb, ENGINE, "", at, "")
                outcomes.append(self._accept(alarms.ring(held.case, name), command, at))
        return outcomes

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """The state as arrays: JSON of the clues held (uint8), marks (uint64), counters (int64)."""
        return {
            "clues": packed(self._held.values()),
            "marks": self._marks.array(),
            "counters": np.array([self.repeats], np.int64),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the state of a snapshot in place of the own one."""
        self._held = {held.case.clue_id: held for held in unpacked(arrays["clues"])}
        self._marks.fill(arrays["marks"])
        self.repeats = int(arrays["counters"][0])
        self._wind()

    def _wind(self) -> None:
        """All alarms anew: those of limits that no longer hold go."""
        self._alarms = [alarm for held in self._held.values() for alarm in self._due(held.case)]
        heapq.heapify(self._alarms)

    def _step(self, held: Held | None, command: Command, at: int) -> Step:
        if held is not None:
            return steps.take(held.case, command, at, self._terms)
        if command.clue_id in self._marks:
            raise Refused("clue-closed", command.clue_id)
        if command.verb != "raise":
            raise Refused("unknown-clue", command.clue_id)
        return steps.raised(command, at, self._terms)

    def _accept(self, step: Step, command: Command, at: int) -> Outcome:
        old = self._held.get(command.clue_id)
        seq = (old.case.seq if old else 0) + 1
        note = step.note[:_NOTE]
        past = Past(seq, command.verb, command.actor, command.department, at, note, command.command_id)
        held = self._held[command.clue_id] = Held(after(step.case, past), old.memory if old else {})
        for alarm in self._due(held.case, old.case if old else None):
            heapq.heappush(self._alarms, alarm)
        if len(self._alarms) > _STALE + _ALARMS * len(self._held):
            self._wind()
        answer = _answer(held.case, command, "", at)
        held.remember(answer)
        warnings = [(to, _warning(held.case, to, cause)) for to, cause in step.notices]
        return Outcome([_entry(held.case, command, "", at)], warnings, [_audit(command, "accepted", at)], None, answer)

    def _refuse(self, held: Held | None, command: Command, reason: str, at: int) -> Outcome:
        case = held.case if held else None
        answer = _answer(case, command, reason, at)
        if held:
            held.remember(answer)
        entry = _entry(case, command, reason, at, closed=reason == "clue-closed")
        return Outcome([entry], [], [_audit(command, reason, at)], reason, answer)

    def _again(self, held: Held, before: dict[str, Any], command: Command, at: int) -> Outcome:
        reason = str(before["reason"])
        entries = [_entry(held.case, command, reason, at)] if reason else []
        return Outcome(entries, [], [_audit(command, "repeated", at)], reason or None, before)

    def _due(self, case: Case, before: Case | None = None) -> list[tuple[int, str, str]]:
        """Alarms that are pending now and were not before."""
        if case.state == "closed":
            return [(case.closed_at + self._closed_kept, case.clue_id, _DROP)]
        old = alarms.pending(before) if before else {}
        new = alarms.pending(case)
        return [(due, case.clue_id, name) for name, due in new.items() if old.get(name) != due]

    def _drop(self, case: Case) -> None:
        del self._held[case.clue_id]
        self._marks.add(case.clue_id)


def _warning(case: Case, to: str, cause: str) -> dict[str, Any]:
    """The clue as a department receives it; personal data only for the department in charge."""
    clue = clue_of(case)
    if to != case.department:
        clue = mask_person(clue)
    return clue | {"claim_by": case.claim_by, "feedback_by": case.feedback_by, "cause": cause}


def _entry(case: Case | None, command: Command, reason: str, at: int, closed: bool = False) -> dict[str, Any]:
    if case is not None:
        state = case.json()
    else:
        state = f'{{"clue_id":{_quoted(command.clue_id)},"state":"closed","compact":true}}' if closed else "null"
    return {
        "clue_id": command.clue_id,
        "seq": case.seq if case else 0,
        "command_id": command.command_id,
        "verb": command.verb,
        "actor": command.actor,
        "department": command.department,
        "accepted": not reason,
        "reason": reason,
        "at": at,
        "state": state,
    }


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _answer(case: Case | None, command: Command, reason: str, at: int) -> dict[str, Any]:
    """What the asker is told: whether it was done, why not, and who holds the clue."""
    return {
        "command_id": command.command_id,
        "clue_id": command.clue_id,
        "verb": command.verb,
        "accepted": not reason,
        "reason": reason,
        "at": at,
        "seq": case.seq if case else 0,
        "state": case.state if case else ("closed" if reason == "clue-closed" else None),
        "department": case.department if case else None,
        "owner": case.owner if case else None,
        "owner_department": case.owner_department if case else None,
    }


def _audit(command: Command, result: str, at: int) -> dict[str, Any]:
    return {
        "at": at,
        "actor": command.actor,
        "department": command.department or COORDINATOR,
        "action": f"clue.{command.verb}",
        "object": command.clue_id,
        "result": result,
    }
