"""Absence on a real house: the time that tells of it comes through the log, whoever lives or dies."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fengsui.settings import Settings
from tests.acceptance.house import House, now_ms, open_house, reading, wait_until
from tests.acceptance.rules import SILENT, SILENT_REGION

pytestmark = pytest.mark.broker
SILENT_DEVICES, LIVING = 40, (1000, 1001)


def beat(number: int, region: str) -> dict[str, object]:
    """A heartbeat of now."""
    now = now_ms()
    given = {"metric": "heartbeat", "device_id": f"d{number}", "region": region, "occurred_at": now, "observed_at": now}
    return reading(number, 1.0, **given)


def told(house: House, rule: str) -> list[str]:
    """Keys of a rule's clues."""
    return sorted(clue["key"] for clue in house.records("clues") if clue["origin_id"] == rule)


def test_silent_devices_are_told_of_once_and_living_ones_never(settings: Settings) -> None:
    """Forty devices fall silent, two go on; both workers are killed meanwhile, so that no ticks are written for seconds and
    heartbeats wait in Kafka: each silent device gives one clue, the living ones none, in the regional stage as well."""
    with open_house(settings, [SILENT, SILENT_REGION], workers=2) as house, ThreadPoolExecutor(1) as pool:
        over = threading.Event()

        def live() -> None:
            """Beats of two devices, a second apart, until the test is over."""
            while not over.wait(1.0):
                house.send([beat(n, "320102") for n in LIVING])

        house.send([beat(n, "110101") for n in range(SILENT_DEVICES)])
        living = pool.submit(live)
        try:
            over.wait(2.5)
            for pid in house.crew.pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(told(house, "test-silent")) >= SILENT_DEVICES, 60, "a clue for each silent device")
            wait_until(lambda: told(house, "test-silent-region") != [], 30, "a clue of the silent region")
            over.wait(6.0)  # longer than a device may be silent
            clues = told(house, "test-silent"), told(house, "test-silent-region")
            ticks = len(house.records("ticks.detect"))
        finally:
            over.set()
            living.result()
        assert len(clues[0]) == len(set(clues[0])) == SILENT_DEVICES
        assert not any(key.endswith(("/d1000", "/d1001")) for key in clues[0])
        assert ticks > settings.partitions * 8  # one a second and partition, most of the time
        assert clues[1] == ["region:110101"]
