"""A worker as a process: where it listens, and what becomes of it when Faust's app crashes."""

import asyncio

import psutil
import pytest

from fengsui.settings import Settings
from fengsui.worker import _watch
from tests.acceptance.house import open_house
from tests.acceptance.rules import HOT

pytestmark = pytest.mark.broker


def test_a_worker_listens_on_the_loopback_only(settings: Settings) -> None:
    """Faust's web server, which binds every address, is not among it: one port, for metrics."""
    with open_house(settings, [HOT], 1) as house:
        (pid,) = house.crew.pids
        listening = [c.laddr for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]


def test_a_crash_of_the_app_ends_the_worker() -> None:
    """Faust's own restarts end in SystemExit at the second; the crew starts a new worker instead (see the kill tests)."""

    class App:
        _crashed = asyncio.Event()

    async def crash() -> tuple[bool, bool]:
        app, stop, crashed = App(), asyncio.Event(), asyncio.Event()
        app._crashed = asyncio.Event()
        watch = asyncio.create_task(_watch(app, stop, crashed))
        await asyncio.sleep(0)
        app._crashed.set()
        await watch
        return stop.is_set(), crashed.is_set()

    assert asyncio.run(crash()) == (True, True)
