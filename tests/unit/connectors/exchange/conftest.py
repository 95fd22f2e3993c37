"""A house of its own for each test."""

from pathlib import Path

import pytest

from tests.unit.connectors.exchange.tables import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty folder, a writer that keeps, metrics of its own."""
    return House(tmp_path)
