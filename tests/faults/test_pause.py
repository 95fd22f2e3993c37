"""A worker that stands still longer than its session and its transactions live, and then goes on as if nothing had happened."""

import os
import signal
import threading
from collections import Counter

import pytest

from fengsui.settings import Settings
from tests.acceptance.house import open_house
from tests.acceptance.rules import HOT, MANY
from tests.faults.test_kill import _wait_for_more_clues, load, reference

pytestmark = [pytest.mark.faults, pytest.mark.broker]
STANDSTILL = 14.0  # seconds: the session lasts 6, a transaction 5


def test_a_worker_that_slept_neither_loses_nor_repeats_a_clue(settings: Settings) -> None:
    """Its partitions go to the other worker; when it wakes it is fenced, and takes part again by the log alone."""
    settings = settings.model_copy(update={"checkpoint_seconds": 1.0})
    with open_house(settings, [HOT, MANY], 2) as house:
        events = load(7)[:24_000]

        def feed() -> None:
            pause = threading.Event()
            for first in range(0, len(events), 500):
                house.send(events[first : first + 500])
                pause.wait(0.7)

        feeder = threading.Thread(target=feed)
        feeder.start()
        victim = house.crew.pids[0]
        _wait_for_more_clues(house)
        os.kill(victim, signal.SIGSTOP)
        try:
            threading.Event().wait(STANDSTILL)
        finally:
            os.kill(victim, signal.SIGCONT)
        feeder.join()
        house.crew.wait_ready()
        house.settle(120)
        got = Counter(clue["clue_id"] for clue in house.records("clues"))
        expected = reference(settings)
    assert len(expected) > 500
    assert set(got) == set(expected)
    assert max(got.values()) == 1
