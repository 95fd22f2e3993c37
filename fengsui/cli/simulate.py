"""`fengsui simulate`: devices that do not exist, for tests of a gateway and of whatever stands behind it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, connected, say, say_json
from fengsui.runfile import read_run
from fengsui.settings import load

Devices = Annotated[int, Parameter(help="设备数 (devices, one connection each).")]
Rate = Annotated[float, Parameter(help="每秒报文数 (messages a second, of all devices).")]
Seconds = Annotated[float, Parameter(help="时长 (for how long).")]
To = Annotated[str, Parameter(help="HOST:PORT of the gateway; default: the one that runs here.")]
Register = Annotated[
    bool, Parameter(negative="", help="先登记这些设备 (put the devices into the register first; needs the engine).")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
SETTLE_SECONDS: Final = 60.0
_CLIENTS: Final = 8
_BATCH: Final = 500
_TICK_SECONDS: Final = 0.05
_KNOWN_SECONDS: Final = 10.0
_FINDINGS: Final = ("未戴厨师帽", "未戴口罩", "老鼠", "垃圾桶未盖", "消防通道占用")
_SUBJECT: Final = "site:simulated-{:06d}"

app = App(name="simulate", help="模拟设备：按各协议发送数据 Simulated devices that speak a protocol to a gateway.")


@dataclass(frozen=True, slots=True)
class _Plan:
    devices: int
    rate: float
    seconds: float
    to: str
    register: bool
    json: bool


@app.command
def hj212(
    *, devices: Devices = 1000, rate: Rate = 0.0, seconds: Seconds = 60.0, to: To = "", register: Register = False,
    factors: Annotated[int, Parameter(help="Factors a message, 1 to 4.")] = 1,
    password: Annotated[str, Parameter(env_var="FENGSUI_DEVICE_PASSWORD")] = "123456",  # noqa: S107 - the standard's example
    json: Json = False,
) -> None:  # fmt: skip
    """HJ 212 数采仪: real-time data that wants 9014; what is not answered is sent again.

    Args:
        password: PW of all devices, which also stands in the register with --register.
    """
    from connectors.simulate import hj212 as simulated

    if not 1 <= factors <= len(simulated.FACTORS):
        raise Wrong(f"--factors is 1 to {len(simulated.FACTORS)}")
    plan = _Plan(devices, rate or devices / 5, seconds, to, register, json)
    entry = {"sector": "ecology", "region": "330106", "password": password}
    _run("hj212", simulated.Speaker(factors, password), plan, simulated.mn, entry)


@app.command
def gb26875(
    *, devices: Devices = 1000, rate: Rate = 0.0, seconds: Seconds = 60.0, to: To = "", register: Register = False,
    json: Json = False,
) -> None:  # fmt: skip
    """GB/T 26875.3 用户信息传输装置: analogue values that must be confirmed; what is not is sent again."""
    from connectors.simulate import gb26875 as simulated

    plan = _Plan(devices, rate or devices / 5, seconds, to, register, json)
    entry = {"sector": "fire", "region": "330106"}
    _run("gb26875", simulated.Speaker(), plan, lambda number: simulated.address(number).hex(), entry)


@app.command
def mqtt(
    *, devices: Devices = 1000, rate: Rate = 0.0, seconds: Seconds = 60.0,
    url: Annotated[str, Parameter(env_var="FENGSUI_MQTT_URL")] = "", register: Register = False, json: Json = False,
) -> None:  # fmt: skip
    """MQTT 传感器: readings with QoS 1, each sensor on its own topic; counted as answered when the broker has them.

    Args:
        url: The broker, mqtt://USER:PASSWORD@HOST:PORT. In the environment nobody else sees the password.
    """
    from connectors.mqttlink import Address

    plan = _checked(_Plan(devices, rate or devices / 5, seconds, url, register, json))
    if not url:
        raise Wrong("which broker? say --url, or set FENGSUI_MQTT_URL")
    try:
        address = Address.of(url)
    except ValueError as error:
        raise Wrong(f"--url: {error}") from error
    if register:
        _register("mqtt", devices, lambda number: f"s{number}", {"sector": "food-drug", "region": "330106"})
    began = time.monotonic()
    try:
        sent = asyncio.run(asyncio.wait_for(_publish(address, plan), seconds + SETTLE_SECONDS))
    except TimeoutError as error:
        raise Failed(f"{address.host}:{address.port} did not take everything") from error
    _tell("mqtt", plan, (sent, 0, sent), began)


async def _publish(address: Any, plan: _Plan) -> int:
    """Rounds of readings, as many a second as asked for; how many the broker acknowledged."""
    from contextlib import AsyncExitStack

    from connectors.simulate import mqtt as simulated

    sensors = simulated.sensors(plan.devices)
    async with AsyncExitStack() as stack:
        lines = [
            await stack.enter_async_context(simulated.Publisher(address, f"simulated-{number}"))
            for number in range(min(_CLIENTS, plan.devices))
        ]
        began, spoken, sent = time.monotonic(), 0, 0
        while (elapsed := time.monotonic() - began) < plan.seconds:
            due, now = int(elapsed * plan.rate), time.time_ns() // 1_000_000
            parts: list[list[tuple[str, bytes]]] = [[] for _ in lines]
            for number in range(spoken, due):
                sensor = number % len(sensors)
                at = now + number // len(sensors) % 1000  # no two readings of a sensor at the same time
                parts[sensor % len(lines)].append((sensors[sensor].topic, simulated.reading(sensors[sensor], at)))
            spoken = due
            work = (line.publish_all(part) for line, part in zip(lines, parts, strict=True))
            sent += sum(await asyncio.gather(*work))
            await asyncio.sleep(_TICK_SECONDS)
        return sent


@app.command
def gat1400(
    *, devices: Devices = 20, rate: Rate = 0.0, seconds: Seconds = 60.0,
    url: Annotated[str, Parameter(help="Base URL of the gateway; default: the one that runs here.")] = "",
    register: Register = False,
    password: Annotated[str, Parameter(env_var="FENGSUI_DEVICE_PASSWORD")] = "123456",  # noqa: S107 - nobody's
    json: Json = False,
) -> None:  # fmt: skip
    """GA/T 1400 摄像机: cameras that register by Digest and upload findings with pictures, in turn.

    Args:
        password: Of all cameras, which also stands in the register with --register.
    """
    plan = _checked(_Plan(devices, rate or devices / 5, seconds, url, register, json))
    base = _base_url(url)
    if register:
        entry = {"sector": "food-drug", "region": "330106", "password": password, "episode_seconds": 0}
        _register("gat1400", devices, _camera, entry)
    began = time.monotonic()
    sent, answered = asyncio.run(_film(base, plan, password))
    _tell("gat1400", plan, (sent, 0, answered), began)
    if answered < sent:
        raise Failed(f"{sent - answered} findings were not taken")


def _camera(number: int) -> str:
    return f"330106000011900{number:05d}"


async def _film(url: str, plan: _Plan, password: str) -> tuple[int, int]:
    from connectors.simulate.gat1400 import Camera, CameraError

    cameras = [Camera(url, _camera(number), password) for number in range(plan.devices)]
    try:
        await asyncio.gather(*(_introduced(camera) for camera in cameras))
        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < plan.seconds:
            due = int(elapsed * plan.rate)
            work = []
            for number in range(sent, due):
                camera = cameras[number % len(cameras)]
                work.append(
                    camera.upload([camera.finding(_FINDINGS[number % len(_FINDINGS)], time.time_ns() // 1_000_000)])
                )
            await asyncio.gather(*work)
            sent = due
            await asyncio.sleep(_TICK_SECONDS)
        return sent, sum(camera.acknowledged for camera in cameras)
    except CameraError as error:
        raise Failed(str(error)) from error
    finally:
        for camera in cameras:
            await camera.__aexit__(None, None, None)


@app.command
def http(
    *, devices: Devices = 100, rate: Rate = 0.0, seconds: Seconds = 60.0,
    url: Annotated[str, Parameter(help="Base URL of the gateway; default: the one that runs here.")] = "",
    token: Annotated[str, Parameter(env_var="FENGSUI_HTTP_TOKEN_TO_SEND")] = "", json: Json = False,
) -> None:  # fmt: skip
    """CloudEvents 业务系统: batches of events over HTTP, each answered with 202 when Kafka has it.

    Args:
        token: A bearer token, where the gateway asks for one. In the environment nobody else sees it.
    """
    plan = _checked(_Plan(devices, rate or devices / 5, seconds, url, False, json))
    base = _base_url(url)
    began = time.monotonic()
    sent, again, answered = asyncio.run(_push(base, plan, token))
    _tell("http", plan, (sent, again, answered), began)
    if answered < sent:
        raise Failed(f"{sent - answered} events were not taken")


async def _push(url: str, plan: _Plan, token: str) -> tuple[int, int, int]:
    import httpx

    from connectors.simulate import http as simulated

    began, start = time.monotonic(), time.time_ns() // 1_000_000
    sent = again = answered = 0
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            while (elapsed := time.monotonic() - began) < plan.seconds:
                due = min(int(elapsed * plan.rate), sent + _BATCH)
                if due > sent:
                    events = simulated.batch(plan.devices, due - sent, start, sent)
                    taken, times = await asyncio.wait_for(simulated.post(client, url, events, token), SETTLE_SECONDS)
                    sent, again, answered = due, again + times, answered + taken
                await asyncio.sleep(_TICK_SECONDS / 10)
    except (simulated.NotTaken, TimeoutError) as error:
        raise Failed(str(error) or f"{url} did not take everything") from error
    return sent, again, answered


async def _introduced(camera: Any) -> None:
    """Registered, as soon as the gateway has read that it may. Raises CameraError."""
    from connectors.simulate.gat1400 import CameraError

    deadline = time.monotonic() + _KNOWN_SECONDS
    while True:
        try:
            await camera.register()
            return
        except CameraError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_KNOWN_SECONDS / 20)


def _checked(plan: _Plan) -> _Plan:
    if plan.devices < 1 or not plan.rate > 0 or not 0 < plan.seconds < float("inf"):
        raise Wrong("--devices, --rate and --seconds must be more than 0")
    return plan


def _run(protocol: str, speaker: Any, plan: _Plan, name: Callable[[int], str], entry: dict[str, Any]) -> None:
    _checked(plan)
    address = _address(protocol, plan.to)
    if plan.register:
        _register(protocol, plan.devices, name, entry)
    began = time.monotonic()
    counts, settled = asyncio.run(_speak(speaker, address, plan))
    _tell(protocol, plan, (counts.sent, counts.again, counts.answered), began)
    if not settled:
        raise Failed(f"{counts.sent - counts.answered} messages were not answered within {SETTLE_SECONDS:.0f} s")


def _tell(protocol: str, plan: _Plan, counts: tuple[int, int, int], began: float) -> None:
    sent, again, answered = counts
    if plan.json:
        names = {"protocol": protocol, "devices": plan.devices, "sent": sent, "sent_again": again, "answered": answered}
        say_json(names | {"seconds": round(time.monotonic() - began, 1)})
    else:
        say(f"发送 sent {sent:,}，重发 again {again:,}，应答 answered {answered:,}")


async def _speak(speaker: Any, address: tuple[str, int], plan: _Plan) -> tuple[Any, bool]:
    from connectors.simulate.fleet import Fleet

    fleet = Fleet(speaker, address, plan.devices, plan.rate)
    try:
        await asyncio.wait_for(fleet.connect(), 30 + plan.devices / 100)
        await fleet.run(plan.seconds)
        return fleet.counts, await fleet.settle(SETTLE_SECONDS)
    except TimeoutError as error:
        raise Failed(f"{address[0]}:{address[1]} cannot be reached") from error
    finally:
        fleet.close()


def _base_url(url: str) -> str:
    """The gateway's, as given or of the engine that runs here. Raises Wrong."""
    run = None if url else read_run(load())
    if not url and (run is None or not run.http):
        raise Wrong("no gateway runs here: start `fengsui up`, or say --url")
    return url or (run.http if run else "")


def _address(protocol: str, to: str) -> tuple[str, int]:
    if not to:
        run = read_run(load())
        if run is None or protocol not in run.gateways:
            raise Wrong("no gateway runs here: start `fengsui up`, or say --to HOST:PORT")
        return "127.0.0.1", run.gateways[protocol]
    host, colon, port = to.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise Wrong(f"--to {to[:80]!r} is not HOST:PORT")
    return host, int(port)


def _register(protocol: str, devices: int, name: Callable[[int], str], entry: dict[str, Any]) -> None:
    from connectors.devices.device import sealed
    from fengsui.publishing import put_devices

    # One password for all is stretched once; a digest holds its device's name.
    common = entry if protocol == "gat1400" else sealed(entry, f"{protocol}:x")
    entries = {
        f"{protocol}:{name(number)}": (common | {"subject": _SUBJECT.format(number)}, None) for number in range(devices)
    }
    try:
        put_devices(connected(), entries)
    except RuntimeError as error:
        raise Failed(str(error)) from error
