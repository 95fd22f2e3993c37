"""MQTT through a real mosquitto and a real Kafka: acknowledged once Kafka has it, each message an event once, whoever dies."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from connectors.simulate.mqtt import Publisher, Sent, publish_all, reading, readings, sensors
from fengsui.embedded.kafka import KafkaService
from fengsui.settings import Settings
from tests.acceptance.device_helpers import Gateway, gateway, make_topics, register, until
from tests.acceptance.gateway_helpers import records
from tests.acceptance.mosquitto_helpers import Mosquitto, certificate, mosquitto

pytestmark = pytest.mark.broker
NAMES = [f"s{i}" for i in range(8)]


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def mq(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "mosquitto", {name: f"pw-{name}" for name in NAMES}) as broker:
        yield broker


def send(mq: Mosquitto, messages: Iterable[Sent], user: str = "s0", *, retain: bool = False) -> int:
    address = mq.address(user, f"pw-{user}")
    return asyncio.run(publish_all(address, messages, clients=1, name=f"of-{user}", retain=retain))


def send_each(mq: Mosquitto, messages: Iterable[Sent]) -> int:
    """Each device through a client and a user of its own."""

    async def all_of() -> int:
        by_name: dict[str, list[Sent]] = {}
        for topic, payload in messages:
            by_name.setdefault(topic.split("/")[1], []).append((topic, payload))
        work = [
            publish_all(mq.address(name, f"pw-{name}"), part, clients=1, name=f"of-{name}")
            for name, part in by_name.items()
        ]
        return sum(await asyncio.gather(*work))

    return asyncio.run(all_of())


def metric(door: Gateway, name: str) -> float:
    """A sample of the gateway's page by name and labels; 0 where it is not there."""
    page = httpx.get(f"{door.url}/metrics", timeout=10).text
    return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f"{name} ")), 0.0)


def connected(door: Gateway) -> None:
    until(lambda: metric(door, "fengsui_mqtt_connected") == 1)


def once(settings: Settings, count: int) -> list[dict[str, object]]:
    """The readings, when there are that many of them; none is there twice."""
    found = until(lambda: (now := records(settings, "events.iot")) and len(now) >= count and now, 60)
    assert len(found) == count
    assert max(Counter(event["event_id"] for event in found).values()) == 1
    return list(found)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_readings_are_events_of_the_register(settings: Settings, mq: Mosquitto, version: str) -> None:
    """Subject, calibration, unit and id come from the register; nothing is left unacknowledged; a user has its own topic only."""
    make_topics(settings)
    register(settings, "mqtt:s0", channels={"cold_store_temp": {"scale": 0.1, "unit": "℃"}}, labels={"mouse": "rat"})
    with gateway(settings, mqtt_url=mq.url, mqtt_version=version) as door:
        connected(door)
        at = now()
        several = msgspec.json.encode({"time": at, "values": {"cold_store_temp": -185, "door": True}})
        seen = msgspec.json.encode([{"label": "mouse", "confidence": 0.9, "time": at}])
        send(mq, [("fengsui/s0/events", several), ("fengsui/s0/events", seen), ("fengsui/s1/events", several)])
        found = {event["metric"]: event for event in once(settings, 2)}
        wanted = {"subject": "site:s0", "sector": "ecology", "value": -18.5, "unit": "℃", "device_id": "mqtt:s0"}
        assert wanted.items() <= found["cold_store_temp"].items()
        assert (found["door"]["value"], found["door"]["occurred_at"]) == (1.0, at)
        (sighting,) = until(lambda: records(settings, "events.video"))
        assert (sighting["label"], sighting["confidence"]) == ("rat", 0.9)
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        assert records(settings, "parking") == []  # s0 may not speak for s1


def test_two_gateways_share_a_subscription(settings: Settings, mq: Mosquitto) -> None:
    """Each takes a part of the messages; each message is an event once; order per sensor holds within a gateway's part."""
    make_topics(settings)
    for name in NAMES:
        register(settings, f"mqtt:{name}")
    other = settings.model_copy(update={"data_dir": settings.data_dir / "other"})
    told = {"mqtt_url": mq.url, "mqtt_group": "kitchens"}
    with gateway(settings, **told) as one, gateway(other, **told) as two:
        connected(one)
        connected(two)
        assert send_each(mq, readings(sensors(8), now() - 400_000, 250)) == 2000
        once(settings, 2000)
        parts = [metric(door, 'fengsui_mqtt_messages_total{outcome="live"}') for door in (one, two)]
        assert sum(parts) == 2000
        assert min(parts) > 500


def test_kill_9_between_receipt_and_acknowledgement(settings: Settings, mq: Mosquitto, broker: KafkaService) -> None:
    """With Kafka away 300 messages wait in the gateway; it is killed; Kafka and it come back: 300 events, each once."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    with gateway(settings, mqtt_url=mq.url) as door:
        connected(door)
        before = now() - 400_000
        send(mq, readings(sensors(1), before, 50))
        once(settings, 50)
        broker.kill()
        send(mq, readings(sensors(1), before + 100_000, 250))
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 250)
        door.kill()
        broker.restart()
        door.start()
        once(settings, 300)
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        assert metric(door, 'fengsui_mqtt_messages_total{outcome="again"}') == 250


def test_what_comes_while_the_gateway_is_away_waits(settings: Settings, mq: Mosquitto) -> None:
    """The broker keeps the session under the same client id, over the gateway's death and its own restart."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    with gateway(settings, mqtt_url=mq.url) as door:
        connected(door)
        door.kill()
        send(mq, readings(sensors(1), now() - 100_000, 60))
        mq.stop()
        mq.start()
        door.start()
        once(settings, 60)


def test_mosquitto_restarted_in_the_middle(settings: Settings, mq: Mosquitto) -> None:
    """Sensors and gateway connect again; what was under way either side goes out again; each message is an event once.

    A subscription of its own: mosquitto 2.0.11 forgets shared ones when it restarts; what comes before we are back is lost.
    """
    make_topics(settings)
    register(settings, "mqtt:s0")
    messages = list(readings(sensors(1), now() - 4_000_000, 3000))

    async def through_a_restart() -> int:
        async with Publisher(mq.address("s0", "pw-s0"), "of-s0") as publisher:
            first = await publisher.publish_all(messages[:1500])
            rest = asyncio.create_task(publisher.publish_all(messages[1500:]))
            await asyncio.to_thread(mq.stop)
            await asyncio.to_thread(mq.start)
            return first + await rest

    with gateway(settings, mqtt_url=mq.url) as door:
        connected(door)
        assert asyncio.run(through_a_restart()) == 3000
        once(settings, 3000)
        assert metric(door, 'fengsui_mqtt_connections_total{outcome="up"}') >= 2


def test_a_storm_of_retained_messages(settings: Settings, mq: Mosquitto) -> None:
    """5,000 old messages at once are 5,000 events; when they come again, to a new session, no event is there twice."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    sensor, at = sensors(1)[0], now() - 6_000_000
    storm = [(f"fengsui/s0/state/{i}", reading(sensor, at + i * 1000)) for i in range(5000)]
    assert send(mq, storm, retain=True) == 5000
    told = {"mqtt_url": mq.url, "mqtt_topics": '["fengsui/+/state/+"]'}
    with gateway(settings, **told) as door:
        once(settings, 5000)
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
    with gateway(settings, **told, mqtt_client_id="another") as door:
        until(lambda: metric(door, 'fengsui_mqtt_messages_total{outcome="retained"}') == 5000)
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        assert metric(door, "fengsui_gateway_events_repeated_total") == 5000
        once(settings, 5000)
    with gateway(settings, **told, mqtt_client_id="third", mqtt_retained="skip", mqtt_version="3.1.1") as door:
        until(lambda: metric(door, 'fengsui_mqtt_messages_total{outcome="skipped"}') == 5000)
        assert metric(door, 'fengsui_mqtt_messages_total{outcome="retained"}') == 0


def test_wrong_payloads_are_dead_letters_and_do_not_come_again(settings: Settings, mq: Mosquitto) -> None:
    """Each has its reason, its bytes, its topic; a part that is good is an event; a new connection brings none of them back."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    at = now()
    wrong = {
        "bad-json": b'{"metric": ',
        "bad-utf8": b'{"metric": "\xff"}',
        "empty-value": b" ",
        "unknown-payload": b'{"temperature": 3}',
        "bad-value": b'{"metric": "t", "value": "3 degrees"}',
        "bad-time": b'{"metric": "t", "value": 3, "time": "yesterday"}',
        "time-in-future": msgspec.json.encode({"metric": "t", "value": 3, "time": at + 86_400_000}),
        "not-your-device": b'{"kind": "iot", "subject": "site:other", "event_id": "1", "metric": "t", "value": 1, '
        b'"occurred_at": %d, "observed_at": %d}' % (at, at),
        "bad-cloudevent": b'{"specversion": "1.0"}',
        "unknown-schema": b"\0\xff\xff\xff\xff",
    }
    mixed = msgspec.json.encode([{"metric": "t", "value": 1.0, "time": at}, {"metric": "u"}])
    with gateway(settings, mqtt_url=mq.url) as door:
        connected(door)
        send(mq, [("fengsui/s0/events", payload) for payload in (*wrong.values(), mixed)])
        letters = until(lambda: len(found := records(settings, "rejected")) == len(wrong) + 1 and found)
        kept = {letter["reason"]: letter["value"] for letter in letters if letter["value"] != mixed}
        assert kept == wrong
        assert all("fengsui/s0/events" in letter["detail"] for letter in letters)
        assert [event["metric"] for event in once(settings, 1)] == ["t"]
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        door.kill()
        door.start()
        connected(door)
        send(mq, [("fengsui/s0/events", reading(sensors(1)[0], at + 1))])
        once(settings, 2)
        assert metric(door, 'fengsui_mqtt_messages_total{outcome="again"}') == 0
        assert len(records(settings, "rejected")) == len(letters)


def test_unknown_devices_are_parked_and_replayed(settings: Settings, mq: Mosquitto) -> None:
    """Parked is kept, and so acknowledged; registered, the device has its events, each once."""
    make_topics(settings)
    with gateway(settings, mqtt_url=mq.url) as door:
        connected(door)
        send(mq, readings(sensors(1), now() - 100_000, 30))
        until(lambda: len(records(settings, "parking")) == 30)
        until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        assert records(settings, "events.iot") == []
        register(settings, "mqtt:s0")
        once(settings, 30)


def test_a_broker_that_is_away_or_refuses_ends_nothing(settings: Settings, mq: Mosquitto) -> None:
    """The gateway starts without it, serves its other doors, and connects once it is there."""
    make_topics(settings)
    mq.stop()
    with gateway(settings, mqtt_url=mq.url) as door:
        until(lambda: metric(door, 'fengsui_mqtt_connections_total{outcome="down"}') > 1)
        assert httpx.get(f"{door.url}/healthz").status_code == 200
        mq.start()
        connected(door)
    with gateway(settings, mqtt_url=f"mqtt://gateway:wrong@127.0.0.1:{mq.port}") as door:
        until(lambda: metric(door, 'fengsui_mqtt_connections_total{outcome="down"}') > 1)
        assert metric(door, "fengsui_mqtt_connected") == 0


def test_a_dry_run_takes_nothing_away(settings: Settings, mq: Mosquitto) -> None:
    """It sees the messages, judges and counts them, and writes nothing; the gateway proper has each of them."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    other = settings.model_copy(update={"data_dir": settings.data_dir / "other"})
    with (
        gateway(settings, mqtt_url=mq.url, mqtt_group="kitchens") as door,
        gateway(other, mqtt_url=mq.url, mqtt_group="kitchens", gateway_dry_run="true") as dry,
    ):
        connected(door)
        connected(dry)
        send(mq, readings(sensors(1), now() - 100_000, 40))
        until(lambda: metric(dry, 'fengsui_gateway_frames_total{gateway="mqtt",outcome="accepted"}') == 40)
        once(settings, 40)


@pytest.mark.parametrize("version", ["5"])
def test_over_tls(settings: Settings, tmp_path: Path, version: str) -> None:
    """A broker whose authority is trusted is taken, thousands of messages come through; another's certificate is refused."""
    make_topics(settings)
    register(settings, "mqtt:s0")
    authority = certificate(tmp_path)
    with mosquitto(tmp_path / "mosquitto", {"s0": "pw-s0"}, tls=tmp_path) as mq:
        with gateway(settings, mqtt_url=mq.tls_url, mqtt_ca_file=str(authority), mqtt_version=version) as door:
            connected(door)
            send(mq, readings(sensors(1), now() - 4_000_000, 3000))
            once(settings, 3000)
            until(lambda: metric(door, "fengsui_mqtt_unacknowledged") == 0)
        with gateway(settings, mqtt_url=mq.tls_url, mqtt_version=version) as door:
            until(lambda: metric(door, 'fengsui_mqtt_connections_total{outcome="down"}') > 1)
            assert metric(door, "fengsui_mqtt_connected") == 0
