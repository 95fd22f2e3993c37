"""The HTTP door without a broker: forms, answers, limits, tokens. The writer is a list."""

import asyncio
import contextlib
import doctest
import gzip
import json
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from connectors.http import HttpConfig, Limits, RunningServer, serving
from connectors.http import server as server_module
from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone, Pair, QueueFull
from tests.acceptance.house import wait_until
from topics.events import Kind
from topics.wire import decode

NOW = 1_790_000_000_000
LINES = {"Content-Type": "application/x-ndjson"}
READING = {
    "event_id": "e1",
    "kind": "iot",
    "sector": "food-drug",
    "subject": "licence:1",
    "occurred_at": NOW,
    "observed_at": NOW,
    "source": "test",
    "device_id": "d1",
    "metric": "cold_store_temp",
    "value": -18.0,
}


@dataclass
class Kept:
    """A writer that keeps what it is given, or fails as told."""

    events: list[tuple[str, Pair]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    failure: Exception | None = None
    up: bool = True

    async def write(self, kind: Kind, pairs: Sequence[Pair], wait_seconds: float = 1.0) -> int:
        if self.failure:
            raise self.failure
        self.events += [(kind.code, pair) for pair in pairs]
        return len(pairs)

    async def write_rejected(self, letters: Sequence[bytes], wait_seconds: float = 1.0) -> int:
        self.letters += [decode(letter)[1] for letter in letters]
        return len(letters)

    def ready(self, seconds: float = 2.0) -> bool:
        return self.up


@dataclass
class Door:
    """A door that runs, the writer behind it, its registry, and a client."""

    server: RunningServer
    writer: Kept
    registry: CollectorRegistry
    client: httpx.Client

    def post(self, body: bytes, headers: dict[str, str], path: str = "/v1/events") -> httpx.Response:
        return self.client.post(path, content=body, headers=headers)


@pytest.fixture
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    registry = CollectorRegistry()
    writer = Kept()
    options: dict[str, Any] = getattr(request, "param", {})
    config = HttpConfig(writer, metrics=GatewayMetrics(registry), registry=registry, clock=lambda: NOW, **options)
    with serving(config) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        yield Door(server, writer, registry, client)


def event(**changes: Any) -> bytes:
    return json.dumps(READING | changes).encode()


def test_json_lines_are_taken(door: Door) -> None:
    """Good lines are written as Avro under the standardised subject; blank lines are no events."""
    answer = door.post(event() + b"\n\n" + event(event_id="e2", subject="uscc:91350100m000100y43") + b"\n", LINES)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": []})
    assert [pair[0] for _, pair in door.writer.events] == [b"licence:1", b"uscc:91350100M000100Y43"]
    assert decode(door.writer.events[0][1][1])[1]["value"] == -18.0


def test_bad_events_are_answered_by_index_and_kept(door: Door) -> None:
    """Of a mixed body the good go on; each bad one is named by its index, and its raw bytes become a dead letter."""
    bad = event(subject="uscc:91350100M000100Y44")
    answer = door.post(b"\n".join([bad, event(), b'{"kind": "iot"', event(kind="gossip")]), LINES)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    found = [(r["index"], r["reason"]) for r in answer.json()["rejected"]]
    assert found == [(0, "bad-uscc"), (2, "bad-json"), (3, "unknown-kind")]
    assert answer.json()["rejected"][0]["zh"] == "统一社会信用代码校验不通过"
    assert (door.writer.letters[0]["reason"], door.writer.letters[0]["stage"]) == ("bad-uscc", "gateway-http")
    assert door.writer.letters[0]["value"] == bad


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event(sector="alchemy"), "unknown-sector"),
        (event(region="999999"), "bad-region"),
        (event(occurred_at=0), "time-too-old"),
        (event(observed_at=4_102_444_800_000), "time-in-future"),
        (event(occurred_at="2026-01-01T00:00:00"), "bad-time"),
        (event(value="warm"), "bad-type"),
        (event(device_id=""), "missing-field"),
        (event(kind=None), "missing-field"),
        (event(event_id=2**70), "bad-type"),
    ],
)
def test_a_body_without_a_good_event(door: Door, body: bytes, reason: str) -> None:
    """A body that reads but holds no good event is 422, with the reason."""
    answer = door.post(body, LINES)
    assert (answer.status_code, answer.json()["rejected"][0]["reason"]) == (422, reason)
    assert door.writer.events == []
    name = "fengsui_gateway_events_rejected_total"
    assert door.registry.get_sample_value(name, {"gateway": "http", "reason": reason}) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"event_id": "e1', "bad-json"),
        (event().replace(b"-18.0", b"NaN"), "bad-json"),
        (event().replace(b"-18.0", b"1e999"), "bad-json"),
        (event().replace(b"e1", b"\xff\xfe"), "bad-utf8"),
        (event().replace(b'"e1"', b'"\\ud800"'), "bad-json"),
        (b"[" * 100_000, "bad-json"),
        (b'{"a":' * 100_000, "bad-json"),
        (b"", "empty-value"),
        (b"null", "bad-json"),
    ],
)
def test_an_unreadable_body(door: Door, body: bytes, reason: str) -> None:
    """A body in which nothing can be read is 400, and nothing is written."""
    answer = door.post(body, LINES)
    assert answer.status_code == 400
    assert answer.json()["rejected"][0]["reason"] == reason
    assert door.writer.events == []


def test_one_json_object_and_an_array(door: Door) -> None:
    """`application/json` holds an event or an array of them; the kind may come with the address."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert door.post(event(), headers).json()["accepted"] == 1
    assert door.post(b"[" + event() + b"," + event() + b"]", headers).json()["accepted"] == 2
    nameless = json.dumps({k: v for k, v in READING.items() if k != "kind"}).encode()
    assert door.post(nameless, headers, "/v1/events?kind=iot").json()["accepted"] == 1


def test_cloudevents_in_three_modes(door: Door) -> None:
    """Binary, structured and batch; attributes stand in for the fields that data leaves out."""
    data = {k: v for k, v in READING.items() if k in ("sector", "device_id", "metric", "value")}
    attributes = {"specversion": "1.0", "id": "c1", "source": "/gate", "type": "fengsui.iot", "subject": "licence:7"}
    attributes["time"] = "2026-01-01T08:00:00+08:00"
    one = json.dumps(attributes | {"data": data}).encode()
    bad = json.dumps({k: v for k, v in attributes.items() if k != "id"} | {"data": data}).encode()
    binary = {f"ce-{k}": v for k, v in attributes.items()} | {"Content-Type": "application/json"}
    assert door.post(json.dumps(data).encode(), binary).json()["accepted"] == 1
    assert door.post(one, {"Content-Type": "application/cloudevents+json"}).json()["accepted"] == 1
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    answer = door.post(b"[" + one + b", " + bad + b"]", batch)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [(r["index"], r["reason"]) for r in answer.json()["rejected"]] == [(1, "bad-cloudevent")]
    assert door.post(b"[]", batch).status_code == 202
    record = decode(door.writer.events[0][1][1])[1]
    assert (record["event_id"], record["source"], record["subject"]) == ("c1", "/gate", "licence:7")
    assert record["occurred_at"] == record["observed_at"] == 1_767_225_600_000
    assert door.writer.letters[0]["value"] == bad


def test_too_large(door: Door) -> None:
    """More than the limit is 413: announced, in chunks without a length, or as a gzip bomb."""
    limit = 1_048_576
    assert door.post(b" " * (limit + 1), LINES).status_code == 413
    chunks = (b" " * 65_536 for _ in range(40))
    assert door.client.post("/v1/events", content=chunks, headers=LINES).status_code == 413
    bomb = gzip.compress(b" " * 300_000_000, 9)
    assert len(bomb) < limit
    answer = door.post(bomb, LINES | {"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "too-large")


@pytest.mark.parametrize("door", [{"max_event_bytes": 1000}], indirect=True)
def test_an_event_too_large(door: Door) -> None:
    """The limit of one event is 413 for it alone; among others it is refused alone."""
    large = event(source="x" * 1000)
    assert door.post(large, LINES).status_code == 413
    answer = door.post(large + b"\n" + event(), LINES)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [refusal["reason"] for refusal in answer.json()["rejected"]] == ["too-large"]


@pytest.mark.parametrize("door", [{"max_event_bytes": 3_000_000}], indirect=True)
def test_a_larger_limit_of_events_is_one_of_bodies_too(door: Door) -> None:
    """Whoever allows events of 3 MB can send one."""
    assert door.post(event(source="x" * 2_000_000), LINES).status_code == 202


def test_gzip(door: Door) -> None:
    """gzip bodies are taken, in several members too; broken or cut ones are 400, other encodings 415."""
    packed = LINES | {"Content-Encoding": "gzip"}
    two = gzip.compress(event() + b"\n") + gzip.compress(event())
    assert door.post(two, packed).json()["accepted"] == 2
    assert door.post(two[:-9], packed).json()["reason"] == "bad-gzip"
    assert door.post(b"no gzip", packed).status_code == 400
    assert door.post(event(), LINES | {"Content-Encoding": "br"}).status_code == 415


@pytest.mark.parametrize("media", ["", "text/html", "application/cloudevents+avro", "multipart/form-data"])
def test_unknown_media_type(door: Door, media: str) -> None:
    """What is neither CloudEvents nor JSON is 415."""
    assert door.post(event(), {"Content-Type": media} if media else {}).status_code == 415


@pytest.mark.parametrize(
    ("failure", "status", "after"), [(BrokerGone("gone"), 503, "5"), (QueueFull("full"), 429, "1")]
)
def test_kafka_does_not_take_it(door: Door, failure: Exception, status: int, after: str) -> None:
    """Without acknowledgement there is no 202, but the word to come again."""
    door.writer.failure = failure
    answer = door.post(event(), LINES)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["accepted"]) == (status, after, 0)
    name = "fengsui_gateway_events_accepted_total"
    assert door.registry.get_sample_value(name, {"gateway": "http", "kind": "iot"}) is None


def test_an_error_of_ours_is_no_traceback(door: Door) -> None:
    """An unforeseen failure is a 500 that tells nothing of the inside."""
    door.writer.failure = RuntimeError("secret")
    answer = door.post(event(), LINES)
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize("door", [{"tokens": ("one", "two")}], indirect=True)
def test_tokens(door: Door) -> None:
    """With tokens given, events need one of them; health and metrics do not."""
    assert door.post(event(), LINES).status_code == 401
    assert door.post(event(), LINES | {"Authorization": "Bearer three"}).status_code == 401
    assert door.post(event(), LINES | {"Authorization": "Basic two"}).status_code == 401
    assert door.post(event(), LINES | {"Authorization": "bearer two"}).status_code == 202
    assert door.client.get("/healthz").status_code == 200


def test_health_readiness_metrics(door: Door) -> None:
    """/readyz follows the broker; /metrics counts what was taken."""
    door.writer.up = False
    assert door.client.get("/readyz").status_code == 503
    door.post(event(), LINES)
    text = door.client.get("/metrics").text
    assert 'fengsui_gateway_events_accepted_total{gateway="http",kind="iot"} 1.0' in text
    assert 'fengsui_gateway_request_seconds_count{gateway="http",status="202"} 1.0' in text
    assert "fengsui_gateway_body_bytes_sum" in text


@pytest.mark.parametrize("door", [{"limits": Limits(body_seconds=0.3), "head_seconds": 0.3}], indirect=True)
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 408"),
        (b"POST /v1/events HTTP/1.1\r\nHo", b""),
        (b"", b""),
    ],
)
def test_slow_senders(door: Door, sent: bytes, answer: bytes) -> None:
    """A body, a head or a first byte that does not come ends the connection in time."""

    async def slow() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    began = time.monotonic()
    assert asyncio.run(slow())[:12] == answer
    assert time.monotonic() - began < 8


def test_ten_thousand_headers(door: Door) -> None:
    """A head larger than 64 KiB is refused, and the door goes on."""
    many = LINES | {f"x-{i}": "y" * 10 for i in range(10_000)}
    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):  # it may hang up first
        assert door.post(event(), many).status_code == 400
    assert door.post(event(), LINES).status_code == 202


def taken(door: Door, source: str) -> socket.socket | None:
    """A connection from an address, which has been answered once; None where it was ended instead."""
    line = socket.create_connection(("127.0.0.1", door.server.port), 20, (source, 0))
    try:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        if line.recv(100).startswith(b"HTTP/1.1 200"):
            return line
    except OSError:  # ended before we had written
        pass
    line.close()
    return None


@pytest.mark.parametrize("door", [{"connections": 4, "connections_per_source": 2}], indirect=True)
def test_no_more_connections_than_there_may_be(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all and from one address; those over it are ended at once and counted; this machine's own are always taken."""
    monkeypatch.setattr(server_module, "is_local", lambda source, _own: source == "127.0.0.9")
    with contextlib.ExitStack() as stack:
        lines = [taken(door, f"127.0.0.{number}") for number in (1, 1, 1, 2, 2, 3, 9, 9)]
        for line in filter(None, lines):
            stack.callback(line.close)
        assert [line is not None for line in lines] == [True, True, False, True, True, False, True, True]
        ended = "fengsui_gateway_connections_ended_total"
        for reason in ("too-many-of-source", "too-many-connections"):
            assert door.registry.get_sample_value(ended, {"gateway": "http", "reason": reason}) == 1
        assert lines[0] is not None
        lines[0].close()
        again: list[socket.socket | None] = []
        wait_until(lambda: bool(again.append(taken(door, "127.0.0.3")) or again[-1]), 10, "room for another")
        for line in filter(None, again):
            stack.callback(line.close)


def test_idle_connections_are_in_nobodys_way(door: Door) -> None:
    """Six hundred cameras that keep their connections: health and events are answered as ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", door.server.port), 20))
        assert door.client.get("/healthz").status_code == 200
        assert door.post(event(), LINES).status_code == 202


def test_server_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(server_module).failed == 0
