"""HTTP intake on a real broker: 202 means it is there for every reader, bad input is named and kept, outages told."""

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from connectors.http import HttpConfig, RunningServer, serving
from connectors.metrics import GatewayMetrics
from connectors.producing import EventWriter
from fengsui.embedded.kafka import KafkaService
from fengsui.settings import Settings
from tests.acceptance.gateway_helpers import make_topics, read, records
from topics.keys import partition_of
from topics.wire import decode

pytestmark = pytest.mark.broker

LINES = {"Content-Type": "application/x-ndjson"}


def event(number: int = 0, **changes: Any) -> bytes:
    now = time.time_ns() // 1_000_000
    fields = {
        "event_id": f"e{number}",
        "kind": "iot",
        "sector": "food-drug",
        "subject": f"licence:{number % 7}",
        "occurred_at": now,
        "observed_at": now,
        "source": "acceptance",
        "device_id": f"d{number % 7}",
        "metric": "cold_store_temp",
        "value": number / 2,
    }
    return json.dumps(fields | changes).encode()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def door(settings: Settings, registry: CollectorRegistry) -> Iterator[RunningServer]:
    """A door onto topics of the test's own, with an acknowledgement limit of 3 s."""
    make_topics(settings)
    metrics = GatewayMetrics(registry)
    writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix, ack_seconds=3, metrics=metrics)
    with serving(HttpConfig(writer, metrics=metrics, registry=registry)) as server:
        yield server
    assert writer.close() == 0


@pytest.fixture
def client(door: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=door.url, timeout=60) as made:
        yield made


def post(client: httpx.Client, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.post("/v1/events", content=body, headers=headers or LINES)


def test_202_means_every_reader_sees_it(client: httpx.Client, settings: Settings) -> None:
    """At the moment of the 202 the events are on their subjects' partitions, in order, as Avro."""
    answer = post(client, b"\n".join(event(number) for number in range(1000)))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1000, "rejected": []})
    messages = read(settings, "events.iot")
    assert len(messages) == 1000
    for message in messages:
        assert message.partition() == partition_of(message.key(), settings.partitions)
    for subject in range(7):
        values = [decode(m.value())[1]["value"] for m in messages if m.key() == f"licence:{subject}".encode()]
        assert values == [number / 2 for number in range(subject, 1000, 7)]


BAD: list[tuple[bytes, str]] = [
    (event(1)[:40], "bad-json"),
    (event(1).replace(b"acceptance", b"\xff\xfe"), "bad-utf8"),
    (event(1, kind="gossip"), "unknown-kind"),
    (event(1, subject="uscc:91350100M000100Y44"), "bad-uscc"),
    (event(1, subject="91350100M000100Y43"), "bad-subject"),
    (event(1, sector="alchemy"), "unknown-sector"),
    (event(1, region="350199x"), "bad-region"),
    (event(1, occurred_at=1), "time-too-old"),
    (event(1, occurred_at=4_102_444_800_000), "time-in-future"),
    (event(1, occurred_at="yesterday"), "bad-time"),
    (event(1, value="warm"), "bad-type"),
    (event(1, device_id=None), "missing-field"),
    (event(1).replace(b"0.5", b"NaN"), "bad-json"),
    (event(1).replace(b"0.5", b"Infinity"), "bad-json"),
    (event(1).replace(b"0.5", b"1e999"), "bad-json"),
    (event(1).replace(b"0.5", b"9" * 10_000), "bad-json"),
    (event(1).replace(b'"e1"', b'"\\udfff"'), "bad-json"),
    (b"[" * 100_000, "bad-json"),
    (b"null", "bad-json"),
]


def test_each_bad_input_is_named_kept_and_counted(
    client: httpx.Client, settings: Settings, registry: CollectorRegistry
) -> None:
    """Between good events, each bad one is answered by index, kept with its raw bytes, and counted; the good go on."""
    body = b"\n".join(line for number, (bad, _) in enumerate(BAD) for line in (event(number), bad))
    answer = post(client, body)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == len(BAD)
    found = [(one["index"], one["reason"]) for one in answer.json()["rejected"]]
    assert found == [(2 * number + 1, reason) for number, (_, reason) in enumerate(BAD)]
    assert all(one["zh"] for one in answer.json()["rejected"])
    letters = records(settings, "rejected")
    assert sorted((r["reason"], r["value"]) for r in letters) == sorted((reason, bad) for bad, reason in BAD)
    assert len(records(settings, "events.iot")) == len(BAD)
    for reason in {reason for _, reason in BAD}:
        counted = registry.get_sample_value(
            "fengsui_gateway_events_rejected_total", {"gateway": "http", "reason": reason}
        )
        assert counted == sum(reason == other for _, other in BAD)


def test_whole_bodies_that_are_refused(client: httpx.Client, settings: Settings) -> None:
    """Too large, a bomb, unreadable, of an unknown type: answered, and nothing is written."""
    assert post(client, b" " * 2_000_000).status_code == 413
    bomb = gzip.compress(b" " * 64_000_000)
    assert post(client, bomb, LINES | {"Content-Encoding": "gzip"}).status_code == 413
    assert post(client, event()[:50]).status_code == 400
    assert post(client, event(), {"Content-Type": "text/csv"}).status_code == 415
    assert records(settings, "events.iot") == []
    assert records(settings, "rejected") == []


def test_cloudevents_arrive(client: httpx.Client, settings: Settings) -> None:
    """The three modes put the same event on its topic."""
    data = json.loads(event())
    for name in ("event_id", "subject", "source", "kind"):
        del data[name]
    about = {"specversion": "1.0", "id": "c", "source": "/gate", "type": "fengsui.iot", "subject": "licence:5"}
    one = json.dumps(about | {"data": data}).encode()
    headers = {f"ce-{name}": value for name, value in about.items()} | {"Content-Type": "application/json"}
    assert post(client, json.dumps(data).encode(), headers).status_code == 202
    assert post(client, one, {"Content-Type": "application/cloudevents+json"}).status_code == 202
    assert post(client, b"[" + one + b"]", {"Content-Type": "application/cloudevents-batch+json"}).status_code == 202
    first, second, third = records(settings, "events.iot")
    assert first == second == third
    assert (first["event_id"], first["subject"], first["source"]) == ("c", "licence:5", "/gate")


def test_many_senders_at_once(door: RunningServer, settings: Settings) -> None:
    """Requests in parallel lose nothing and mix nothing up."""

    async def all_at_once() -> list[int]:
        async with httpx.AsyncClient(base_url=door.url, timeout=60) as client:
            bodies = [b"\n".join(event(1000 * i + n) for n in range(50)) for i in range(40)]
            answers = await asyncio.gather(*(client.post("/v1/events", content=b, headers=LINES) for b in bodies))
            return [answer.status_code for answer in answers]

    assert asyncio.run(all_at_once()) == [202] * 40
    ids = [record["event_id"] for record in records(settings, "events.iot")]
    assert sorted(ids) == sorted(f"e{1000 * i + n}" for i in range(40) for n in range(50))


def test_a_broker_that_stops_and_comes_back(
    client: httpx.Client, settings: Settings, broker: KafkaService, registry: CollectorRegistry
) -> None:
    """While the broker is gone events are answered 503, never 202; after its restart they are taken as before."""
    assert post(client, event(1)).status_code == 202
    assert client.get("/readyz").status_code == 200
    broker.stop()
    try:
        answer = post(client, event(2))
        assert (answer.status_code, answer.json()["accepted"]) == (503, 0)
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    finally:
        broker.restart()
    deadline = time.monotonic() + 60
    while post(client, event(3)).status_code != 202:
        assert time.monotonic() < deadline
    ids = [record["event_id"] for record in records(settings, "events.iot")]
    assert ids.count("e1") == 1
    assert "e3" in ids
    assert (registry.get_sample_value("fengsui_producer_broker_waits_total") or 0) >= 1
    assert client.get("/readyz").status_code == 200
