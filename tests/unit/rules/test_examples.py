"""The examples in the room's docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import rules

MODULES = [f"rules.{module.name}" for module in pkgutil.iter_modules(rules.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    """Every example in the module gives what it shows."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
