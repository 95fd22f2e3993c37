"""The examples of the modules run."""

import doctest
import importlib
import pkgutil

import pytest

import connectors.exchange

MODULES = [module.name for module in pkgutil.iter_modules(connectors.exchange.__path__, "connectors.exchange.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    """Each gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
