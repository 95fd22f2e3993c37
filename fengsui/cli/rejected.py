"""`fengsui rejected`: look at dead letters, mend them, send them again."""

import datetime as dt
import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter

from connectors.archive.query_child import text_of
from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.deadletters import Desk
from fengsui.mending import Letter, Mending, explain
from fengsui.settings import Settings
from topics.codes import DEPARTMENTS
from topics.jsonform import milliseconds
from topics.reasons import REASONS
from topics.wire import Refused

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST: Final = 100_000
_PREVIEW: Final = 60

app = App(name="rejected", help="死信台 Dead letters: list, show, replay.")


@app.command(name="list")
def list_(
    *,
    reason: str | None = None,
    topic: str | None = None,
    since: str | None = None,
    limit: int = 50,
    json: Json = False,
) -> None:
    """死信列表: dead letters, the newest first, and how many there are of each reason.

    Args:
        reason: Only those refused for this reason.
        topic: Only those that came from this topic.
        since: Only those since then: 30m, 2h, 7d, or a time with its zone (2026-01-01T08:00:00+08:00).
        limit: How many to show; all are counted.
    """
    if reason is not None and reason not in REASONS:
        raise Wrong(f"no such reason: {reason[:40]} (there are {', '.join(REASONS)})")
    if not 0 < limit <= _MOST:
        raise Wrong(f"--limit must be from 1 to {_MOST}")

    def wanted(letter: Letter) -> bool:
        return reason in (None, letter.reason) and topic in (None, letter.topic)

    with _desk() as (desk, settings):
        found = desk.search(wanted, limit, None if since is None else _since(since, _now()))
    if json:
        letters = [_row(letter) for letter in found.letters]
        say_json({"total": found.counts.total(), "counts": dict(found.counts.most_common()), "letters": letters})
        return
    _table(found.letters, settings.timezone)
    for name, count in found.counts.most_common():
        say(f"  {count:>8,}  {name} {REASONS[name].zh if name in REASONS else ''}")
    say(f"共 {found.counts.total():,} 条死信 dead letters，显示 shown {len(found.letters)}")


@app.command
def show(letter: str, *, json: Json = False) -> None:
    """死信详情: one dead letter: its raw record as text or hex, and what it says where it can be read.

    Args:
        letter: Its id, rejected/partition/offset.
    """
    with _desk() as (desk, settings):
        found = _get(desk, [letter])[0]
    reason = REASONS.get(found.reason)
    whole = _row(found) | {
        "key": None if found.key is None else text_of(found.key),
        "value": None if found.value is None else text_of(found.value),
        "decoded": explain(found),
        "mendable": reason is None or reason.mendable,
    }
    if json:
        say_json(whole)
        return
    words = f" {reason.zh} {reason.en}" if reason else ""
    say(f"{found.id}  {_time(found.at, settings.timezone)}")
    say(f"原因 reason    {found.reason}{words}")
    say(f"详情 detail    {_clean(found.detail)}")
    say(f"环节 stage     {found.stage}")
    say(f"来源 origin    {_origin(found)}")
    for name, zh in (("key", "键"), ("value", "值")):
        text = whole[name]
        say(f"{zh} {name:<10} {'(null)' if text is None else _clean(str(text))}")
    for name, value in (whole["decoded"] or {}).items():
        if value is not None:
            say(f"  {name:<20} {_clean(str(value))}")


@app.command
def replay(
    *letters: str,
    with_: Annotated[Path | None, Parameter(name="--with")] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    topic: str = "",
    actor: str | None = None,
    department: str = "coordinator",
    json: Json = False,
) -> None:
    """死信重发: send dead letters again to where they came from, as they are or mended; those still bad are not sent.

    Args:
        letters: Their ids, rejected/partition/offset.
        with_: A file with the mended record (Avro wire format or JSON), for one letter.
        set_: field=value, once for each field to change; an empty value removes the field.
        topic: Send to this topic instead, for letters that never reached one.
        actor: Who does it, for the audit; default: the user's name.
        department: For which department (code), for the audit.
    """
    if not letters:
        raise Wrong("no dead letter named")
    if with_ is not None and (len(letters) > 1 or set_):
        raise Wrong("--with mends one letter, and not together with --set")
    if department not in DEPARTMENTS:
        raise Wrong(f"no such department: {department[:40]} (there are {', '.join(DEPARTMENTS)})")
    how = Mending(_body(with_), _fields(set_ or []), topic)
    with _desk() as (desk, _):
        outcomes = desk.replay(_get(desk, letters), how, _now(), actor or getpass.getuser(), department)
    refused = sum(not outcome.ok for outcome in outcomes)
    if json:
        rows = [asdict(outcome) for outcome in outcomes]
        say_json({"sent": len(outcomes) - refused, "refused": refused, "letters": rows})
    else:
        for outcome in outcomes:
            why = f"{outcome.reason} {_zh(outcome.reason)} {_clean(outcome.detail)}".rstrip()
            say(f"{outcome.id} -> {outcome.where if outcome.ok else why}")
        say(f"已重发 sent {len(outcomes) - refused}，仍不合格 refused {refused}")
    if refused:
        raise Failed(f"{refused} of {len(outcomes)} would be refused again")


@contextmanager
def _desk() -> Iterator[tuple[Desk, Settings]]:
    from confluent_kafka import KafkaException

    settings = connected()
    try:
        yield Desk(settings), settings
    except KafkaException as error:
        raise Failed(f"Kafka does not answer: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise Failed(str(error)) from error


def _get(desk: Desk, ids: tuple[str, ...] | list[str]) -> list[Letter]:
    try:
        found = desk.get(ids)
    except ValueError as error:
        raise Wrong(str(error)) from error
    places = [f"rejected/{one.removeprefix('rejected/')}" for one in dict.fromkeys(ids)]
    missing = [place for place in places if place not in found]
    if missing:
        raise Wrong(f"no such dead letter: {missing[0]}")
    return [found[place] for place in dict.fromkeys(places)]


def _since(text: str, now: int) -> int:
    back = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if back:
        return now - int(back[1]) * _UNITS[back[2]]
    try:
        return milliseconds(text, "--since")
    except Refused as refused:
        raise Wrong(f"--since is neither like 30m, 2h, 7d nor a time with a zone: {refused.detail}") from refused


def _fields(pairs: list[str]) -> dict[str, str]:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong is not None:
        raise Wrong(f"--set takes field=value, not {wrong[:60]}")
    return dict(pair.split("=", 1) for pair in pairs)


def _body(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error


def _row(letter: Letter) -> dict[str, Any]:
    row = {k: v for k, v in asdict(letter).items() if k not in ("key", "value")}
    return row | {"bytes": len(letter.value or b""), "preview": _preview(letter)}


def _table(letters: list[Letter], zone: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("编号 id", "时间 at", "原因 reason", "来源 origin", "内容 value")
    for letter in letters:
        reason = f"{letter.reason} {_zh(letter.reason)}"
        cells = (letter.id, _time(letter.at, zone), reason, _origin(letter), _preview(letter))
        table.add_row(*(escape(cell) for cell in cells))
    Console().print(table)


def _preview(letter: Letter) -> str:
    text = _clean(text_of(letter.value[: 4 * _PREVIEW])) if letter.value is not None else "(null)"
    return text if len(text) <= _PREVIEW else text[:_PREVIEW] + "…"


def _origin(letter: Letter) -> str:
    return f"{letter.topic}/{letter.partition}/{letter.offset}" if letter.topic else letter.stage


def _zh(reason: str) -> str:
    return REASONS[reason].zh if reason in REASONS else ""


def _clean(text: str) -> str:
    """Text of strangers for a terminal: no control characters."""
    return "".join(c if c.isprintable() else "·" for c in text)


def _time(at: int, zone: str) -> str:
    return dt.datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat(" ", "seconds")


def _now() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1000)
