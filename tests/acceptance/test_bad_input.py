"""Bad input through the real broker: nothing lost, nothing stops, each named and counted."""

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from fengsui.embedded import KafkaService, ValkeyService
from fengsui.settings import Settings
from tests.acceptance.house import House, open_house, reading, subject
from tests.acceptance.rules import HOT
from tests.unit.streams.test_intake import BAD
from topics.events import KINDS
from topics.wire import encode

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def house(broker: KafkaService, valkey: ValkeyService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One worker with one rule, for all tests here: each looks at its own events only."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    settings = Settings(
        kafka=broker.bootstrap,
        redis_url=SecretStr(valkey.url),
        topic_prefix=prefix,
        group=f"{prefix}fengsui",
        data_dir=tmp_path_factory.mktemp("house"),
    )
    with open_house(settings, [HOT]) as running:
        yield running


def raised_for(house: House, events: Sequence[dict[str, Any]]) -> list[str]:
    """Ids of those events that clues were raised for, once a clue."""
    ids = {event["event_id"] for event in events}
    found = [json.loads(clue["evidence"])[0]["event_id"] for clue in house.records("clues")]
    return sorted(i for i in found if i in ids)


def ids_of(events: Sequence[dict[str, Any]]) -> list[str]:
    """Their ids, sorted."""
    return sorted(event["event_id"] for event in events)


def metric(house: House, line: str) -> float:
    """The value of a metric's line now; 0.0 when it is not there yet."""
    page = httpx.get(house.crew.wait_ready()[0] + "/metrics", timeout=10).text
    values = [float(row.removeprefix(line)) for row in page.splitlines() if row.startswith(line)]
    return values[0] if values else 0.0


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
    assert raised_for(house, good) == ids_of(good)
    for reason, n in Counter(reason for reason, _ in BAD).items():
        assert metric(house, f'fengsui_rejected_total{{reason="{reason}",stage="intake"}} ') == n


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
    assert raised_for(house, events) == ids_of(events)


def test_repeated_ids_are_dropped_and_counted(house: House) -> None:
    """The same event sent three times, in Avro and JSON, raises one clue; two repeats are counted."""
    event = reading(1, 60.0)
    before = metric(house, 'fengsui_duplicates_total{kind="iot"} ')
    house.send([event, event])
    house.put("events.iot", event["subject"].encode(), json.dumps(event).encode())
    house.flush()
    house.settle()
    assert raised_for(house, [event]) == [event["event_id"]]
    assert metric(house, 'fengsui_duplicates_total{kind="iot"} ') == before + 2


def test_an_event_on_a_foreign_partition_is_judged_with_its_subject(house: House) -> None:
    """A producer that ignores the key's partition is mended: the event is sent on, judged once."""
    event = reading(7, 60.0, subject=subject(7))
    value = encode(KINDS["iot"].schema, event)
    before = metric(house, 'fengsui_rerouted_total{kind="iot"} ')
    for partition in range(house.settings.partitions):
        house.put("events.iot", None, value, partition=partition)
    house.flush()
    house.settle()
    assert raised_for(house, [event]) == [event["event_id"]]
    assert metric(house, 'fengsui_rerouted_total{kind="iot"} ') == before + house.settings.partitions - 1


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
    letters = [x for x in house.records("rejected") if x["topic"] == "commands"]
    assert [(x["reason"], x["value"]) for x in letters] == [("bad-command", b"not a command")]


_ODD_HEADER = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Bad(str):
    def encode(self, *_):
        return bytes([255, 254])

async def go(server, topic, key, *values):
    async with AIOKafkaProducer(bootstrap_servers=server, linger_ms=300) as producer:
        headers = [None, [(Bad("x"), b"1")], None]
        sends = [await producer.send(topic, bytes.fromhex(v), key.encode(), headers=h) for v, h in zip(values, headers)]
        await asyncio.gather(*sends)

asyncio.run(go(*sys.argv[1:]))
"""


def test_a_header_name_that_is_not_utf8_does_not_stop_its_partition(house: House) -> None:
    """aiokafka raises for ever at such a record; the events before, at and after it are judged all the same, and those of
    other partitions too."""
    events = [reading(3, 60.0) for _ in range(3)]
    values = [encode(KINDS["iot"].schema, event).hex() for event in events]
    topic, key = house.settings.topic_prefix + "events.iot", events[0]["subject"]
    pure = dict(os.environ) | {"AIOKAFKA_NO_EXTENSIONS": "1"}  # aiokafka's C code would refuse to write it
    subprocess.run([sys.executable, "-c", _ODD_HEADER, house.settings.kafka, topic, key, *values], env=pure, check=True)
    others = [reading(i, 60.0) for i in range(20)]
    house.send(others)
    house.settle()
    assert raised_for(house, [*events, *others]) == ids_of([*events, *others])
