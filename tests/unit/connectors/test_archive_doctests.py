"""The examples in the docstrings of the archive and of topics hold."""

import doctest
import importlib
import pkgutil

import pytest

import connectors.archive
import topics

_MODULES = [
    module.name
    for package in (connectors.archive, topics)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", [*_MODULES, "fengsui.deadletters", "dashboards.grafana"])
def test_examples(name: str) -> None:
    """Each example gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
