"""YAML with places: every value knows its line and column, so that an error can point to it.

Aliases, tags, repeated keys and several documents are refused: a rule file is plain data.

>>> top = compose("id: a\\nwhen: x > 1", "r.yaml")
>>> top.keys["when"].text, top.keys["when"].line
('x > 1', 2)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

import yaml

from rules.errors import RuleError, meant

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 12


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar (`text`, None for null), a list (`items`) or a mapping (`keys`), with its place, counted from 1."""

    path: str
    line: int
    column: int
    text: str | None = None
    items: tuple["Value", ...] = ()
    keys: dict[str, "Value"] = field(default_factory=dict)
    shape: str = "scalar"
    quoted: bool = False
    keyed: tuple[int, int] = (0, 0)  # where the key stands that this is the value of

    def fail(self, message: str, offset: int = 0) -> NoReturn:
        """Raise a RuleError that points here, or `offset` characters into the text of a one-line scalar."""
        raise RuleError(self.path, self.line, self.column + (offset + self.quoted if offset else 0), message)

    def mapping(self, allowed: Iterable[str], required: Iterable[str] = ()) -> dict[str, "Value"]:
        """The keys of a mapping, all of them known."""
        if self.shape != "mapping":
            self.fail(f"a mapping is needed here, not a {self.shape}")
        known = list(allowed)
        for name, value in self.keys.items():
            if name not in known:
                raise RuleError(
                    self.path,
                    *value.keyed,
                    f"unknown key '{name}'{meant(name, known) or '; known are ' + ', '.join(known)}",
                )
        for name in required:
            if name not in self.keys:
                self.fail(f"key '{name}' is missing")
        return self.keys

    def string(self) -> str:
        """The text of a scalar that is neither null nor blank."""
        if self.shape != "scalar" or self.text is None or not self.text.strip():
            self.fail("a text is needed here" + ("; put it in quotes" if self.shape != "scalar" else ""))
        return self.text.strip()

    def many(self) -> tuple["Value", ...]:
        """The items of a list; a scalar is a list of one."""
        if self.shape == "mapping":
            self.fail("a list is needed here, not a mapping")
        return self.items if self.shape == "list" else (self,)

    def strings(self) -> tuple[str, ...]:
        """The texts of a list of scalars, or of one scalar."""
        return tuple(item.string() for item in self.many())


def compose(text: str, path: str) -> Value:
    """The one document of a file. Raises RuleError."""
    if len(text.encode()) > MAX_BYTES:
        raise RuleError(path, 1, 1, f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        _refuse_cleverness(text, path)
        node = yaml.compose(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise RuleError(path, *place, f"not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RuleError(path, 1, 1, f"not valid YAML: {str(error).splitlines()[0][:200]}") from error
    if node is None:
        raise RuleError(path, 1, 1, "the file is empty")
    return _value(node, path)


def _refuse_cleverness(text: str, path: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RuleError(path, *place, "anchors and aliases are not allowed in a rule file")
        if getattr(event, "tag", None):
            raise RuleError(path, *place, "YAML tags are not allowed in a rule file")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise RuleError(path, *place, "nested too deeply")


def _value(node: yaml.Node, path: str) -> Value:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if isinstance(node, yaml.ScalarNode):
        null = node.style is None and node.value in ("", "~", "null")
        return Value(path, line, column, None if null else str(node.value), quoted=node.style in ("'", '"'))
    if isinstance(node, yaml.SequenceNode):
        return Value(path, line, column, items=tuple(_value(n, path) for n in node.value), shape="list")
    return Value(path, line, column, keys=dict(_pairs(node, path)), shape="mapping")


def _pairs(node: yaml.Node, path: str) -> Iterator[tuple[str, Value]]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line, column = key.start_mark.line + 1, key.start_mark.column + 1
        if not isinstance(key, yaml.ScalarNode):
            raise RuleError(path, line, column, "a key must be a plain word")
        if key.value in seen:
            raise RuleError(
                path, line, column, f"key '{key.value}' stands here again (first on line {seen[key.value]})"
            )
        seen[key.value] = line
        yield str(key.value), replace(_value(value, path), keyed=(line, column))
