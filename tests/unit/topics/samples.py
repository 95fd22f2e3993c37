"""Events and frames for tests of topics and archive."""

from typing import Any

from topics.events import KINDS
from topics.wire import encode

AT = 1_767_240_000_000
USCC = "91350100M000100Y43"
_FILL: dict[str, Any] = {"string": "x", "long": 1, "double": 0.5, "boolean": True, "bytes": b"x"}


def record(kind: str, /, **fields: Any) -> dict[str, Any]:
    """A good record of a kind: required fields filled, `fields` on top."""
    schema = KINDS[kind].schema
    base = {field.name: _FILL[field.type] for field in schema.fields if field.required}
    base |= {"event_id": "e1", "kind": kind, "sector": "food-drug", "subject": f"uscc:{USCC}"}
    base |= {"occurred_at": AT, "observed_at": AT, "source": "test"}
    return base | fields


def event(kind: str, /, **fields: Any) -> bytes:
    """`record` in the wire format."""
    return encode(KINDS[kind].schema, record(kind, **fields))
