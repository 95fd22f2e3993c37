"""Workers come, go and die under load: nobody waits long for a clue, and each reading has its own, once."""

from collections import Counter

import pytest

from fengsui.settings import Settings
from tests.faults.rescale import come_and_go, die, watching

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.alone]
ROWS = 200_000
PAUSE, TAKEOVER = 5.0, 15.0  # seconds


def test_nobody_waits_long(settings: Settings) -> None:
    """Adding and removing a worker stops the world for less than 5 s; a killed one is replaced, and its open transaction out of
    readers' way, within 15 s."""
    with watching(settings, ROWS, 2) as watch:
        waits = come_and_go(watch, settings)
        killed = die(watch)
    clues = Counter(clue["clue_id"] for clue in watch.house.records("clues"))
    assert clues.total() == watch.sent
    assert max(clues.values()) == 1
    assert max(waits.values()) < PAUSE, waits
    assert killed < TAKEOVER
