"""A field of a record and its Avro, polars and Python types: one table, from which schemas, columns and docs are made."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

Type = Literal["string", "long", "double", "boolean", "bytes"]

PolarsType = type[pl.DataType]

POLARS: Final[dict[str, PolarsType]] = {
    "string": pl.String,
    "long": pl.Int64,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "bytes": pl.Binary,
}
PYTHON: Final[dict[str, type]] = {"string": str, "long": int, "double": float, "boolean": bool, "bytes": bytes}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ASCII name, type, Chinese name, doc; `required` ones are never null; `since` is the schema version
    that brought it (only optional fields may come later than 1, so that old readers and writers go on)."""

    name: str
    type: Type
    zh: str
    doc: str = ""
    required: bool = False
    since: int = 1

    def __post_init__(self) -> None:
        if self.required and self.since > 1:
            raise ValueError(f"{self.name}: a field added in version {self.since} must be optional")

    def avro(self) -> dict[str, Any]:
        """The field as Avro JSON; an optional one is a union with null and defaults to null."""
        doc = f"{self.zh} {self.doc}".strip()
        if self.required:
            return {"name": self.name, "type": self.type, "doc": doc}
        return {"name": self.name, "type": ["null", self.type], "default": None, "doc": doc}

    @property
    def dtype(self) -> PolarsType:
        """The polars type of the field's column."""
        return POLARS[self.type]


@dataclass(frozen=True, slots=True)
class Schema:
    """A versioned record: `number` never changes; the newest version is the greatest `since` of its fields."""

    name: str
    number: int
    doc: str
    fields: tuple[Field, ...]

    @property
    def version(self) -> int:
        """The newest version."""
        return max(field.since for field in self.fields)

    def id(self, version: int | None = None) -> int:
        """The 4-byte schema id on the wire: number * 1000 + version."""
        return self.number * 1000 + (version or self.version)

    def at(self, version: int) -> tuple[Field, ...]:
        """The fields that a version has."""
        return tuple(field for field in self.fields if field.since <= version)

    def avro(self, version: int | None = None) -> dict[str, Any]:
        """The Avro schema of a version (default: the newest) as JSON data."""
        fields = [field.avro() for field in self.at(version or self.version)]
        return {"type": "record", "name": self.name, "namespace": "fengsui", "doc": self.doc, "fields": fields}

    @property
    def columns(self) -> dict[str, type[pl.DataType]]:
        """Column name -> polars type, in field order."""
        return {field.name: field.dtype for field in self.fields}
