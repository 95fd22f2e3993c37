"""How long a department has, by severity. Suggested defaults of the field (domain, section 3); all can be given anew.

>>> LIMITS["red"].claim, LIMITS["blue"].feedback
(1, 30)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streams.desk.workdays import Workdays


@dataclass(frozen=True, slots=True)
class Limit:
    """Working days to claim (签收) and to feed back (反馈), both from the dispatch."""

    claim: int
    feedback: int


LIMITS: Final[Mapping[str, Limit]] = {
    "red": Limit(1, 5),
    "orange": Limit(1, 10),
    "yellow": Limit(2, 15),
    "blue": Limit(3, 30),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the desk goes by: calendar, limits, days to answer a 协查, share of a limit gone when a reminder is due."""

    calendar: Workdays
    limits: Mapping[str, Limit] = field(default_factory=lambda: LIMITS)
    assist_days: int = 10
    remind_at: float = 0.8

    def of(self, severity: str) -> Limit:
        """The limit of a severity; an unknown one is treated as yellow."""
        return self.limits.get(severity) or self.limits["yellow"]

    def dues(self, severity: str, at: int) -> dict[str, int]:
        """Limits and reminders (ms UTC) of a clue sent to a department at `at`, as fields of a case."""
        limit = self.of(severity)
        claim_by = self.calendar.deadline(at, limit.claim)
        feedback_by = self.calendar.deadline(at, limit.feedback)
        return {
            "claim_by": claim_by,
            "claim_remind_at": self.reminder(at, claim_by),
            "feedback_by": feedback_by,
            "feedback_remind_at": self.reminder(at, feedback_by),
        }

    def reminder(self, start: int, end: int) -> int:
        """When to remind of a limit that runs from `start` to `end`."""
        return self.calendar.moment(start, end, self.remind_at)
