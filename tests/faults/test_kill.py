"""kill -9 of the only worker in mid-stream: every clue once, none twice, as an offline pass over the same log gives them."""

import os
import random
import signal
import threading
from collections import Counter

import pytest

from fengsui.settings import Settings
from tests.acceptance.house import House, open_house, wait_until
from tests.acceptance.rules import HOT, MANY
from tests.faults.load import expected, load

pytestmark = [pytest.mark.faults, pytest.mark.broker]
EVENTS, KILLS = 40_000, 3


def _wait_for_more_clues(house: House) -> None:
    before = len(house.records("clues"))
    wait_until(lambda: len(house.records("clues")) > before, 60, "clues going on")


def _kill(house: House, victim: int) -> None:
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in house.crew.pids, 30, "a new worker")


def kill_now_and_then(house: House, kills: int, rng: random.Random) -> None:
    """kill -9 the worker itself (not its launcher), each time in mid-stream, and await its successor."""
    for _ in range(kills):
        _wait_for_more_clues(house)
        _kill(house, rng.choice(house.crew.pids))


def test_every_clue_once_and_none_twice_through_kills(settings: Settings) -> None:
    """Clues of a read-committed reader equal those of an offline pass over the same log."""
    settings = settings.model_copy(update={"checkpoint_seconds": 1.0})
    with open_house(settings, [HOT, MANY]) as house:
        events = load(1, EVENTS)

        def feed() -> None:
            pause = threading.Event()
            for first in range(0, len(events), 500):
                house.send(events[first : first + 500])
                pause.wait(0.25)  # a steady stream, so that kills land in its middle

        feeder = threading.Thread(target=feed)
        feeder.start()
        kill_now_and_then(house, KILLS, random.Random(1))
        feeder.join()
        house.crew.wait_ready()
        house.settle(120)
        got = Counter(clue["clue_id"] for clue in house.records("clues"))
        wanted = expected(settings, [HOT, MANY]).clues
    assert wanted.total() > 500
    assert got == wanted
