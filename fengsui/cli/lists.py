"""`fengsui lists`: black, white, key enterprises and whatever else rules ask by `IN list('name')`."""

import getpass
import re
import sys
import time
from typing import Annotated, Any

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.cli.rules_live import entries
from fengsui.cli.times import day
from fengsui.publishing import put_entries
from rules.explain import beijing

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
Until = Annotated[
    str, Parameter(help="The day on which the entries end, like 2026-12-31, Beijing time; default: never.")
]

app = App(name="lists", help="名单：黑名单、白名单、重点企业 Lists that rules ask: add, remove, show.")


@app.command
def add(name: str, *given: str, until: Until = "", why: str = "", json: Json = False) -> None:
    """加入名单: put entries on a list; rules know them from the next batch on.

    Args:
        name: The list, like black, white or key_enterprises.
        given: Entries (uscc:91…, site:…), or `-` to read them from stdin, one a line.
        why: A word for whoever reads the list.
    """
    found, ends = _given(name, given), day(until)
    if ends is not None and ends <= time.time() * 1000:
        raise Wrong(f"{until} is over already: the entries would count for events of the past only")
    body = {"why": why, "actor": getpass.getuser()}
    _put(name, dict.fromkeys(found, (body, ends)))
    if json:
        say_json({"list": name, "added": len(found), "until": ends})
    else:
        say(f"{name}: 加入 {len(found)} 条 added" + (f", 至 until {until}" if until else ""))


@app.command
def remove(name: str, *given: str, json: Json = False) -> None:
    """移出名单: take entries off a list.

    Args:
        name: The list.
        given: Entries, or `-` to read them from stdin, one a line.
    """
    found = _given(name, given)
    _put(name, dict.fromkeys(found))
    if json:
        say_json({"list": name, "removed": len(found)})
    else:
        say(f"{name}: 移出 {len(found)} 条 removed")


@app.command
def show(name: str = "", *, json: Json = False) -> None:
    """查看名单: the entries of a list and when they end; without a name, how many each list has.

    Args:
        name: The list.
    """
    found = entries(connected())
    if name and name not in found:
        raise Wrong(f"no list '{name[:64]}'; there are: {', '.join(sorted(found)) or 'none'}")
    if json:
        say_json({"lists": {name: found[name]} if name else found})
        return
    if not name:
        for one in sorted(found):
            say(f"{one}  {len(found[one])}")
        say(f"{len(found)} 份名单 lists")
        return
    for entry, said in sorted(found[name].items()):
        ends = f"至 until {beijing(said['expires_at'])}" if said["expires_at"] else "长期 for good"
        say(f"{entry}  {ends}  {said['why']}")
    say(f"{name}: {len(found[name])} 条 entries")


def _given(name: str, given: tuple[str, ...]) -> list[str]:
    if not _NAME.fullmatch(name):
        raise Wrong(f"'{name[:64]}' cannot name a list: lower-case letters, digits, _ and -")
    lines = sys.stdin.read().splitlines() if given == ("-",) else given
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise Wrong("name at least one entry")
    return found


def _put(name: str, records: dict[str, tuple[dict[str, Any], int | None] | None]) -> None:
    try:
        put_entries(connected(), name, records)
    except RuntimeError as error:
        raise Failed(str(error)) from error
