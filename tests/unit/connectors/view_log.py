"""A clue log as the desk writes it, and a look at all that the view holds, for tests."""

import json
from typing import Any

import redis

from connectors.view import Logged
from fengsui.embedded.valkey import ValkeyService
from streams.desk import Desk, Outcome, Workdays
from tests.unit.streams.desk_scene import HOME, MONDAY, clue
from topics.codes import DEPARTMENTS, SECTORS, SEVERITIES

NOW = MONDAY / 1000
CLOSED: list[tuple[str, dict[str, Any]]] = [
    ("claim", {}),
    ("feedback", {"verdict": "unclear", "text": "t"}),
    ("close", {}),
]


class Log:
    """A clue log of one partition, as the desk writes it: offsets with holes, as transactions leave them."""

    def __init__(self) -> None:
        self.desk = Desk(Workdays())
        self.records: list[Logged] = []
        self.sent = 0

    def add(self, outcome: Outcome) -> Outcome:
        for entry in outcome.entries:
            offset = self.records[-1].offset + 2 if self.records else 3
            self.records.append(Logged(0, offset, entry["clue_id"], entry))
        return outcome

    def clue(self, clue_id: str, at: int = MONDAY, **given: Any) -> None:
        self.add(self.desk.clue(clue(clue_id, **({"raised_at": at} | given)), at))

    def do(
        self, clue_id: str, verb: str, unit: str = HOME, at: int = MONDAY + 60_000, actor: str = "li", **given: Any
    ) -> Outcome:
        self.sent += 1
        record = {
            "command_id": f"k{self.sent}",
            "clue_id": clue_id,
            "verb": verb,
            "actor": actor,
            "department": unit,
            "issued_at": at,
            "arguments": json.dumps(given),
        }
        return self.add(self.desk.command(record, at))


def contents(valkey: ValkeyService, prefix: str) -> dict[str, Any]:
    """Everything that the view holds, but its epoch."""
    client = redis.Redis.from_url(valkey.url, decode_responses=True)
    found: dict[str, Any] = {}
    for key in sorted(client.scan_iter(f"{prefix}view:*")):
        kind = client.type(key)
        if kind == "hash":
            found[key] = client.hgetall(key)
        elif kind == "zset":
            found[key] = client.zrange(key, 0, -1, withscores=True)
        elif not key.endswith(("epoch", "building")):
            found[key] = client.get(key)
    client.close()
    return found


def city(log: Log) -> None:
    """Clues in every state, of several sectors and departments."""
    for number in range(30):
        sector, severity = list(SECTORS)[number % 13], list(SEVERITIES)[number % 4]
        log.clue(
            f"c{number:02}",
            MONDAY + number // 3,
            sector=sector,
            severity=severity,
            department=list(DEPARTMENTS)[number % 3],
        )
    for number in range(0, 30, 2):
        unit = list(DEPARTMENTS)[number % 3]
        log.do(f"c{number:02}", "claim", unit)
        log.do(f"c{number:02}", "claim", unit, actor="wang")
        if number % 4 == 0:
            log.do(f"c{number:02}", "feedback", unit, verdict="confirmed", text="t")
        if number % 8 == 0:
            log.do(f"c{number:02}", "close", unit)
        if number % 4 == 2:
            log.do(f"c{number:02}", "transfer", unit, to="education", reason="r")
