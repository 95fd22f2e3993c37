"""The dispatch desk: who must act on a clue, who does, by when; pure decisions, no Kafka, no clock of its own."""

from streams.desk.case import STATES, Assist, Case, Past
from streams.desk.command import VERBS, Command, arguments_of, parse_command
from streams.desk.desk import Desk, Outcome
from streams.desk.limits import LIMITS, Limit, Terms
from streams.desk.masking import mask_person
from streams.desk.workdays import Workdays, parse_overrides

__all__ = [
    "LIMITS",
    "STATES",
    "VERBS",
    "Assist",
    "Case",
    "Command",
    "Desk",
    "Limit",
    "Outcome",
    "Past",
    "Terms",
    "Workdays",
    "arguments_of",
    "mask_person",
    "parse_command",
    "parse_overrides",
]
