"""The examples in the docstrings of the gateways and of the devices hold."""

import doctest
import importlib
import pkgutil

import pytest

import connectors.devices
import connectors.gateway
import connectors.http
import connectors.simulate

_MODULES = [
    module.name
    for package in (connectors.devices, connectors.gateway, connectors.http, connectors.simulate)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", [*_MODULES, "connectors.mqttlink"])
def test_examples(name: str) -> None:
    """Each example gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
