"""The door of GA/T 1400 without Kafka: proof by Digest, sessions, whose objects are whose, and what is answered when."""

import asyncio
import doctest
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from connectors.devices.device import parse, sealed
from connectors.devices.registry import Devices
from connectors.gateway.fetching import Fetching
from connectors.gateway.gat1400 import Gat1400
from connectors.gateway.pictures import Pictures
from connectors.gateway.pipe import Pipe
from connectors.http import digest_auth, sessions
from connectors.http.body import Limits
from connectors.http.digest_auth import PROVED, STALE, WRONG, Digest
from connectors.http.viid import Viid, ViidConfig
from connectors.metrics import GatewayMetrics
from connectors.protocols import digest
from connectors.simulate.gat1400 import Camera, CameraError, picture
from topics.wire import decode

PLATFORM, CAMERA, OTHER, STRANGER = (f"3302030000119000000{number}" for number in range(1, 5))
NOW = 1_580_716_000_000
AT = 1_580_715_255_000
PASSWORD = "secret"  # noqa: S105 - of devices that exist here only


class Kafka:
    """Keeps what is written; `open` says whether it takes anything."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, topic: str, pairs: list[tuple[bytes | None, bytes]], _wait: float = 1.0) -> int:
        await self.open.wait()
        self.records.setdefault(topic, []).extend(decode(value)[1] for _, value in pairs)
        return len(pairs)


class Door:
    """The routes on an ASGI transport, and everything behind them."""

    def __init__(self, folder: Path, **more: Any) -> None:
        body = {"subject": "licence:7", "sector": "food-drug", "password": PASSWORD}
        self.devices = Devices()
        for identity, extra in ((PLATFORM, {}), (CAMERA, {}), (OTHER, {"via": [f"gat1400:{PLATFORM}"]})):
            key = f"gat1400:{identity}"
            self.devices.put(key, parse(key, json.dumps(sealed(body | extra, key))))
        self.registry = CollectorRegistry()
        metrics = GatewayMetrics(self.registry)
        self.kafka = Kafka()
        self.pipe = Pipe(self.kafka, self.devices, linger=0, metrics=metrics)  # type: ignore[arg-type]
        self.pictures = Pictures(folder, 10_000, metrics)
        wire = Gat1400(self.pictures, more.pop("fetching", None))
        config = ViidConfig(self.pipe, self.devices, wire, metrics=metrics, clock_ms=lambda: NOW, **more)
        self.app = Starlette(routes=Viid(config).routes())
        self.client = self.at("127.0.0.1")

    def at(self, address: str) -> httpx.AsyncClient:
        """A client with that address."""
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://door")

    def camera(self, identity: str = CAMERA, password: str = PASSWORD, address: str = "127.0.0.1") -> Camera:
        return Camera("http://door", identity, password, client=self.at(address))

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.kafka.records.get("events.video", [])

    @property
    def letters(self) -> list[str]:
        return [letter["reason"] for letter in self.kafka.records.get("rejected", [])]


@asynccontextmanager
async def working(folder: Path, **more: Any) -> AsyncIterator[Door]:
    door = Door(folder, **more)
    task = asyncio.create_task(door.pipe.run())
    try:
        yield door
    finally:
        task.cancel()
        door.pictures.close()


def play(folder: Path, scene: Callable[[Door], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        async with working(folder, **more) as door:
            await scene(door)

    asyncio.run(run())


def statuses(response: httpx.Response) -> list[tuple[str, str]]:
    told = response.json()["ResponseStatusListObject"]["ResponseStatusObject"]
    return [(one["StatusCode"], one["StatusString"].partition(" ")[0]) for one in told]


def post(door: Door, path: str, body: Any, identity: str | None = CAMERA, **headers: str) -> Awaitable[httpx.Response]:
    named = {"User-Identify": identity} if identity else {}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return door.client.post(f"/VIID/{path}", content=content, headers=named | headers)


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(sessions).failed == doctest.testmod(digest_auth).failed == 0


def header(
    challenge: str, password: str = PASSWORD, *, nc: str = "00000001", path: str = "/VIID/System/Register"
) -> str:
    """What a device answers to a challenge."""
    nonce = re.search(r'nonce="([0-9a-f]+)"', challenge)
    assert nonce is not None
    given = {"username": CAMERA, "realm": "fengsui", "nonce": nonce[1], "uri": path, "qop": "auth", "nc": nc} | {
        "cnonce": "c"
    }
    proof = digest.response(given, "POST", password)
    quoted = ", ".join(f'{name}="{value}"' for name, value in (given | {"response": proof}).items())
    return f"Digest {quoted}"


def test_digest(tmp_path: Path) -> None:
    """401 with a fresh nonce; the right answer once; the same again is stale; a higher count is not."""

    async def scene(door: Door) -> None:
        body = {"RegisterObject": {"DeviceID": CAMERA}}
        first = await post(door, "System/Register", body)
        challenge = first.headers["WWW-Authenticate"]
        assert first.status_code == 401
        assert challenge.startswith('Digest realm="fengsui", qop="auth", algorithm=MD5, nonce="')
        assert first.json()["ResponseStatusObject"]["StatusCode"] == "4"
        wrong = await post(door, "System/Register", body, Authorization=header(challenge, "other"))
        assert (wrong.status_code, "stale" in wrong.headers["WWW-Authenticate"]) == (401, False)
        elsewhere = header(challenge, path="/VIID/System/UnRegister")
        assert (await post(door, "System/Register", body, Authorization=elsewhere)).status_code == 401
        answer = header(challenge)
        right = await post(door, "System/Register", body, Authorization=answer)
        assert right.status_code == 200
        told = right.json()["ResponseStatusObject"]
        assert (told["StatusCode"], told["Id"], told["RequestURL"]) == ("0", CAMERA, "/VIID/System/Register")
        replayed = await post(door, "System/Register", body, Authorization=answer)
        assert (replayed.status_code, "stale=true" in replayed.headers["WWW-Authenticate"]) == (401, True)
        again = header(challenge, nc="00000002")
        assert (await post(door, "System/Register", body, Authorization=again)).status_code == 200
        made_up = header('nonce="' + "0" * 60 + '"')
        assert (await post(door, "System/Register", body, Authorization=made_up)).status_code == 401
        sample = door.registry.get_sample_value
        labels = {"device": f"gat1400:{CAMERA}", "reason": "bad-credentials"}
        assert sample("fengsui_gateway_device_refused_total", labels) == 2

    play(tmp_path, scene)


def test_nonces_grow_old_and_are_bounded() -> None:
    """After their time, or where too many counts are remembered, they are stale; never is a count taken twice."""
    clock = [1000.0]
    server = Digest(60, 3, lambda: clock[0])
    key = f"gat1400:{CAMERA}"
    secret = (
        parse(key, json.dumps(sealed({"subject": "site:1", "sector": "fire", "password": PASSWORD}, key))).digest or ""
    )

    def judge(answer: str) -> str:
        return server.judge(digest.parse(answer), "POST", "/VIID/System/Register", secret)

    answers = []
    for _ in range(5):
        clock[0] += 1
        answers.append(header(server.challenge()))
        assert judge(answers[-1]) == PROVED
    assert [judge(answer) for answer in answers] == [STALE] * 5
    late = header(server.challenge())
    clock[0] += 61
    assert judge(late) == STALE
    assert judge(header(server.challenge(), "other")) == WRONG
    assert server.judge(None, "POST", "/VIID/System/Register", secret) == WRONG
    assert judge(header(Digest(now=lambda: clock[0]).challenge())) == STALE  # another gateway's nonce
    for wrong in ("qop", "nc", "cnonce"):
        assert judge(header(server.challenge()).replace(f'{wrong}="', f'no{wrong}="')) == WRONG
    assert judge(header(server.challenge(), nc="-0000001")) == WRONG
    assert judge(re.sub('response="[^"]*"', 'response="\xe9"', header(server.challenge()))) == WRONG


def test_passwords_cannot_be_guessed_for_ever(tmp_path: Path) -> None:
    """After 30 wrong ones of an address, also the right one has to wait; other addresses do not."""

    async def scene(door: Door) -> None:
        body = {"RegisterObject": {"DeviceID": CAMERA}}
        challenge = (await post(door, "System/Register", body)).headers["WWW-Authenticate"]
        for _ in range(30):
            assert (await post(door, "System/Register", body, Authorization=header(challenge, "x"))).status_code == 401
        assert (await post(door, "System/Register", body, Authorization=header(challenge))).status_code == 429
        await door.camera(address="10.0.0.2").register()

    play(tmp_path, scene)


def test_register_is_for_known_devices(tmp_path: Path) -> None:
    """Strangers cannot prove anything; an id must be said, once; one that the register has without a password needs none."""

    async def scene(door: Door) -> None:
        with pytest.raises(CameraError):
            await door.camera(STRANGER).register()
        assert (await post(door, "System/Register", {}, None)).status_code == 401
        assert (await post(door, "System/Register", {"RegisterObject": {"DeviceID": OTHER}})).status_code == 401
        free = f"gat1400:{STRANGER}"
        door.devices.put(free, parse(free, b'{"subject": "site:1", "sector": "fire", "sources": ["10.0.0.0/8"]}'))
        with pytest.raises(CameraError):
            await door.camera(STRANGER).register()
        await door.camera(STRANGER, address="10.0.0.9").register()

    play(tmp_path, scene)


def test_sessions(tmp_path: Path) -> None:
    """Uploads, time and keepalive need one, from the address that registered; UnRegister ends it, so does silence."""

    async def scene(door: Door) -> None:
        camera = door.camera()
        image = {"ImageListObject": {"Image": [camera.finding("老鼠", AT)]}}
        assert not await camera.keepalive()
        assert (await post(door, "Images", image)).status_code == 401
        await camera.register()
        assert await camera.keepalive()
        assert await camera.time() == "20200203154640"
        assert statuses(await post(door, "Images", image)) == [("0", "正常")]
        assert not await door.camera(address="10.0.0.2").keepalive()
        await camera.unregister()
        assert not await camera.keepalive()
        with pytest.raises(CameraError):
            await camera.time()
        await camera.register()
        door.devices.put(f"gat1400:{CAMERA}", None)
        assert not await camera.keepalive()

    play(tmp_path, scene)

    async def silent(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        assert not await camera.keepalive()

    play(tmp_path, silent, session_seconds=-1.0)


def test_each_object_has_its_answer(tmp_path: Path) -> None:
    """0 with its id where Kafka has it; 8 where it cannot become an event, which is a dead letter; others go on."""

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        good, future = camera.finding("老鼠", AT), camera.finding("老鼠", NOW + 3_600_000)
        gif = camera.finding("抽烟", AT, shot=b"GIF89a")
        body = {"ImageListObject": {"Image": [good, future, {"no": "id"}, gif, 5]}}
        response = await post(door, "Images", body)
        assert response.status_code == 200
        assert statuses(response) == [
            ("0", "正常"),
            ("8", "time-in-future"),
            ("8", "missing-field"),
            ("0", "unknown-picture"),
            ("8", "bad-type"),
        ]
        told = response.json()["ResponseStatusListObject"]["ResponseStatusObject"]
        assert told[0]["Id"] == good["ImageInfo"]["ImageID"]
        assert [(event["label"], event["sha256"] is None) for event in door.events] == [
            ("rat", False),
            ("smoking", True),
        ]
        assert door.pictures.intact(door.events[0]["sha256"])
        await door.pipe.drain()
        assert sorted(door.letters) == ["bad-type", "missing-field", "time-in-future", "unknown-picture"]

    play(tmp_path, scene)


def test_references(tmp_path: Path) -> None:
    """Addresses are noted as the device says them, after what is stored; none can look as if it were stored here."""

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        paths = ("http://store.example/a b.jpg", f"sha256:{'0' * 64}.jpg")
        images = [{"ImageID": f"i{number}", "StoragePath": path} for number, path in enumerate(paths)]
        one = camera.person(AT, EventSort="老鼠")
        one["SubImageList"]["SubImageInfoObject"][:0] = images
        car = {
            "MotorVehicleID": "m1",
            "DeviceID": CAMERA,
            "PassTime": AT,
            "StorageUrl1": "http://store.example/car.jpg",
        }
        assert await camera.upload([one], "Person") == ["0"]
        assert await camera.upload([car], "MotorVehicle") == ["0"]
        person, vehicle = door.events
        stored = f"sha256:{person['sha256']}.jpg"
        assert person["picture"] == f"{stored} http://store.example/a%20b.jpg named:sha256:{'0' * 64}.jpg"
        assert (vehicle["label"], vehicle["picture"], vehicle["sha256"]) == (
            "vehicle",
            "http://store.example/car.jpg",
            None,
        )

    play(tmp_path, scene)


def test_hosts_that_hang_cost_no_event(tmp_path: Path) -> None:
    """Pictures of several of them, in several objects of a request: their references stay, without a hash, and all goes on."""
    hanging = socket.create_server(("127.0.0.1", 0), backlog=100)
    place = f"http://127.0.0.1:{hanging.getsockname()[1]}"

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        people = [camera.person(AT - 3_600_000 * number, EventSort="老鼠") for number in range(3)]
        for number, one in enumerate(people):
            paths = [f"{place}/{number}{letter}.jpg" for letter in "abc"]
            one["SubImageList"]["SubImageInfoObject"][:0] = [{"ImageID": path, "StoragePath": path} for path in paths]
        car = {"MotorVehicleID": "m1", "DeviceID": CAMERA, "PassTime": AT}
        car |= {f"StorageUrl{number}": f"{place}/{number}.jpg" for number in (1, 2, 3)}
        assert await camera.upload(people, "Person") == ["0"] * 3
        assert await camera.upload([car], "MotorVehicle") == ["0"]
        first, *_, vehicle = door.events
        stored = f"sha256:{first['sha256']}.jpg"
        assert first["picture"].split() == [stored, *(f"{place}/0{letter}.jpg" for letter in "abc")]
        assert (len(door.events), vehicle["sha256"]) == (4, None)
        assert vehicle["picture"].split() == [f"{place}/{number}.jpg" for number in (1, 2, 3)]

    with hanging:
        play(tmp_path, scene, fetching=Fetching(("127.0.0.0/8",), seconds=0.5), answer_seconds=1.4)


def test_sent_again_is_answered_and_written_once(tmp_path: Path) -> None:
    """The same upload, and another frame of the same episode: answered, not written."""

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        first, later = camera.finding("老鼠", AT), camera.finding("老鼠", AT + 30_000)
        for objects in ([first], [first], [later], [first, later]):
            assert await camera.upload(objects) == ["0"] * len(objects)
        assert len(door.events) == 1
        assert door.registry.get_sample_value("fengsui_gateway_frames_folded_total") == 1
        assert len(list(door.pictures.root.rglob("*.jpg"))) == 2

    play(tmp_path, scene)


def test_whose_an_object_is(tmp_path: Path) -> None:
    """A platform speaks for those that name it, nobody for others; placeholders are the caller's, unknown ids are parked."""

    async def scene(door: Door) -> None:
        platform = door.camera(PLATFORM)
        await platform.register()
        objects = [platform.finding("老鼠", AT, DeviceID=who) for who in (OTHER, CAMERA, STRANGER, "0", PLATFORM)]
        assert await platform.upload(objects) == ["0", "4", "0", "0", "0"]
        assert [event["device_id"] for event in door.events] == [f"gat1400:{OTHER}", f"gat1400:{PLATFORM}"]
        (parked,) = door.kafka.records["parking"]
        assert parked["device_id"] == f"gat1400:{STRANGER}"
        await door.pipe.drain()
        assert door.letters == ["bad-credentials"]

    play(tmp_path, scene)


def test_strangers_are_parked(tmp_path: Path) -> None:
    """With their pictures inside, nothing of it on the disk; read again, those are stored. Or they are refused, as is set."""

    async def scene(door: Door) -> None:
        camera = door.camera(STRANGER, address="10.9.9.9")
        shot = picture("x")
        assert await camera.upload([camera.finding("老鼠", AT, shot=shot)]) == ["0"]
        (parked,) = door.kafka.records["parking"]
        assert (parked["device_id"], parked["protocol"]) == (f"gat1400:{STRANGER}", "gat1400")
        assert not list(door.pictures.root.rglob("*.jpg"))
        wire = Gat1400(door.pictures)
        ((key, upload),) = await asyncio.to_thread(lambda: list(wire.again(parked["body"])))
        assert key == f"gat1400:{STRANGER}"
        (shown,) = upload.findings[0].pictures
        assert door.pictures.find(shown.reference) is not None
        assert await camera.upload([camera.finding("老鼠", AT, DeviceID=CAMERA)]) == ["4"]
        assert (await post(door, "Images", {}, None)).status_code == 401

    play(tmp_path, scene)

    async def refused(door: Door) -> None:
        assert (await post(door, "Images", {}, STRANGER)).status_code == 401

    play(tmp_path, refused, park_unknown=False)


def test_strangers_have_their_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unknown devices may park is bounded in bytes, all together; known ones do not notice."""
    monkeypatch.setattr("connectors.gateway.pipe.PARKED_BYTES", 8_000)
    monkeypatch.setattr("connectors.gateway.pipe.PARKED_BYTES_PER_SECOND", 0.001)

    async def scene(door: Door) -> None:
        camera = door.camera(STRANGER)
        shots = [camera.finding("老鼠", AT + 1000 * number) for number in range(3)]
        assert await camera.upload(shots) == ["0", "0", "2"]
        assert len(door.kafka.records["parking"]) == 2
        known = door.camera()
        await known.register()
        assert await known.upload([known.finding("老鼠", AT)]) == ["0"]

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "7"),
        (b"[]", {}, 400, "8"),
        (b'{"FaceList": {}}', {}, 400, "8"),
        (b'{"RegisterObject": {"DeviceID": "1"}}', {}, 400, "8"),
        (b"x" * 5000, {}, 413, "8"),
        (b'{"FaceListObject": {"FaceObject": [' + b"0," * 1001 + b"0]}}", {}, 413, "8"),
        (gzip.compress(b"x" * 50_000, mtime=0), {"Content-Encoding": "gzip"}, 413, "8"),
        (b"x", {"Content-Encoding": "gzip"}, 400, "8"),
        (b"x", {"Content-Encoding": "br"}, 415, "1"),
    ],
)
def test_bodies_that_are_none(tmp_path: Path, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    """As the door for events answers them, in the standard's words."""

    async def scene(door: Door) -> None:
        await door.camera().register()
        response = await post(door, "Faces", body, CAMERA, **headers)
        assert response.status_code == status
        assert statuses(response)[0][0] == code
        assert (response.headers.get("Connection") == "close") == (status == 413)

    play(tmp_path, scene, limits=Limits(4_000, 4_000))


@pytest.mark.parametrize(
    "body",
    [
        {"FaceListObject": {"FaceObject": [{"FaceID": "1"}] * 1001}},
        {"SubscribeNotificationListObject": {"SubscribeNotificationObject": [
            {"NotificationID": "1", "FaceObjectList": {"FaceObject": [{"FaceID": "1"}] * 1000}}]}},
    ],
    ids=["listed", "nested"],
)  # fmt: skip
def test_too_many_objects_are_not_read(tmp_path: Path, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted as JSON before the first of them is made an object of ours."""
    read: list[Any] = []
    monkeypatch.setattr("connectors.protocols.gat1400.read_object", lambda *given: read.append(given))

    async def scene(door: Door) -> None:
        await door.camera().register()
        del read[:]
        response = await post(door, "Faces", body)
        assert (response.status_code, statuses(response)[0][1], read) == (413, "too-large", [])

    play(tmp_path, scene)


def test_strangers_cannot_keep_the_known_out(tmp_path: Path) -> None:
    """A body of theirs is small, and slow ones take up a room of their own: then they get 429, and cameras go on."""

    async def scene(door: Door) -> None:
        shot = picture("x") + b"x" * 1_100_000
        stranger, camera = door.camera(STRANGER), door.camera()
        await camera.register()
        large = {"ImageListObject": {"Image": [stranger.finding("老鼠", AT, shot=shot)]}}
        assert (await post(door, "Images", large, STRANGER)).status_code == 413
        assert (await post(door, "Images", large)).status_code == 200
        over = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b" " * 1_000_000
            await over.wait()
            yield b"{"

        def asked() -> Awaitable[httpx.Response]:
            return door.client.post("/VIID/Images", content=slow(), headers={"User-Identify": STRANGER})

        waiting = [asyncio.create_task(asked()) for _ in range(8)]  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        small = {"ImageListObject": {"Image": [stranger.finding("老鼠", AT, shot=picture("y", 400_000))]}}
        assert (await post(door, "Images", small, STRANGER)).status_code == 429
        assert await camera.upload([camera.finding("抽烟", AT)]) == ["0"]
        over.set()
        assert [one.status_code for one in await asyncio.gather(*waiting)] == [400] * 8
        assert (await post(door, "Images", small, STRANGER)).status_code == 200

    play(tmp_path, scene)


def test_while_kafka_is_away(tmp_path: Path) -> None:
    """503 after the limit; sent again it is answered when Kafka is back, and written once. 429 while too much waits."""

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        body = {"ImageListObject": {"Image": [camera.finding("老鼠", AT)]}}
        door.kafka.open.clear()
        late = await post(door, "Images", body)
        assert (late.status_code, late.headers["Retry-After"], statuses(late)[0][0]) == (503, "5", "2")
        waiting = asyncio.create_task(camera.upload(body["ImageListObject"]["Image"]))
        door.kafka.open.set()
        assert await waiting == ["0"]
        assert len(door.events) == 1
        door.pipe._frames = 20_000  # as if so much waited
        full = await post(door, "Images", body)
        assert (full.status_code, full.headers["Retry-After"]) == (429, "1")
        door.pipe._frames = 0

    play(tmp_path, scene, answer_seconds=0.2)


def test_a_full_disk_is_no_acknowledgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 while a picture cannot be stored; the event goes with it when the disk has room."""
    monkeypatch.setattr("connectors.gateway.pictures._SHORTEST_SECONDS", 0.01)

    async def scene(door: Door) -> None:
        camera = door.camera()
        await camera.register()
        really, full = door.pictures._store, True

        def store(path: Path, data: bytes) -> str:
            if full:
                raise OSError(28, "No space left on device")
            return really(path, data)

        monkeypatch.setattr(door.pictures, "_store", store)
        body = {"ImageListObject": {"Image": [camera.finding("老鼠", AT)]}}
        assert (await post(door, "Images", body)).status_code == 503
        assert door.events == []
        full = False
        assert (await post(door, "Images", body)).status_code == 200
        assert door.pictures.intact(door.events[0]["sha256"])

    play(tmp_path, scene, answer_seconds=0.3)
