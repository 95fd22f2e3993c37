"""The lock of published schemas: id -> name and hash. A schema that has been written with may never change or go away.

>>> locked()["1001"]["name"]
'Inspection'
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from topics.catalogue import SCHEMAS
from topics.fields import Schema

PATH: Final = Path(__file__).with_name("schemas.lock.json")


class SchemaChangedError(Exception):
    """A published schema is not what it was: give changed or new fields a new version (`since`) instead."""


def fingerprint(schema: Schema, version: int) -> str:
    """SHA-256 over what readers and writers depend on: name, and names, order, types and optionality of the fields.

    >>> from topics.records import TICK
    >>> fingerprint(TICK, 1)[:8] == fingerprint(TICK, 1)[:8]
    True
    """
    fields = [[field.name, field.type, field.required] for field in schema.at(version)]
    return hashlib.sha256(json.dumps([schema.name, fields], separators=(",", ":")).encode()).hexdigest()


def current(schemas: Mapping[int, Schema] = SCHEMAS) -> dict[str, dict[str, str]]:
    """Every version of every schema as this build has them: id -> name, sha256."""
    return {
        str(schema.id(version)): {"name": schema.name, "sha256": fingerprint(schema, version)}
        for schema in sorted(schemas.values(), key=lambda schema: schema.number)
        for version in range(1, schema.version + 1)
    }


def locked() -> dict[str, dict[str, str]]:
    """The lock file: what has been published."""
    found: dict[str, dict[str, str]] = json.loads(PATH.read_text("utf-8"))
    return found


def merged(published: Mapping[str, dict[str, str]], now: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The lock with new ids added. Raises SchemaChangedError when a published one changed or is gone."""
    wrong = sorted(name["name"] + " " + number for number, name in published.items() if now.get(number) != name)
    if wrong:
        raise SchemaChangedError(f"published schemas changed: {', '.join(wrong)}")
    return dict(now)
