"""A gateway under load is killed and started again: no reading lost, none twice. At length: `python -m bench.gateway_load`."""

import pytest

from bench.gateway_load import measure
from fengsui.settings import Settings

pytestmark = [pytest.mark.faults, pytest.mark.broker]


def test_each_reading_once_through_a_kill(settings: Settings) -> None:
    """200 connections, 1,000 messages a second, SIGKILL in the middle; devices send again what was not answered."""
    found = measure(settings, devices=200, rate=1_000, seconds=6, protocol="hj212")
    assert found["answered"] == found["sent"] == found["events"] > 4_000
    assert found["rejected"] == found["parked"] == 0
