"""A chunk of source rows -> events of the form's kind, checked; who is refused, skipped or warned of, and what was mended.

Pure: the same rows give the same events and findings, however a table is cut into chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from connectors.exchange.cleaning import Finding, clean
from connectors.exchange.forms import Form
from connectors.exchange.hotline import complaints
from connectors.exchange.inspections import inspections
from connectors.exchange.penalties import penalties, withdrawn
from connectors.exchange.rules import RULES
from connectors.exchange.table import Table, Terms
from topics.checks import check
from topics.events import KINDS

SOURCE: Final = "exchange"
GONE: Final = "deleted-at-source"
_MAKERS: Final[dict[str, Callable[[Table], dict[str, pl.Series]]]] = {
    "inspection": inspections,
    "penalty": penalties,
    "complaint": complaints,
}
_DELETE: Final = ("d", "D", "delete", "删除")
_UPDATE: Final = ("u", "U", "update", "修改", "更新")
_INSERT: Final = ("i", "I", "insert", "新增")


@dataclass(frozen=True, slots=True)
class Judged:
    """n rows: their events (all rows; only those with `reason` "" may go on), the clean source, findings; why a row does not go
    on, and the column that it is about."""

    events: pl.DataFrame
    clean: pl.DataFrame
    found: list[Finding]
    reason: pl.Series
    column: pl.Series


def judge(form: Form, rows: pl.DataFrame, terms: Terms, now: int) -> Judged:
    """Judge n rows, whose text columns are named by the form's codes; `now`: ms UTC."""
    kind = KINDS[form.kind]
    cleaned = clean(form, rows)
    table = Table(form, cleaned.frame, terms)
    made = _MAKERS[form.kind](table)
    made["event_id"] = _event_id(table, made.pop("key"))
    made["observed_at"] = _observed(made)
    n = rows.height
    constant = {"kind": kind.code, "source": f"{SOURCE}-{form.code}"}
    columns = [
        made[f.name].cast(f.dtype).alias(f.name)
        if f.name in made
        else pl.Series(f.name, [constant.get(f.name)], dtype=f.dtype).new_from_index(0, n)
        for f in kind.schema.fields
    ]
    checked = check(kind, pl.DataFrame(columns), now)
    found = cleaned.found + table.found
    reason, column = _first(found, n)
    ours = reason == ""
    reason = pl.select(pl.when(ours).then(checked.reason).otherwise(reason)).to_series()
    return Judged(checked.frame, cleaned.frame, found, reason, column)


def _first(found: list[Finding], n: int) -> tuple[pl.Series, pl.Series]:
    """Why a row does not go on, and the column: deleted at the source, else the first reason found, else nothing."""
    stops = [one for one in found if RULES[one.rule].consequence in {"refuse", "skip"}]
    stops.sort(key=lambda one: one.rule != GONE)
    reason, column = pl.lit(""), pl.lit("")
    for one in reversed(stops):
        hit = pl.lit(one.rows)
        reason = pl.when(hit).then(pl.lit(one.rule)).otherwise(reason)
        column = pl.when(hit).then(pl.lit(one.column)).otherwise(column)
    frame = pl.select(pl.repeat("", n, dtype=pl.String).alias("_"), reason.alias("reason"), column.alias("column"))
    return frame["reason"], frame["column"]


def _event_id(table: Table, key: pl.Series) -> pl.Series:
    """The record's own keys; an update has its time besides, since it is another event. Deletions are found here."""
    operation = table["cd_operation"]
    update = operation.is_in(_UPDATE).fill_null(False)
    gone = operation.is_in(_DELETE).fill_null(False) | withdrawn(table)
    table.find(GONE, "cd_operation", gone)
    table.find("unknown-operation", "cd_operation", ~operation.is_in((*_INSERT, *_UPDATE, *_DELETE)))
    table.find("update-untimed", "cd_time", update & table["cd_time"].is_null())
    plain = table.form.kind + ":" + key
    at = pl.select(pl.coalesce(table.date("cd_time").cast(pl.String), table["cd_time"], pl.lit(""))).to_series()
    changed = plain + ":u:" + at
    return pl.select(pl.when(update).then(changed).otherwise(plain)).to_series()


def _observed(made: dict[str, pl.Series]) -> pl.Series:
    """When it was handed in, where that is known and not before it happened."""
    at = made["occurred_at"]
    submitted = made.get("submitted_at", at)
    return pl.select(pl.max_horizontal(at, submitted)).to_series()
