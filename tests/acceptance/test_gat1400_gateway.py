"""GA/T 1400 on a real broker: registered by Digest, answered once Kafka has it, each event once over kill -9, parked, folded."""

import asyncio
import signal
import time
from typing import Any

import httpx
import pytest

from connectors.gateway.pictures import Pictures
from connectors.simulate.gat1400 import Camera, CameraError, picture
from fengsui.settings import Settings
from tests.acceptance.device_helpers import Gateway, gateway, make_topics, register, until
from tests.acceptance.gateway_helpers import records

pytestmark = pytest.mark.broker
CAMERA, OTHER = "33020300001190000001", "33020300001190000002"
PASSWORD = "secret"  # noqa: S105 - of a device that exists here only


def now() -> int:
    return time.time_ns() // 1_000_000_000 * 1000


def enrol(settings: Settings, identity: str = CAMERA, **more: Any) -> None:
    register(settings, f"gat1400:{identity}", **({"sector": "food-drug", "password": PASSWORD} | more))


def played(door: Gateway, *objects: dict[str, Any], kind: str = "Image", identity: str = CAMERA) -> list[str]:
    """Upload as a camera of its own that registers when it is told to."""

    async def play() -> list[str]:
        async with Camera(door.url, identity, PASSWORD) as camera:
            return await camera.upload(objects, kind)

    return asyncio.run(play())


def test_answered_when_every_reader_sees_it(settings: Settings) -> None:
    """StatusCode 0 comes after the event is there, with its picture on the disk under its hash."""
    make_topics(settings)
    enrol(settings, device_id="kitchen-1", labels={"604": "no_mask"})
    camera = Camera("", CAMERA)
    at = now() - 5000
    with gateway(settings) as door:
        shot = picture("kitchen")
        assert played(door, camera.finding("后厨 未戴厨师帽", at, shot=shot, Confidence="0.93")) == ["0"]
        (event,) = records(settings, "events.video")
        assert played(door, camera.person(at + 1000, EventSort=604), kind="Person") == ["0"]
        assert sorted(one["label"] for one in records(settings, "events.video")) == ["no_hat", "no_mask"]
        page = httpx.get(f"{door.url}/metrics").text
        assert 'fengsui_gateway_events_accepted_total{gateway="gat1400",kind="video"} 2.0' in page
        assert "fengsui_gateway_sessions 1.0" in page
    wanted = {
        "subject": f"site:{CAMERA}", "sector": "food-drug", "device_id": "kitchen-1", "label": "no_hat", "confidence": 0.93,
        "occurred_at": at, "observed_at": at, "source": "gat1400",
    }  # fmt: skip
    assert wanted.items() <= event.items()
    assert event["picture"] == f"sha256:{event['sha256']}.jpg"
    pictures = Pictures(settings.pictures_dir)
    path = pictures.find(event["picture"])
    assert path is not None
    assert path.read_bytes() == shot
    assert pictures.intact(event["sha256"])


def test_proof_is_asked_for(settings: Settings) -> None:
    """A wrong password opens no session, nor does an unknown device; without a session nothing is taken."""
    make_topics(settings)
    enrol(settings)
    with gateway(settings) as door:

        async def play() -> None:
            for identity, password in ((CAMERA, "wrong"), (OTHER, PASSWORD)):
                async with Camera(door.url, identity, password) as camera:
                    with pytest.raises(CameraError):
                        await camera.register()
                    assert not await camera.keepalive()
            async with Camera(door.url, CAMERA, PASSWORD) as camera:
                await camera.register()
                assert await camera.keepalive()
                assert abs(time.mktime(time.strptime(await camera.time(), "%Y%m%d%H%M%S")) - time.time()) < 2 * 86_400
                await camera.unregister()
                assert not await camera.keepalive()

        asyncio.run(play())
        assert records(settings, "events.video") == []


def test_each_event_once_over_kill_9(settings: Settings) -> None:
    """A camera uploads on and on while the gateway is killed and started again: everything is answered, each event once."""
    make_topics(settings)
    enrol(settings, episode_seconds=1)
    count, start = 40, now() - 600_000

    async def play(door: Gateway) -> int:
        async with Camera(door.url, CAMERA, PASSWORD) as camera:

            async def upload() -> None:
                for number in range(0, count, 2):
                    objects = [camera.finding("老鼠", start + 5000 * one) for one in (number, number + 1)]
                    assert await camera.upload(objects) == ["0", "0"]

            task = asyncio.create_task(upload())
            for done in (6, 20):
                while camera.acknowledged < done:
                    await asyncio.sleep(0.005)
                    assert not task.done()
                await asyncio.to_thread(door.kill)
                await asyncio.to_thread(door.start)
            await task
            assert camera.acknowledged == count
            return camera.resent

    with gateway(settings) as door:
        assert asyncio.run(play(door)) >= 2
    events = records(settings, "events.video")
    assert sorted(event["occurred_at"] for event in events) == [start + 5000 * number for number in range(count)]
    pictures = Pictures(settings.pictures_dir)
    assert all(pictures.intact(event["sha256"]) for event in events)


def test_unknown_devices_are_parked_and_replayed(settings: Settings) -> None:
    """With their pictures, in order, each once; nothing of it lies on the disk before the device is registered."""
    make_topics(settings)
    camera = Camera("", CAMERA)
    start = now() - 3_600_000
    with gateway(settings) as door:
        objects = [camera.finding("吸烟", start + 120_000 * number) for number in range(10)]
        assert played(door, *objects) == ["0"] * 10
        assert records(settings, "events.video") == []
        assert len(records(settings, "parking")) == 10
        assert not list(settings.pictures_dir.rglob("*.jpg"))
        enrol(settings)
        until(lambda: len(records(settings, "events.video")) == 10)
        until(lambda: len(records(settings, "parking")) == 11)
        events = records(settings, "events.video")
        assert [event["occurred_at"] for event in events] == [start + 120_000 * number for number in range(10)]
        pictures = Pictures(settings.pictures_dir)
        assert all(pictures.intact(event["sha256"]) for event in events)
        assert played(door, *objects) == ["0"] * 10  # registered now, the camera sends all of it again
        assert len(records(settings, "events.video")) == 10


def test_frames_fold_into_episodes_over_kill_9(settings: Settings) -> None:
    """Frames within a minute of an event of their device and label are answered, not written: also after kill -9, also late."""
    make_topics(settings)
    enrol(settings)
    camera = Camera("", CAMERA)
    start = now() - 600_000
    with gateway(settings) as door:
        frames = [camera.finding("明火", start + 5000 * number) for number in range(24)]
        assert played(door, *frames[:6]) == ["0"] * 6
        door.kill(signal.SIGKILL)
        door.start()
        assert played(door, *frames[6:12], *frames[3:9]) == ["0"] * 12
        assert len(records(settings, "events.video")) == 1
        assert "fengsui_gateway_frames_folded_total 9.0" in httpx.get(f"{door.url}/metrics").text
        assert played(door, *frames[12:], camera.finding("烟雾", start)) == ["0"] * 13
        events = records(settings, "events.video")
    found = sorted((event["label"], event["occurred_at"] - start) for event in events)
    assert found == [("fire", 0), ("fire", 60_000), ("smoke", 0)]
