"""`fengsui clues`: the dispatch desk from a shell. A command goes onto its topic; the desk's answer is printed.

Exit code 0: accepted; 1: refused, with the reason and who holds the clue; 2: wrong use.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from fengsui.cli import clues_desk as desk
from fengsui.cli import clues_text as text
from fengsui.cli.common import Failed, Wrong, say, say_json
from streams.desk import STATES
from topics.reasons import REASONS

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
Actor = Annotated[str, Parameter(name="--actor", help="Who does it.")]
Department = Annotated[str, Parameter(name="--department", help="For which department (code).")]
Wait = Annotated[float, Parameter(name="--wait", help="Seconds to wait for the answers.")]
Many = Annotated[list[str], Parameter(help="Clue ids.")]
_WAIT: Final = 15.0

app = App(name="clues", help="线索派发台: list, show, claim, return, transfer, assist, handle, feedback, close, raise.")


@app.command(name="list")
def list_(
    *,
    department: str | None = None,
    state: str | None = None,
    sector: str | None = None,
    severity: str | None = None,
    subject: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    json: Json = False,
) -> None:
    """线索列表: clues, the newest first. Persons are masked unless `--department` names the department in charge."""
    if state is not None and state not in STATES:
        raise Wrong(f"no such state: {state[:40]} (there are {', '.join(STATES)})")
    if not 0 < limit <= 10_000:  # noqa: PLR2004 - a page for a shell
        raise Wrong("--limit must be from 1 to 10000")
    with desk.reading() as (reader, settings):
        try:
            page = reader.list(
                department=department,
                state=state,
                sector=sector,
                severity=severity,
                subject=subject,
                limit=limit,
                cursor=cursor,
            )
        except ValueError as error:
            raise Wrong(str(error)) from error
        complete = reader.complete()
    clues = [desk.seen(clue, department) for clue in page.clues]
    if json:
        say_json({"clues": clues, "cursor": page.cursor, "complete": complete})
        return
    text.show(text.table_of(clues, settings.timezone))
    if page.cursor:
        say(f"更多 more: --cursor '{page.cursor}'")
    if not complete:
        say("实时视图正在重建,列表可能不全 the live view is being built; the list may lack clues")


@app.command
def show(clue_id: str, *, department: str | None = None, json: Json = False) -> None:
    """线索详情: one clue with its history. Persons are masked unless `--department` is the one in charge."""
    with desk.reading() as (reader, settings):
        state = reader.get(clue_id)
    if state is None:
        raise Failed(f"{REASONS['unknown-clue'].zh} {REASONS['unknown-clue'].en}: {clue_id}")
    seen = desk.seen(state, department)
    if json:
        say_json(seen)
    else:
        text.show(text.sheet_of(seen, settings.timezone))


@app.command
def claim(
    ids: Many, *, actor: Actor, department: Department, note: str = "", wait: Wait = _WAIT, json: Json = False
) -> None:
    """认领: take clues of the department."""
    desk.post(desk.commands("claim", ids, {"note": note}, actor, department), wait, json)


@app.command(name="return")
def return_(
    ids: Many,
    *,
    actor: Actor,
    department: Department,
    reason: str,
    suggested: str,
    wait: Wait = _WAIT,
    json: Json = False,
) -> None:
    """退回: outside the department's duties; with the reason and the department suggested, before the claim limit."""
    desk.post(desk.commands("return", ids, {"reason": reason, "suggested": suggested}, actor, department), wait, json)


@app.command
def transfer(
    ids: Many, *, actor: Actor, department: Department, to: str, reason: str, wait: Wait = _WAIT, json: Json = False
) -> None:
    """转办, or 指定办理 by the coordinator: to another department, with the reason."""
    desk.post(desk.commands("transfer", ids, {"to": to, "reason": reason}, actor, department), wait, json)


@app.command
def assist(
    ids: Many,
    *,
    actor: Actor,
    department: Department,
    to: list[str] | None = None,
    ask: str = "",
    by: str | None = None,
    copy: list[str] | None = None,
    reply: str = "",
    wait: Wait = _WAIT,
    json: Json = False,
) -> None:
    """协查: ask departments (`--to --ask --by`), send copies (`--copy`, 抄告), or answer (`--reply`)."""
    given: dict[str, Any] = {"to": to or [], "text": ask, "copies": copy or [], "reply": reply}
    if by is not None:
        given["by"] = desk.end_of(by, desk.settings_of().timezone)
    desk.post(desk.commands("assist", ids, given, actor, department), wait, json)


@app.command
def handle(
    ids: Many,
    *,
    actor: Actor,
    department: Department,
    note: str,
    extend: Annotated[bool, Parameter(negative="")] = False,
    wait: Wait = _WAIT,
    json: Json = False,
) -> None:
    """处置: note what was done; `--extend` asks for the one extension of the feedback limit."""
    desk.post(desk.commands("handle", ids, {"note": note, "extend": extend}, actor, department), wait, json)


@app.command
def feedback(
    ids: Many,
    *,
    actor: Actor,
    department: Department,
    verdict: str,
    note: Annotated[str, Parameter(name="--text")],
    evidence: list[str] | None = None,
    wait: Wait = _WAIT,
    json: Json = False,
) -> None:
    """反馈: what was found: confirmed, false-alarm or unclear."""
    given = {"verdict": verdict, "text": note, "evidence": evidence or []}
    desk.post(desk.commands("feedback", ids, given, actor, department), wait, json)


@app.command
def close(
    ids: Many, *, actor: Actor, department: Department, note: str = "", wait: Wait = _WAIT, json: Json = False
) -> None:
    """办结: after feedback."""
    desk.post(desk.commands("close", ids, {"note": note}, actor, department), wait, json)


@app.command(name="raise")
def raise_(
    file: Path | None = None,
    *,
    actor: Actor,
    department: Department,
    title: str = "",
    sector: str = "",
    severity: str = "",
    responsible: str = "",
    subject: str = "",
    explanation: str = "",
    subject_name: str | None = None,
    region: str | None = None,
    wait: Wait = _WAIT,
    json: Json = False,
) -> None:
    """人工提出线索: clues by hand, from options or from a file.

    Args:
        file: JSON lines: title, sector, severity, department (responsible), subject, explanation and more.
        responsible: The department that is to act (default: --department).
    """
    if file is None:
        options = {
            "title": title,
            "sector": sector,
            "severity": severity,
            "department": responsible or department,
            "subject": subject,
            "explanation": explanation,
            "subject_name": subject_name,
            "region": region,
        }
        rows = [{name: value for name, value in options.items() if value not in ("", None)}]
    else:
        rows = desk.rows_of(file)
    records = [desk.raised(row, actor, department) for row in rows]
    desk.post(records, wait, json)
