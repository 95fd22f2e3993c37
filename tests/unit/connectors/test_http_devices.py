"""Devices at the HTTP door: who may send what, readings through the pipe, dry runs. The writer is a list."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from connectors.devices.device import parse, sealed
from connectors.devices.registry import Devices
from connectors.gateway import pipe as piping
from connectors.gateway.pipe import Pipe
from connectors.http import HttpConfig, build_app
from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone, Pair
from topics.events import Kind
from topics.wire import decode

NOW = 1_790_000_000_000
JSON = {"Content-Type": "application/json"}
EVENT = {
    "event_id": "e1", "kind": "iot", "sector": "food-drug", "subject": "licence:1", "occurred_at": NOW, "observed_at": NOW,
    "source": "k1", "device_id": "http:k1", "metric": "t", "value": 1.0,
}  # fmt: skip


@dataclass
class Kept:
    """A writer that keeps what it is given, or does not answer."""

    records: dict[str, list[Any]] = field(default_factory=dict)
    away: bool = False

    async def write(self, kind: Kind, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        return await self.send(kind.topic, pairs)

    async def write_rejected(self, letters: Sequence[bytes], wait_seconds: float = 1.0) -> int:
        return await self.send("rejected", [(None, letter) for letter in letters])

    async def send(self, topic: str, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        if self.away:
            raise BrokerGone("away")
        self.records.setdefault(topic, []).extend(decode(value)[1] for _, value in pairs)
        return len(pairs)

    def ready(self, seconds: float = 2.0) -> bool:
        return True


def devices() -> Devices:
    def one(key: str, **more: Any) -> Any:
        body = {"subject": "licence:1", "sector": "food-drug", "password": "se.cret"} | more
        return parse(key, msgspec.json.encode(sealed(body, key)))

    return Devices(
        {
            "http:k1": one("http:k1", channels={"t": {"metric": "cold_store_temp"}}),
            "http:far": one("http:far", sources=["10.0.0.0/8"]),
            "http:open": one("http:open", password=None),
        }
    )


@contextlib.asynccontextmanager
async def door(writer: Kept, **options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Pipe]]:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    known = devices()
    pipe = Pipe(writer, known, metrics=metrics, linger=0.0)  # type: ignore[arg-type]
    config = HttpConfig(
        writer, devices=known, pipe=pipe, metrics=metrics, registry=registry, clock=lambda: NOW, **options
    )
    task = asyncio.create_task(pipe.run())
    transport = httpx.ASGITransport(build_app(config))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            yield client, pipe
    finally:
        task.cancel()


def post(body: Any, path: str = "/v1/events", *, writer: Kept | None = None, **given: Any) -> httpx.Response:
    """One request to a door of its own. `auth`, `headers`: of the request; the rest are options of the door."""
    request = {name: given.pop(name) for name in ("auth", "headers") if name in given}
    request["headers"] = JSON | request.get("headers", {})

    async def run() -> httpx.Response:
        async with door(writer or Kept(), **given) as (client, _):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post(path, content=content, **request)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "how", [{"auth": ("k1", "se.cret")}, {"headers": {"Authorization": "Bearer k1.se.cret"}}], ids=["basic", "bearer"]
)
def test_a_device_sends_its_own_events_only(how: dict[str, Any]) -> None:
    """Those of another subject, sector or device are refused by index, the others are taken."""
    writer = Kept()
    others = [EVENT | {"subject": "licence:2"}, EVENT | {"sector": "fire"}, EVENT | {"device_id": "http:k2"}]
    answer = post([EVENT, *others], writer=writer, tokens=("settings",), **how)
    assert answer.status_code == 202
    assert [(one["index"], one["reason"]) for one in answer.json()["rejected"]] == [
        (1, "not-your-device"), (2, "not-your-device"), (3, "not-your-device"),
    ]  # fmt: skip
    assert [event["event_id"] for event in writer.records["events.iot"]] == ["e1"]


def test_a_token_of_the_settings_sends_everything() -> None:
    """A device's limits are not those of a token."""
    headers = {"Authorization": "Bearer settings"}
    assert post(EVENT | {"subject": "licence:2"}, tokens=("settings",), headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("how", "tokens", "status"),
    [
        ({"auth": ("k1", "wrong")}, (), 401),
        ({"auth": ("nobody", "se.cret")}, (), 401),
        ({"auth": ("open", "")}, (), 401),
        ({"headers": {"Authorization": "Bearer k1.wrong"}}, (), 401),
        ({"headers": {"Authorization": "Basic %%%"}}, (), 401),
        ({"headers": {"Authorization": "Bearer other"}}, ("settings",), 401),
        ({}, ("settings",), 401),
        ({"auth": ("far", "se.cret")}, (), 403),
        ({}, (), 202),
    ],
)
def test_who_is_let_in(how: dict[str, Any], tokens: tuple[str, ...], status: int) -> None:
    """A wrong password is 401 even where no tokens are set up; a wrong address 403; without tokens the nameless may send."""
    assert post(EVENT, tokens=tokens, **how).status_code == status


def test_guesses_are_limited_by_address() -> None:
    """After ten wrong passwords of one address also the right one is refused there, and nowhere else."""

    async def run() -> list[int]:
        known = devices()
        app = build_app(
            HttpConfig(Kept(), devices=known, metrics=GatewayMetrics(CollectorRegistry()), clock=lambda: NOW)
        )
        found = []
        for address, passwords in (("10.0.0.1", ["wrong"] * 10 + ["se.cret"]), ("10.0.0.2", ["se.cret"])):
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
                for password in passwords:
                    found.append((await client.post("/v1/events", json=EVENT, auth=("k1", password))).status_code)
        return found

    assert asyncio.run(run()) == [401] * 11 + [202]


def test_readings() -> None:
    """202 once Kafka has them; the register's names; what is wrong by index, and as a dead letter with the body."""
    writer = Kept()
    body = [{"metric": "t", "value": 1, "time": NOW}, {"metric": "t", "value": "x"}, {"metric": "u", "value": 2}]
    body.append({"metric": "v", "value": 2, "time": NOW + 10**9})
    answer = post(body, "/v1/readings", writer=writer, auth=("k1", "se.cret"))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert [(one["index"], one["reason"]) for one in answer.json()["rejected"]] == [
        (1, "bad-value"), (3, "time-in-future"),
    ]  # fmt: skip
    found = {event["metric"]: event for event in writer.records["events.iot"]}
    assert found.keys() == {"cold_store_temp", "u"}
    assert (found["u"]["source"], found["u"]["device_id"], found["u"]["subject"]) == ("http", "http:k1", "licence:1")
    assert {letter["reason"] for letter in writer.records["rejected"]} == {"bad-value", "time-in-future"}


@pytest.mark.parametrize(
    ("body", "auth", "status"),
    [
        (b"{", ("k1", "se.cret"), 400),
        ([{"metric": "t"}], ("k1", "se.cret"), 422),
        ([], ("k1", "se.cret"), 202),
        (EVENT, ("k1", "wrong"), 401),
        (EVENT, None, 401),
        (EVENT, ("k1", "se.cret"), 202),
    ],
)
def test_answers_to_readings(body: Any, auth: tuple[str, str] | None, status: int) -> None:
    """Unreadable 400, nothing good 422, nobody 401 even where everybody may send events."""
    assert post(body, "/v1/readings", auth=auth).status_code == status


def test_readings_wait_for_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 when Kafka has not answered within the limit; 429 while the pipe is full; sent again, the event is there once."""
    reading = json.dumps({"metric": "t", "value": 1, "time": NOW}).encode()

    async def run() -> tuple[int, int, int, int]:
        writer = Kept(away=True)
        async with door(writer, pipe_seconds=0.1) as (client, _):
            late = await client.post("/v1/readings", content=reading, auth=("k1", "se.cret"))
            with monkeypatch.context() as patch:
                patch.setattr(piping, "MOST_FRAMES", 1)
                full = await client.post("/v1/readings", content=reading, auth=("k1", "se.cret"))
            writer.away = False
        async with door(writer) as (client, _):
            for _ in range(2):
                good = await client.post("/v1/readings", content=reading, auth=("k1", "se.cret"))
        return late.status_code, full.status_code, good.status_code, len(writer.records["events.iot"])

    assert asyncio.run(run()) == (503, 429, 202, 1)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/readings"])
@pytest.mark.parametrize(
    "how", [{"headers": {"Dry-Run": "1"}}, {"dry_run": True}, {}], ids=["header", "setting", "query"]
)
def test_a_dry_run_tells_and_writes_nothing(path: str, how: dict[str, Any]) -> None:
    """Each item is judged as it would be; the answer says that nothing was written, and is 200, not 202."""
    writer = Kept()
    asked = path if how else f"{path}?dry_run=1"
    answer = post([EVENT, EVENT | {"subject": "licence:2"}], asked, writer=writer, auth=("k1", "se.cret"), **how)
    told = answer.json()
    assert (answer.status_code, told["dry_run"], told["accepted"]) == (200, True, 1)
    assert [(one["index"], one["reason"]) for one in told["rejected"]] == [(1, "not-your-device")]
    assert writer.records == {}
