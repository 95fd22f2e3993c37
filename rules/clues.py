"""A firing -> the record of a clue: deterministic id, explanation, values and evidence."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from rules.episodes import HOUR, Raise
from rules.explain import MAX_VALUE, beijing, fill
from rules.model import COLOURS
from rules.plan import Judged
from topics.records import CLUE

SCHEMA: Final[dict[str, type[pl.DataType]]] = {**CLUE.columns, "shadow": pl.Boolean}
_NOTHING: Final = pl.DataFrame(schema=SCHEMA)
ID_BYTES: Final = 20
_SMALL: Final = 1e-3
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def clue_id(*parts: str) -> str:
    """Hex id of a clue: the same parts give the same id, whoever computes it.

    >>> clue_id("rule", "key", "event") == clue_id("rule", "key", "event") != clue_id("rule", "keye", "vent")
    True
    """
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=ID_BYTES).hexdigest()


def clue(judged: Judged, key: str, due: Raise, rank: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """The clue of a rule for an event; `row` has its columns and features by name."""
    rule, severity = judged.rule, COLOURS[rank]
    parts = (rule.id, key, due.event_id, *((severity,) if due.rise else ()))
    values = {name: shorter(row[name]) for name in judged.shown}
    return _record(judged, row, severity) | {
        "clue_id": clue_id(*parts),
        "origin": "rule",
        "title": rule.title,
        "key": key,
        "explanation": fill(rule.explain, {name: row[name] for name in judged.shown}),
        "values": _JSON(values),
    }


def storm(judged: Judged, hour: int, limit: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """The one clue that says a rule was capped in an hour. Its id is the same in every partition."""
    rule = judged.rule
    start = beijing(hour * HOUR)
    return _record(judged, row, "orange") | {
        "clue_id": clue_id("storm", rule.id, str(hour)),
        "origin": "storm",
        "title": f"规则告警过密:{rule.title}",
        "key": rule.id,
        "explanation": f"规则“{rule.title}”({rule.id})在 {start} 起的一小时内线索超过 {limit} 条,其余不再派发,请核查阈值与数据源",
        "values": _JSON({"limit": limit, "hour": hour * HOUR}),
    }


def frame(records: list[dict[str, Any]]) -> pl.DataFrame:
    """Clues as columns: those of the clue record, then `shadow`."""
    if not records:
        return _NOTHING.clone()
    return pl.DataFrame(records, schema=SCHEMA, orient="row")


def shorter(value: Any) -> Any:
    """A value fit for the record: rounded to four decimals (or four digits when tiny), long texts cut.

    >>> shorter(9.123456), shorter(0.000012345), shorter("厨" * 300)[-1]
    (9.1235, 1.234e-05, '…')
    """
    if isinstance(value, float):
        return float(f"{value:.4g}") if 0 < abs(value) < _SMALL else round(value, 4)
    if isinstance(value, str) and len(value) > MAX_VALUE:
        return value[:MAX_VALUE] + "…"
    return value


def _record(judged: Judged, row: Mapping[str, Any], severity: str) -> dict[str, Any]:
    rule = judged.rule
    evidence = {
        "event_id": row["event_id"],
        "topic": row["_topic"],
        "partition": row["_partition"],
        "offset": row["_offset"],
        "occurred_at": row["occurred_at"],
    }
    return {
        "origin_id": rule.id,
        "origin_version": judged.version,
        "sector": rule.sector,
        "severity": severity,
        "department": rule.department,
        "subject": row["subject"],
        "subject_name": row["subject_name"],
        "region": row["region"],
        "evidence": _JSON([evidence]),
        "occurred_at": row["occurred_at"],
        "raised_at": row["_ts"],
        "score": None,
        "actor": None,
        "shadow": rule.status == "shadow",
    }
