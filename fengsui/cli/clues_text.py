"""How clues and answers of the dispatch desk look in a shell: Chinese first."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.desk import STATES
from topics.codes import DEPARTMENTS, FEEDBACKS, SECTORS, SEVERITIES, Code
from topics.reasons import REASONS

_WIDE: Final = 200  # of a file or a pipe, which have no width of their own
_COLOURS: Final = {"red": "red", "orange": "dark_orange", "yellow": "yellow", "blue": "blue"}
_VERBS: Final[Mapping[str, str]] = {
    "dispatch": "派发",
    "raise": "提出",
    "claim": "认领",
    "return": "退回",
    "transfer": "转办",
    "assist": "协查",
    "handle": "处置",
    "feedback": "反馈",
    "close": "办结",
    "remind": "提醒",
    "supervise": "督办",
}


def named(table: Mapping[str, Code], code: str | None) -> str:
    """The Chinese name of a code; the code itself where there is none."""
    known = table.get(code or "")
    return known.zh if known else code or ""


def holder(answer: Mapping[str, Any]) -> str:
    """Who holds the clue, empty when nobody does."""
    if not answer.get("owner"):
        return ""
    department = answer["owner_department"]
    return f"承办人 owner: {answer['owner']}({named(DEPARTMENTS, department)} {department})"


def answered(answer: Mapping[str, Any]) -> str:
    """An answer in one line: what was done, or why not and who holds the clue.

    >>> answered({"clue_id": "c", "verb": "claim", "accepted": False, "reason": "unknown-clue", "owner": None})
    'c 认领 claim: 未受理 refused: 线索不存在 no clue has this id [unknown-clue]'
    """
    what = f"{answer['clue_id']} {_VERBS.get(answer['verb'], '')} {answer['verb']}"
    if answer["accepted"]:
        state = STATES.get(answer["state"], "")
        return "; ".join(filter(None, (f"{what}: 已受理 accepted, {state} {answer['state']}", holder(answer))))
    reason = REASONS[answer["reason"]]
    why = f"{what}: 未受理 refused: {reason.zh} {reason.en} [{reason.code}]"
    return "; ".join(filter(None, (why, holder(answer))))


def moment(at: int, zone: str) -> str:
    """A time in a zone, to the minute; empty for none."""
    return dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M") if at else ""


def due(state: Mapping[str, Any]) -> int:
    """The limit that runs out next, ms UTC, 0 when nothing is owed."""
    if state["state"] == "dispatched":
        return int(state["claim_by"])
    return int(state["feedback_by"]) if state["state"] in ("claimed", "handling") else 0


def table_of(clues: Sequence[Mapping[str, Any]], zone: str) -> Table:
    """Clues as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in (
        "编号 id",
        "等级",
        "领域 sector",
        "标题 title",
        "监管对象 subject",
        "部门 department",
        "状态 state",
        "承办人",
        "期限 due",
    ):
        table.add_column(title, overflow="fold")
    for state in clues:
        table.add_row(
            Text(state["clue_id"]),
            Text(named(SEVERITIES, state["severity"]), style=_COLOURS.get(state["severity"], "")),
            Text(named(SECTORS, state["sector"])),
            Text(state["title"]),
            Text(state["subject_name"] or state["subject"]),
            Text(named(DEPARTMENTS, state["department"])),
            Text(STATES[state["state"]] + ("·督办" if state["supervised"] else "")),
            Text(state["owner"] or ""),
            Text(moment(due(state), zone)),
        )
    return table


def sheet_of(state: Mapping[str, Any], zone: str) -> Table:
    """One clue with all that happened to it."""
    sheet = Table(box=None, show_header=False, pad_edge=False)
    sheet.add_column(style="bold", no_wrap=True)
    sheet.add_column(overflow="fold")
    rows = {
        "线索 clue": state["clue_id"],
        "标题 title": state["title"],
        "等级 severity": f"{named(SEVERITIES, state['severity'])} {state['severity']}",
        "领域 sector": f"{named(SECTORS, state['sector'])} {state['sector']}",
        "监管对象 subject": f"{state['subject_name'] or ''} {state['subject']}",
        "说明 explanation": state["explanation"],
        "来源 origin": f"{state['origin']} {state['origin_id']} {state['origin_version']}",
        "部门 department": f"{named(DEPARTMENTS, state['department'])} {state['department']}",
        "状态 state": f"{STATES[state['state']]} {state['state']}"
        + (" 督办 supervised" if state["supervised"] else ""),
        "承办人 owner": state["owner"] or "",
        "签收期限 claim by": moment(state["claim_by"], zone),
        "反馈期限 feedback by": moment(state["feedback_by"], zone),
        "核查结论 verdict": f"{named(FEEDBACKS, state['verdict'])} {state['feedback_text']}".strip(),
    }
    for name, value in rows.items():
        if value:
            sheet.add_row(name, Text(value))
    for past in state["history"]:
        who = f"{past['actor']} {named(DEPARTMENTS, past['department'])}".strip()
        sheet.add_row(
            moment(past["at"], zone), Text(f"{_VERBS.get(past['verb'], past['verb'])} {who} {past['note']}".strip())
        )
    return sheet


def show(table: Table) -> None:
    """A table on stdout, as wide as the terminal."""
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDE).print(table)
