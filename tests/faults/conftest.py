"""What all rounds of a module share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fengsui.embedded.valkey import ValkeyService
from tests.faults.broker import ProxiedKafka
from tests.faults.storm import stage


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[ProxiedKafka, ValkeyService, Path]]:
    """A broker behind a proxy, a view, and a folder."""
    with tempfile.TemporaryDirectory() as data, stage(Path(data)) as (kafka, valkey):
        yield kafka, valkey, Path(data)
