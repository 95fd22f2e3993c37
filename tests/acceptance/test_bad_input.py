"""Bad input through the real broker: nothing lost, nothing stops, each named and counted."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from fengsui.settings import Settings
from tests.acceptance.house import House, open_house, reading, subject
from tests.acceptance.rules import HOT
from tests.unit.streams.test_intake import BAD
from topics.events import KINDS
from topics.wire import encode

pytestmark = pytest.mark.broker


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """One worker with one rule."""
    with open_house(settings, [HOT]) as running:
        yield running


def test_every_fault_is_dead_lettered_and_the_stream_goes_on(house: House) -> None:
    """Each bad record stands in `rejected` once, with its reason, place and raw bytes; good neighbours raise their clues;
    the metric counts the same."""
    good = [reading(i, 60.0) for i in range(len(BAD))]
    for event, (_, value) in zip(good, BAD, strict=True):
        key = event["subject"].encode()
        house.put("events.iot", key, encode(KINDS["iot"].schema, event))
        house.put("events.iot", key, value)
    house.flush()
    house.settle()
    letters = house.records("rejected")
    assert Counter(x["reason"] for x in letters) == Counter(reason for reason, _ in BAD)
    assert {x["value"] for x in letters} == {value for _, value in BAD}
    assert {x["topic"] for x in letters} == {"events.iot"}
    clues = [json.loads(c["evidence"])[0]["event_id"] for c in house.records("clues") if c["origin_id"] == "test-hot"]
    assert sorted(clues) == sorted(e["event_id"] for e in good)
    page = httpx.get(house.crew.wait_ready()[0] + "/metrics", timeout=10).text
    for reason, n in Counter(reason for reason, _ in BAD).items():
        assert f'fengsui_rejected_total{{reason="{reason}",stage="intake"}} {float(n)}' in page


@pytest.mark.parametrize("codec", ["lz4", "zstd", "snappy", "gzip"])
def test_compressed_batches_are_taken(house: House, codec: str) -> None:
    """A gateway's compression does not stop a worker."""
    settings = house.settings
    producer = Producer(
        settings.kafka_client() | {"compression.type": codec, "linger.ms": 50, "partitioner": "murmur2_random"}
    )
    events = [reading(i, 60.0, source=codec) for i in range(50)]
    for event in events:
        value = encode(KINDS["iot"].schema, event)
        producer.produce(settings.topic_prefix + "events.iot", value, event["subject"].encode())
    assert producer.flush(30) == 0
    house.settle()
    assert len([c for c in house.records("clues") if c["origin_id"] == "test-hot"]) == len(events)


def test_repeated_ids_are_dropped_and_counted(house: House) -> None:
    """The same event sent three times, in Avro and JSON, raises one clue; two repeats are counted."""
    event = reading(1, 60.0)
    house.send([event, event])
    house.put("events.iot", event["subject"].encode(), json.dumps(event).encode())
    house.flush()
    house.settle()
    assert len(house.records("clues")) == 1
    page = httpx.get(house.crew.wait_ready()[0] + "/metrics", timeout=10).text
    assert 'fengsui_duplicates_total{kind="iot"} 2.0' in page


def test_an_event_on_a_foreign_partition_is_judged_with_its_subject(house: House) -> None:
    """A producer that ignores the key's partition is mended: the event is sent on, judged once."""
    event = reading(7, 60.0, subject=subject(7))
    value = encode(KINDS["iot"].schema, event)
    for partition in range(house.settings.partitions):
        house.put("events.iot", None, value, partition=partition)
    house.flush()
    house.settle()
    assert len(house.records("clues")) == 1


def test_a_claim_of_an_unknown_clue_and_a_broken_command_are_answered(house: House) -> None:
    """An unknown clue is answered with its reason; bytes that are no command go to the dead letters."""
    from connectors.view import DeskClient, command

    settings = house.settings
    house.put("commands", b"x", b"not a command")
    house.flush()
    with DeskClient(
        settings.kafka_client(), prefix=settings.topic_prefix, redis_url=settings.redis_url.get_secret_value()
    ) as desk:
        answer: dict[str, Any] = desk.post(command("claim", "no-such-clue", actor="li", department="fire-rescue"), 30)
    assert (answer["accepted"], answer["reason"]) == (False, "unknown-clue")
    house.settle()
    assert [(x["reason"], x["value"]) for x in house.records("rejected")] == [("bad-command", b"not a command")]


class _BadName(str):
    """A header name that is not UTF-8 on the wire."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


async def _send_with_bad_header(house: House, before: bytes, odd: bytes, after: bytes, key: bytes) -> None:
    from aiokafka import AIOKafkaProducer

    topic = house.settings.topic_prefix + "events.iot"
    async with AIOKafkaProducer(bootstrap_servers=house.settings.kafka, linger_ms=200) as producer:
        sends = [
            await producer.send(topic, before, key),
            await producer.send(topic, odd, key, headers=[(_BadName("x"), b"1")]),
            await producer.send(topic, after, key),
        ]
        for sent in sends:
            await sent


def test_a_header_name_that_is_not_utf8_does_not_stop_its_partition(house: House) -> None:
    """aiokafka raises for ever at such a record; the events before, at and after it are judged all the same, and those of
    other partitions too."""
    events = [reading(3, 60.0) for _ in range(3)]
    before, odd, after = (encode(KINDS["iot"].schema, event) for event in events)
    asyncio.run(_send_with_bad_header(house, before, odd, after, events[0]["subject"].encode()))
    others = [reading(i, 60.0) for i in range(20)]
    house.send(others)
    house.settle()
    clues = [json.loads(c["evidence"])[0]["event_id"] for c in house.records("clues")]
    assert sorted(clues) == sorted(e["event_id"] for e in [*events, *others])
