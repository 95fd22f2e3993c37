"""A mapping file: how the columns of somebody's table become the fields of our events. Read and checked before any row.

See docs/gateways.md for the language and `mappings/` for two that are used.
"""

import re
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from topics.events import KINDS, Kind
from topics.fields import PYTHON, Field

_PLACE: Final = re.compile(r"\{([^{}:]+)(?::\.(\d)f)?\}")
_MAX_BYTES: Final = 256 * 1024


class MappingError(ValueError):
    """The mapping file is wrong; one line that says where."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one field is made: from a source `column` or a `template` of several, translated, read as its type."""

    column: str | None = None
    template: str | None = None
    values: dict[str, str] = {}
    otherwise: Literal["keep", "null", "reject"] = "keep"
    format: str | list[str] | None = None
    timezone: str | None = None
    number: bool = False
    scale: float = 1.0

    @property
    def formats(self) -> list[str]:
        """Date formats to try, in order."""
        return [self.format] if isinstance(self.format, str) else self.format or []

    @property
    def places(self) -> list[tuple[str, int | None]]:
        """Source columns of the template with their number of decimals (None: as text), in order.

        >>> Column(template="site:{Lat:.2f},{Ward}").places
        [('Lat', 2), ('Ward', None)]
        """
        found = _PLACE.findall(self.template or "")
        return [(name.strip(), int(decimals) if decimals else None) for name, decimals in found]

    @property
    def pieces(self) -> list[str]:
        """The template's fixed texts around its places: one more than places."""
        return _PLACE.split(self.template or "")[::3]

    @property
    def sources(self) -> list[str]:
        """Source columns that it reads."""
        return [self.column] if self.column is not None else [name for name, _ in self.places]


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"among": "in"}):
    """Rows must fulfil it to be taken: the column's text is `in` a list, `not_in` one, or present."""

    column: str
    among: list[str] | None = None
    not_in: list[str] = []
    present: bool = True


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    columns: dict[str, Column | str]
    constants: dict[str, str | int | float | bool] = {}
    filter: list[Condition] = []
    order: Literal["file", "time"] = "file"
    encoding: str = "utf-8"
    delimiter: str = ","
    description: str = ""


class Mapping(msgspec.Struct, frozen=True):
    """A checked mapping onto one kind of event."""

    kind: Kind
    columns: dict[str, Column]
    constants: dict[str, str | int | float | bool] = {}
    filter: list[Condition] = []
    order: Literal["file", "time"] = "file"
    encoding: str = "utf-8"
    delimiter: str = ","

    @property
    def sources(self) -> set[str]:
        """Every source column it reads."""
        read = {name for column in self.columns.values() for name in column.sources}
        return read | {condition.column for condition in self.filter}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a column may be called No, and a date is text: only true and false are truth values."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.rsplit(":", 1)[1] not in ("bool", "timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_mapping(path: Path) -> Mapping:
    """The mapping of a YAML file. Raises MappingError, or OSError when it cannot be read."""
    text = path.read_bytes()
    if len(text) > _MAX_BYTES:
        raise MappingError(f"{path.name}: larger than {_MAX_BYTES} bytes")
    try:
        given = msgspec.convert(yaml.load(text, _Loader), _File)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MappingError(f"{path.name}: {' '.join(str(error).split())[:300]}") from error
    try:
        return _checked(given)
    except MappingError as error:
        raise MappingError(f"{path.name}: {error}") from error


def identity(kind: Kind, columns: list[str]) -> Mapping:
    """The mapping of a table whose columns already have the event's field names."""
    fields = [field.name for field in kind.schema.fields if field.name in columns]
    return Mapping(kind, {name: Column(column=name, number=_is_number(kind, name)) for name in fields})


def _checked(given: _File) -> Mapping:
    kind = KINDS.get(given.kind)
    if kind is None:
        raise MappingError(f"no such kind: {given.kind[:40]} (there are {', '.join(KINDS)})")
    if len(given.delimiter.encode()) != 1:
        raise MappingError("the delimiter is one ASCII character")
    columns = {n: Column(column=c) if isinstance(c, str) else c for n, c in given.columns.items()}
    fields = {field.name: field for field in kind.schema.fields}
    for name in [*columns, *given.constants]:
        if name not in fields or name == "kind":
            raise MappingError(f"{kind.code} has no field {name[:40]} to fill")
    for name, column in columns.items():
        _check_column(fields[name], column)
    missing = [f.name for f in fields.values() if f.required and f.name not in {*columns, *given.constants, *_GIVEN}]
    if missing:
        raise MappingError(f"no column or constant for {', '.join(missing)}")
    for name, value in given.constants.items():
        _check_constant(fields[name], value)
    rest = (given.constants, given.filter, given.order, given.encoding, given.delimiter)
    return Mapping(kind, columns, *rest)


_GIVEN: Final = ("kind", "observed_at")  # the mapping's own kind; when not mapped, observed when it occurred


def _check_column(field: Field, column: Column) -> None:
    if (column.column is None) == (column.template is None):
        raise MappingError(f"{field.name}: either a column or a template")
    if column.template is not None and not column.places:
        raise MappingError(f"{field.name}: the template has no {{column}}; use constants")
    if column.formats and (field.type != "long" or column.timezone is None):
        raise MappingError(f"{field.name}: format needs a time field and a timezone")
    if column.timezone is not None:
        try:
            ZoneInfo(column.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MappingError(f"{field.name}: unknown time zone {column.timezone[:40]}") from error
    if column.number and field.type not in ("long", "double"):
        raise MappingError(f"{field.name}: not a number")


def _check_constant(field: Field, value: Any) -> None:
    wanted = float | int if field.type == "double" else PYTHON[field.type]
    if not isinstance(value, wanted) or (isinstance(value, bool) and field.type != "boolean"):
        raise MappingError(f"{field.name}: a constant of type {field.type} is due")


def _is_number(kind: Kind, name: str) -> bool:
    return any(f.name == name and f.type in ("long", "double") for f in kind.schema.fields) and not name.endswith("_at")
