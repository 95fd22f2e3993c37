"""JSON Schema of rule and filter files, for editors: completion and red lines while writing. `rules check` says more and decides.

>>> rule_schema()["properties"]["status"]["enum"]
['draft', 'shadow', 'live', 'retired']
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rules.derived import MOST_PARTS, MOST_ROWS, MOST_TABLES
from rules.load import COLUMNS, MAX_FEATURES
from rules.model import AGGS, RANKS, STATUSES
from rules.sequences import MOST_STEPS
from topics.codes import DEPARTMENTS, SECTORS
from topics.events import KINDS

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]
_ID: Final[Json] = {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "minLength": 3, "maxLength": 64}
_TEXT: Final[Json] = {"type": "string", "minLength": 1}
_SQL: Final[Json] = {"type": ["string", "boolean"], "description": "SQL over columns and features; NULL never fires"}
_DURATION: Final[Json] = {"type": ["string", "integer"], "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$|^0$", "examples": ["10m", "1h30m", "7d"]}  # fmt: skip  # noqa: E501
_DAY: Final[Json] = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "Beijing midnight of a day"}
_NUMBER: Final[Json] = {"type": "number"}
_SCALAR: Final[Json] = {"type": ["string", "number", "boolean", "null"]}


def rule_schema() -> Json:
    """Of a rule file."""
    top = {
        "id": _ID | {"description": "never changes; also the file's name"},
        "title": _TEXT,
        "sector": _codes({code: one.zh for code, one in SECTORS.items()}),
        "status": _one_of(STATUSES),
        "on": _some(_codes({kind.code: kind.zh for kind in KINDS.values()})),
        "features": {"type": "object", "maxProperties": MAX_FEATURES, "additionalProperties": _feature()},
        "when": _SQL,
        "sequence": _object({"steps": _steps(), "within": _DURATION, "by": _some(_columns())}, ["steps", "within"]),
        "absence": _object({"of": _SQL, "within": _DURATION, "grace": _DURATION}, ["within"]),
        "tables": {"type": "object", "maxProperties": MOST_TABLES, "additionalProperties": _some(_row(), MOST_ROWS)},
        "score": _some(_object({"when": _SQL, "points": _NUMBER, "why": _TEXT}, ["when", "points"]), MOST_PARTS),
        "suppress": _some(_object({"when": _SQL, "why": _TEXT}, ["when", "why"])),
        "severity": {"anyOf": [_one_of(RANKS), _object(dict.fromkeys(RANKS, _SQL)) | {"minProperties": 1}]},
        "episode": _object({"by": _some(_columns()), "quiet": _DURATION}, ["quiet"]),
        "department": _codes({code: one.zh for code, one in DEPARTMENTS.items()}),
        "explain": _TEXT | {"description": "Chinese text with {name} and {name:.1f} of columns, features, tables, score"},
        "basis": _TEXT,
        "source": _TEXT,
        "false_positives": _some(_TEXT),
        "runbook": _TEXT,
        "tests": _some(_case()),
    }  # fmt: skip
    required = ["id", "title", "sector", "status", "on", "severity", "episode", "department", "explain"]
    schema = _object(top, required) | {"anyOf": [{"required": ["when"]}, {"required": ["sequence"]}]}
    return {"$schema": DRAFT, "title": "Fengsui rule 规则"} | schema


def filter_schema() -> Json:
    """Of a filter file."""
    top = {
        "id": _ID,
        "rules": _some(_ID),
        "sector": _codes({code: one.zh for code, one in SECTORS.items()}),
        "where": _SQL,
        "from": _DAY,
        "until": _DAY,
        "reason": _TEXT,
        "owner": _TEXT,
    }
    either = {"oneOf": [{"required": ["rules"]}, {"required": ["sector"]}]}
    return (
        {"$schema": DRAFT, "title": "Fengsui filter 例外"} | _object(top, ["id", "until", "reason", "owner"]) | either
    )


def _feature() -> Json:
    keys = {
        "agg": _one_of(AGGS),
        "of": _columns(),
        "within": _DURATION,
        "by": _some(_columns()),
        "where": _SQL,
        "steps": _steps(),
    }
    return _object(keys, ["agg", "within"])


def _steps() -> Json:
    return {"type": "array", "items": _SQL, "minItems": 2, "maxItems": MOST_STEPS}


def _row() -> Json:
    own = {"gives": _NUMBER, "when": _SQL, "months": {"type": ["string", "integer"]}, "from": _DAY, "until": _DAY}
    return _object({name: _some(_SCALAR) for name in COLUMNS} | own, ["gives"])


def _case() -> Json:
    times = dict.fromkeys(("at", "from", "to", "every"), _DURATION)
    event = _object(dict.fromkeys(COLUMNS, _SCALAR) | {"kind": _one_of(KINDS)} | times)
    expected = _object({"at": _DURATION, "severity": _one_of(RANKS)}, ["at", "severity"])
    entries = {"anyOf": [_some(_TEXT), {"type": "object", "additionalProperties": _DAY}]}
    keys = {
        "name": _TEXT,
        "start": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}$"},
        "until": _DURATION,
        "lists": {"type": "object", "additionalProperties": entries},
        "events": _some(event),
        "expect": {"type": "array", "items": expected},
    }
    return _object(keys, ["name", "events", "expect"])


def _object(keys: Mapping[str, Json], required: Iterable[str] = ()) -> Json:
    found: Json = {"type": "object", "properties": dict(keys), "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


def _some(item: Json, most: int = 0) -> Json:
    """One, or a list."""
    many = {"type": "array", "items": item, "minItems": 1} | ({"maxItems": most} if most else {})
    return {"anyOf": [item, many]}


def _one_of(words: Iterable[str]) -> Json:
    return {"enum": list(words)}


def _codes(words: Mapping[str, str]) -> Json:
    """Codes with what they stand for beside them."""
    return {"oneOf": [{"const": code, "title": text} for code, text in words.items()]}


def _columns() -> Json:
    return _one_of(sorted(COLUMNS))
