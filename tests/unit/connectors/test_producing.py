"""The producer front without a broker: what waits is bounded, what is not acknowledged is told."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone, EventWriter, QueueFull, dead_letter, producer_config
from fengsui.embedded.ports import free_ports
from topics.catalogue import EVENT_BYTES
from topics.events import KINDS
from topics.wire import decode

IOT = KINDS["iot"]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def writer(registry: CollectorRegistry) -> Iterator[EventWriter]:
    """A writer whose broker is not there."""
    (port,) = free_ports(1)
    client = {"bootstrap.servers": f"127.0.0.1:{port}"}
    made = EventWriter(client, prefix="t.", ack_seconds=1.5, queue_records=10, metrics=GatewayMetrics(registry))
    yield made
    made.close(0)


def test_the_configuration_that_promises_rest_on() -> None:
    """Acknowledged by all, in order, partitioned as every other client does, and the caller's security kept."""
    config = producer_config({"bootstrap.servers": "h:1", "security.protocol": "SSL"}, 5)
    assert (config["acks"], config["enable.idempotence"], config["partitioner"]) == ("all", True, "murmur2_random")
    assert (config["security.protocol"], config["message.timeout.ms"]) == ("SSL", 5000)


def test_without_a_broker_the_writer_says_so(writer: EventWriter, registry: CollectorRegistry) -> None:
    """A write waits, is counted as waiting, and ends as BrokerGone within the limit; the room is free again."""
    began = time.monotonic()
    with pytest.raises(BrokerGone):
        asyncio.run(writer.write(IOT, [(b"k", b"v")] * 10))
    assert 1.0 < time.monotonic() - began < 10
    assert registry.get_sample_value("fengsui_producer_broker_waits_total") == 1
    assert registry.get_sample_value("fengsui_producer_records_failed_total") == 10
    assert registry.get_sample_value("fengsui_producer_queue_records") == 0
    assert not writer.ready(0.1)


def test_the_queue_is_bounded(writer: EventWriter) -> None:
    """What does not fit waits for room, and is told QueueFull when none comes; nothing of it is kept."""
    first = writer.submit(IOT.topic, [(b"k", b"v")] * 8)
    with pytest.raises(QueueFull):
        writer.submit(IOT.topic, [(b"k", b"v")] * 3)
    with pytest.raises(QueueFull):
        asyncio.run(writer.write(IOT, [(b"k", b"v")] * 3, wait_seconds=0.05))
    later = writer.submit(IOT.topic, [(b"k", b"v")] * 3, wait_seconds=20)
    assert isinstance(first.exception(0), BrokerGone)  # its room is what the second one waited for
    assert isinstance(later.exception(20), BrokerGone)


def test_a_batch_larger_than_the_queue(writer: EventWriter) -> None:
    """It is taken when nothing else waits: better than never."""
    assert isinstance(writer.submit(IOT.topic, [(b"k", b"v")] * 11).exception(20), BrokerGone)


def test_nothing_to_write(writer: EventWriter) -> None:
    """An empty batch is acknowledged at once."""
    assert writer.submit(IOT.topic, []).result(0) == 0


def test_closing_tells_what_was_left(registry: CollectorRegistry) -> None:
    """Records that were never acknowledged are counted at the end, and their futures are settled."""
    (port,) = free_ports(1)
    client = {"bootstrap.servers": f"127.0.0.1:{port}"}
    writer = EventWriter(client, prefix="t.", ack_seconds=60, metrics=GatewayMetrics(registry))
    future = writer.submit(IOT.topic, [(b"k", b"v")] * 4)
    assert writer.close(0) == 4
    assert isinstance(future.exception(0), BrokerGone)


def test_a_dead_letter() -> None:
    """It carries reason, stage and raw bytes, and fits the topic however long the raw bytes are."""
    name, record = decode(dead_letter("too-large", "x" * 10_000, "gateway-file", b"\xff" * 6_000_000, at=7))
    assert (name, record["reason"], record["stage"], record["rejected_at"]) == (
        "Rejected",
        "too-large",
        "gateway-file",
        7,
    )
    assert len(record["value"]) + len(record["detail"]) < EVENT_BYTES + 2_000
    assert (record["topic"], record["partition"], record["offset"]) == ("", -1, -1)
