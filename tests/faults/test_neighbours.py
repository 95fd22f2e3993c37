"""A short run of `python -m tests.faults.neighbours`: the broker away for some seconds, and events in a heap. Redis and a full
disk are among the rounds of `test_storm`."""

from pathlib import Path

import pytest

from fengsui.embedded.valkey import ValkeyService
from tests.faults.broker import ProxiedKafka
from tests.faults.neighbours import FELT, cost

pytestmark = [pytest.mark.faults, pytest.mark.broker]
SECONDS = 6.0
GROWTH = 450.0  # MiB: twice what a task may queue, for each of a worker's four


@pytest.mark.parametrize("name", ["broker", "heaps"])
def test_a_neighbour_that_is_away_costs_time_only(name: str, scene: tuple[ProxiedKafka, ValkeyService, Path]) -> None:
    """No hand is needed, nothing is lost or repeated, memory stays bounded, and an operator can see what it was."""
    found = cost(name, SECONDS, *scene)
    assert found.exact, found
    assert found.peak < found.before + GROWTH, found
    assert found.felt > 0 or not FELT[name], found
