"""`fengsui simulate`: devices that do not exist, for tests of a gateway and of whatever stands behind it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from fengsui.cli.common import Failed, Wrong, say, say_json
from fengsui.cli.rules_live import connected
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


def _run(protocol: str, speaker: Any, plan: _Plan, name: Callable[[int], str], entry: dict[str, Any]) -> None:
    if plan.devices < 1 or not plan.rate > 0 or not 0 < plan.seconds < float("inf"):
        raise Wrong("--devices, --rate and --seconds must be more than 0")
    address = _address(protocol, plan.to)
    if plan.register:
        _register(protocol, plan.devices, name, entry)
    began = time.monotonic()
    counts, settled = asyncio.run(_speak(speaker, address, plan))
    found = {
        "protocol": protocol,
        "devices": plan.devices,
        "sent": counts.sent,
        "sent_again": counts.again,
        "answered": counts.answered,
        "seconds": round(time.monotonic() - began, 1),
    }
    if plan.json:
        say_json(found)
    else:
        say(f"发送 sent {counts.sent:,}，重发 again {counts.again:,}，应答 answered {counts.answered:,}")
    if not settled:
        raise Failed(f"{counts.sent - counts.answered} messages were not answered within {SETTLE_SECONDS:.0f} s")


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

    common = sealed(entry, f"{protocol}:x")  # one password for all: stretched once
    entries = {
        f"{protocol}:{name(number)}": (common | {"subject": _SUBJECT.format(number)}, None) for number in range(devices)
    }
    try:
        put_devices(connected(), entries)
    except RuntimeError as error:
        raise Failed(str(error)) from error
