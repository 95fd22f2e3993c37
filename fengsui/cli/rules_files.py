"""Rule and filter files that a command is given; what is wrong with them in one line."""

from collections.abc import Sequence
from pathlib import Path

from fengsui.cli.common import Wrong
from rules import Filter, Rule, RuleError, load_filter, load_packs, load_rule, scan_filters


def existing(path: Path) -> Path:
    """A file, or a folder with rule files. Raises Wrong."""
    if not path.exists():
        raise Wrong(f"no such file or folder: {path}")
    if path.is_dir() and not any(path.rglob("*.yaml")):
        raise Wrong(f"no rule files (*.yaml) in {path}")
    return path


def rules_of(path: Path) -> list[Rule]:
    """All rules of a file or folder. Raises Wrong."""
    try:
        return load_packs(existing(path))
    except RuleError as error:
        raise Wrong(str(error)) from error


def filters_of(path: Path, rules: Sequence[Rule]) -> list[Filter]:
    """All filters of a file or folder, beside its rules. Raises Wrong."""
    filters, errors = scan_filters(path, rules)
    if errors:
        raise Wrong(str(errors[0]))
    return filters


def rule_of(path: Path) -> Rule:
    """The rule of a file. Raises Wrong."""
    try:
        return load_rule(path)
    except RuleError as error:
        raise Wrong(str(error)) from error


def filter_of(path: Path) -> Filter:
    """The filter of a file. Raises Wrong."""
    try:
        return load_filter(path)
    except RuleError as error:
        raise Wrong(str(error)) from error
