"""Workers that live and do not get on are killed, and others started; what watches over them looks at their health page."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from fengsui import crew as module
from fengsui.crew import Crew, address_file, environment
from fengsui.embedded.supervise import Child, Command
from fengsui.health import health_app
from fengsui.settings import Settings
from tests.acceptance.house import wait_until


@pytest.fixture
def page() -> Iterator[tuple[str, list[int]]]:
    """A health page, and the status it answers with; 0 is no answer at all."""
    status, over = [200], threading.Event()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status[0] == 0:
                over.wait(30)
            self.send_response(status[0] or 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the test's output."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", status
    over.set()
    server.shutdown()
    server.server_close()


class Sleepers(Crew):
    """Workers that do nothing, but have an address."""

    url = ""

    def _start(self, i: int) -> Child:
        child = Child(Command(["/bin/sleep", "600"], self._settings.data_dir / f"{i}.log", grace_seconds=1.0))
        address_file(self._settings, child.pid).write_text(json.dumps({"url": self.url}))
        return child


@pytest.mark.parametrize("ill", [503, 0], ids=["says that it is stuck", "does not answer"])
def test_a_hung_worker_is_started_again(
    ill: int, page: tuple[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first bad answer: after a while of them. A worker that is well is left alone."""
    for name, seconds in (("_HEALTH_SECONDS", 0.1), ("_HUNG_SECONDS", 0.5), ("_SHORTEST_SECONDS", 0.05)):
        monkeypatch.setattr(module, name, seconds)
    url, status = page
    monkeypatch.setattr(Sleepers, "url", url)
    with Sleepers(Settings(data_dir=tmp_path), 1) as crew:
        first = crew.pids
        threading.Event().wait(1.0)
        assert crew.pids == first
        status[0] = ill
        wait_until(lambda: crew.pids != first, 20, "another worker")
        status[0] = 200


@pytest.mark.parametrize(("status", "stays"), [(503, True), (404, True), (0, False)])
def test_a_gateway_that_answers_in_any_way_is_left_alone(
    status: int, stays: bool, page: tuple[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may refuse because it is busy; to be killed it must not answer at all."""
    for name, seconds in (("_HEALTH_SECONDS", 0.1), ("_HUNG_SECONDS", 0.5), ("_SHORTEST_SECONDS", 0.05)):
        monkeypatch.setattr(module, name, seconds)
    url, answers = page
    monkeypatch.setattr(Sleepers, "url", url)
    with Sleepers(Settings(data_dir=tmp_path), 0, gateway=True) as crew:
        first = crew.pids
        answers[0] = status
        if stays:
            threading.Event().wait(2.0)
            assert crew.pids == first
        else:
            wait_until(lambda: crew.pids != first, 20, "another gateway")
        answers[0] = 200


class Doors(Sleepers):
    """A gateway that opens ports, and notes which it was told to open."""

    told: list[dict[str, str]]

    def _start(self, i: int) -> Child:
        self.told = [*getattr(self, "told", []), self._same_doors()]
        child = super()._start(i)
        address = {"url": "http://127.0.0.1:8123", "ports": {"hj212": 5001, "gb26875_udp": 5002}}
        address_file(self._settings, child.pid).write_text(json.dumps(address))
        return child


def test_a_gateway_that_is_started_again_has_the_same_doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices and senders have its ports: also when it dies a second time before it has told them."""
    monkeypatch.setattr(module, "_SHORTEST_SECONDS", 0.05)
    with Doors(Settings(data_dir=tmp_path), 0, gateway=True) as crew:
        assert crew.gateway() == ("http://127.0.0.1:8123", {"hj212": 5001, "gb26875_udp": 5002})
        for times in (2, 3):
            (pid,) = crew.pids
            if times == 3:
                address_file(crew._settings, pid).unlink()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: crew.pids != [pid], 20, "another gateway")
    same = {"FENGSUI_HJ212_PORT": "5001", "FENGSUI_GB26875_UDP_PORT": "5002", "FENGSUI_HTTP_PORT": "8123"}
    assert crew.told == [{}, same, same]


def test_a_gateway_is_handed_its_limits(tmp_path: Path) -> None:
    """What was not left as it is goes to it by environment."""
    given = environment(Settings(data_dir=tmp_path, http_connections=7, http_connections_per_source=3))
    assert (given["FENGSUI_HTTP_CONNECTIONS"], given["FENGSUI_HTTP_CONNECTIONS_PER_SOURCE"]) == ("7", "3")


def test_health_is_a_question_of_tasks_that_get_on() -> None:
    """503 names the tasks that are stuck; readiness is another question."""

    async def ask(stuck: list[str]) -> tuple[int, str]:
        transport = httpx.ASGITransport(health_app(lambda: False, lambda: stuck))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            answer = await client.get("/healthz")
            assert (await client.get("/readyz")).status_code == 503
            return answer.status_code, answer.text

    assert asyncio.run(ask([])) == (200, "ok\n")
    assert asyncio.run(ask(["detect/1"])) == (503, "stuck: detect/1\n")
