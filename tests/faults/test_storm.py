"""A short run of `make faults`: three rounds that have every fault among them."""

from pathlib import Path

import pytest

from fengsui.embedded.valkey import ValkeyService
from tests.faults.broker import ProxiedKafka
from tests.faults.harm import FAULTS
from tests.faults.storm import play, wanting

pytestmark = [pytest.mark.faults, pytest.mark.broker]
ROUNDS = {
    11: ["kill", "broker-kill", "redis"],
    12: ["stop", "disk", "broker-restart"],
    13: ["cut", "rebalance", "clock"],
}


@pytest.mark.parametrize("seed", ROUNDS)
def test_after_a_round_of_faults_nothing_differs(seed: int, scene: tuple[ProxiedKafka, ValkeyService, Path]) -> None:
    """Clues, copies and archive are those of one offline pass over the log."""
    outcome = play(seed, *scene, names=[name for name in ROUNDS[seed] if not wanting(name)])
    assert outcome.clues > 400
    assert outcome.exact, outcome


def test_every_fault_is_in_a_round() -> None:
    """So that none is only in the long run."""
    assert {name for names in ROUNDS.values() for name in names} == set(FAULTS)
