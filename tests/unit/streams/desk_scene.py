"""A desk with one clue, for tests: short ways to send it commands."""

import json
from typing import Any

from streams.desk import Desk, Outcome, Workdays, parse_command
from topics.records import CLUE, COMMAND
from topics.wire import decode, encode

MONDAY = 1_792_375_200_000  # 2026-10-19 10:00 in Shanghai, a working week without holidays
DAY = 86_400_000
HOME, OTHER, THIRD = "market-supervision", "fire-rescue", "education"


def clue(clue_id: str = "c1", **given: Any) -> dict[str, Any]:
    """A clue as the detect stage writes it, through its schema."""
    record = {
        "clue_id": clue_id,
        "origin": "rule",
        "origin_id": "food-cold-store-warm",
        "origin_version": "v1",
        "title": "冷藏库温度持续超标",
        "sector": "food-drug",
        "severity": "orange",
        "department": HOME,
        "subject": "uscc:91350100M000100Y43",
        "subject_name": "海鲜酒楼",
        "region": "350100",
        "key": "device:d1",
        "explanation": "近 10 分钟平均 9.5 ℃",
        "evidence": "[]",
        "values": '{"avg_10m": 9.5}',
        "occurred_at": MONDAY - 1000,
        "raised_at": MONDAY,
        "score": None,
        "actor": None,
    }
    return decode(encode(CLUE, record | given))[1]


class Scene:
    """A desk with one clue, and short ways to send it commands."""

    def __init__(self, **given: Any) -> None:
        self.desk = Desk(Workdays())
        self.at = MONDAY
        self.sent = 0
        self.first = self.desk.clue(clue(**given), self.at)

    def do(self, verb: str, unit: str = HOME, actor: str = "li", command_id: str = "", **arguments: Any) -> Outcome:
        self.sent += 1
        self.at += 1000
        record = {
            "command_id": command_id or f"k{self.sent}",
            "clue_id": "c1",
            "verb": verb,
            "actor": actor,
            "department": unit,
            "issued_at": self.at,
            "arguments": json.dumps(arguments),
        }
        return self.desk.command(parse_command(encode(COMMAND, record)), self.at)

    @property
    def case(self) -> Any:
        return self.desk.case("c1")
