"""Filters: exceptions to rules (a subject, a region, a time) in files of their own, so that tuning leaves rules untouched.

A firing that a filter hides raises no clue and opens no episode; it is counted. Each has a reason, somebody who answers for it,
and a day on which it ends: an exception nobody looks at any more is a hole.

>>> text = '''
... id: renovation-of-a-street
... rules: [fire-water-pressure]
... where: "region = '320102'"
... from: 2026-06-10
... until: 2026-07-10
... reason: 水管改造,压力波动
... owner: 张三
... '''
>>> one = parse_filter(text, "renovation-of-a-street.yaml")
>>> one.hides("fire-water-pressure", "fire"), one.hides("fire-cable-hot", "fire")
(True, False)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rules.conditions import condition
from rules.derived import bounds, moment
from rules.errors import RuleError, meant
from rules.load import COLUMNS, files, identifier, parse_rule
from rules.model import Condition, Rule, version_of
from rules.nodes import compose
from rules.tree import TRUE, Node
from topics.codes import SECTORS

FILTER_KEY: Final = "filter:"  # before its id, the key of its record
LONGEST_DAYS: Final = 366
DAY: Final = 86_400_000
_KEYS: Final = ("id", "rules", "sector", "where", "from", "until", "reason", "owner")


@dataclass(frozen=True, slots=True)
class Filter:
    """What it hides: firings of these rules, or of all rules of a sector, on events for which `hidden` holds."""

    id: str
    rules: tuple[str, ...]
    sector: str
    where: Condition
    since: int | None  # ms UTC
    until: int
    reason: str
    owner: str
    path: str = field(compare=False)
    text: str = field(compare=False, repr=False)

    @property
    def hidden(self) -> Node:
        """The whole condition, its time included."""
        parts = [part for part in (self.where.tree, *bounds(self.since, self.until)) if part != TRUE]
        return parts[0] if len(parts) == 1 else Node("and", "bool", tuple(parts))

    def meaning(self) -> dict[str, Any]:
        """Everything but comments, in one form whatever the file's spacing or order."""
        about = {"id": self.id, "rules": sorted(self.rules), "sector": self.sector, "where": self.where.canonical}
        return about | {"from": self.since, "until": self.until, "reason": self.reason, "owner": self.owner}

    @property
    def version(self) -> str:
        """Twelve hex digits of the meaning's hash."""
        return version_of(self.meaning())

    def hides(self, rule_id: str, sector: str) -> bool:
        """Whether it is about a rule."""
        return rule_id in self.rules or (self.sector != "" and self.sector == sector)


def load_filter(path: Path) -> Filter:
    """The filter of one file. Raises RuleError."""
    try:
        return parse_filter(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(str(path), 1, 1, f"cannot be read: {error}") from error


def scan_filters(root: Path, rules: Iterable[Rule]) -> tuple[list[Filter], list[RuleError]]:
    """All filters of a file or folder, by id, and what is wrong with the others; where the folder holds rules, also filters of
    rules that are not there."""
    filters: dict[str, Filter] = {}
    errors = []
    known = {rule.id for rule in rules}
    for path in files(root, of_filters=True):
        try:
            found = load_filter(path)
            if path.stem != found.id:
                raise RuleError(str(path), 1, 1, f"the file of filter '{found.id}' must be named {found.id}.yaml")
            if found.id in filters:
                raise RuleError(str(path), 1, 1, f"id '{found.id}' is already used by {filters[found.id].path}")
            strange = sorted({*found.rules} - known) if known else []
            if strange:
                raise RuleError(str(path), 1, 1, f"no rule '{strange[0]}'{meant(strange[0], known)}")
            filters[found.id] = found
        except RuleError as error:
            errors.append(error)
    return [filters[key] for key in sorted(filters)], errors


def parse_keyed(key: str, text: str, path: str) -> Rule | Filter:
    """What stands on the rules topic under a key: a filter, or a rule. Raises RuleError."""
    return (parse_filter if key.startswith(FILTER_KEY) else parse_rule)(text, path)


def parse_filter(text: str, path: str) -> Filter:
    """The filter of a text; `path` is what errors call it. Raises RuleError."""
    top = compose(text, path)
    keys = top.mapping(_KEYS, ("id", "until", "reason", "owner"))
    rules = keys["rules"].strings() if "rules" in keys else ()
    sector = keys["sector"].string() if "sector" in keys else ""
    if bool(rules) == bool(sector):
        top.fail("a filter names either the rules it is about, or a sector")
    if sector and sector not in SECTORS:
        keys["sector"].fail(f"unknown sector '{sector}'{meant(sector, SECTORS)}")
    since, until = moment(keys["from"]) if "from" in keys else None, moment(keys["until"])
    if since is not None and not since < until <= since + LONGEST_DAYS * DAY:
        keys["until"].fail(
            f"until is after from, by {LONGEST_DAYS} days at most: an exception is looked at once a year"
        )
    where = condition(keys["where"], COLUMNS) if "where" in keys else Condition(TRUE, "true")
    return Filter(
        identifier(keys["id"]),
        rules,
        sector,
        where,
        since,
        until,
        keys["reason"].string(),
        keys["owner"].string(),
        path,
        text,
    )
