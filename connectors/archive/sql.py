"""What SQL people may ask of the archive: one SELECT over its tables. Everything else is refused with one line.

This is the first of three fences; the second is DuckDB without files, network and settings, the third a process with
limits (`query_child`).

>>> guard("select count(*) from events_iot where value > 8 -- warm")
Guarded(sql='SELECT COUNT(*) FROM events_iot WHERE value > 8', topics=('events.iot',))
>>> guard("copy clues to 'x'")
Traceback (most recent call last):
connectors.archive.sql.SqlRefused: only one SELECT is answered
"""

import re
from dataclasses import dataclass
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from topics.catalogue import TOPICS

MOST_CHARACTERS: Final = 20_000
MOST_TOKENS: Final = 4_000
MOST_DEPTH: Final = 200
_TABLE_FUNCTIONS: Final = (exp.Unnest, exp.GenerateSeries)
_FORBIDDEN: Final = (exp.DDL, exp.DML, exp.Command, exp.Into, exp.Pragma, exp.Set, exp.Attach, exp.Detach, exp.Copy)
_QUERY: Final = (exp.Select, exp.SetOperation, exp.Subquery)


class SqlRefused(ValueError):  # noqa: N818 - what was asked, not a failure of ours
    """The text is not a query that may be asked; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A query that may be asked: `sql` written anew from its tree, and the topics it reads."""

    sql: str
    topics: tuple[str, ...]


def table_name(topic: str) -> str:
    """The name of a topic in SQL.

    >>> table_name("warnings.fire-rescue")
    'warnings_fire_rescue'
    """
    return re.sub(r"[^a-z0-9]", "_", topic)


TABLES: Final[dict[str, str]] = {table_name(topic): topic for topic in TOPICS}


def guard(text: str) -> Guarded:
    """Read a query from a person. Raises SqlRefused."""
    tree = _parse(text)
    if _depth(tree) > MOST_DEPTH:
        raise SqlRefused("nested too deeply")
    found = next((node for node in tree.walk() if isinstance(node, _FORBIDDEN)), None)
    if found is not None:
        raise SqlRefused("only one SELECT is answered")
    own = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    topics: list[str] = []
    for table in tree.find_all(exp.Table):
        name = _table(table)
        if name is not None and name not in own and TABLES[name] not in topics:
            topics.append(TABLES[name])
    return Guarded(tree.sql(dialect="duckdb", comments=False), tuple(topics))


def _parse(text: str) -> exp.Expr:
    if len(text) > MOST_CHARACTERS or "\0" in text:
        raise SqlRefused(f"longer than {MOST_CHARACTERS} characters, or with a NUL")
    try:
        if len(sqlglot.tokenize(text, dialect="duckdb")) > MOST_TOKENS:
            raise SqlRefused(f"more than {MOST_TOKENS} words")
        trees = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree is not None]
    except SqlglotError as error:
        raise SqlRefused(f"not SQL: {' '.join(re.sub(chr(27) + r'.*?m', '', str(error)).split())[:300]}") from error
    except RecursionError as error:
        raise SqlRefused("nested too deeply") from error
    if len(trees) != 1 or not isinstance(trees[0], _QUERY):
        raise SqlRefused("only one SELECT is answered")
    return trees[0]


def _table(table: exp.Table) -> str | None:
    """The name of a table of the archive or of the query's own; None for unnest and number series."""
    if isinstance(table.this, _TABLE_FUNCTIONS):
        return None
    if not isinstance(table.this, exp.Identifier) or table.db or table.catalog:
        raise SqlRefused(f"only tables of the archive may be read, not {table.sql(dialect='duckdb')[:80]}")
    name = table.name.lower()
    root = table.root()
    if name not in TABLES and name not in {cte.alias_or_name.lower() for cte in root.find_all(exp.CTE)}:
        raise SqlRefused(f"no such table: {table.name[:80]} (there are {', '.join(sorted(TABLES))})")
    return name


def _depth(tree: exp.Expr) -> int:
    deepest, level = 0, [tree]
    while level and deepest <= MOST_DEPTH:
        level = [child for node in level for child in node.iter_expressions()]
        deepest += 1
    return deepest
