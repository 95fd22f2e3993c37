"""A gateway under load, killed in the middle: `python -m bench.gateway_load [DEVICES] [RATE] [SECONDS] [PROTOCOL]`.

Devices on connections of their own send at a steady rate and send again what was not answered; half-way the gateway is killed
with SIGKILL and started again. In the end every reading must be on the topic, and each once.
"""

import asyncio
import json
import multiprocessing
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psutil

from connectors.admin import ensure_topics
from connectors.simulate import gb26875, hj212
from connectors.simulate.fleet import Fleet
from fengsui.embedded import services
from fengsui.publishing import put_devices
from fengsui.settings import Settings, load
from tests.acceptance.device_helpers import gateway
from tests.acceptance.gateway_helpers import read
from topics.wire import decode

SETTLE_SECONDS: Final = 120.0
KEYS: Final = {
    "hj212": lambda number: f"hj212:{hj212.mn(number)}",
    "gb26875": lambda number: f"gb26875:{gb26875.address(number).hex()}",
}


def main(devices: int = 5_000, rate: float = 10_000, seconds: float = 120, protocol: str = "hj212") -> dict[str, Any]:
    """Run it on a broker of its own; prints the figures. Raises AssertionError when a reading is lost, or there twice."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fengsui-load-")))
        running = stack.enter_context(services(load(data_dir=scratch)))
        found = measure(running.settings, devices, rate, seconds, protocol)
    sys.stdout.write(json.dumps(found) + "\n")
    return found


def measure(settings: Settings, devices: int, rate: float, seconds: float, protocol: str) -> dict[str, Any]:
    """The figures, on the settings' broker. Raises as `main`."""
    ensure_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions, 1)
    put_devices(settings, {KEYS[protocol](i): (_entry(i), None) for i in range(devices)})
    with gateway(settings, gateway_connections_per_source=str(devices + 1_000)) as door:
        found = _load(door, protocol, devices, rate, seconds)
        found |= _check(settings, found["sent"])
    assert found["settled"], f"not everything was answered: {found}"
    assert found["lost"] == 0, f"readings were lost: {found}"
    assert found["twice"] == 0, f"readings were written twice: {found}"
    assert found["again"] > 0, f"the fault hit nothing: {found}"
    return found


def _entry(number: int) -> dict[str, Any]:
    return {"subject": f"site:{number:06d}", "sector": "ecology", "region": "330106"}


def _load(door: Any, protocol: str, devices: int, rate: float, seconds: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    fleet = context.Process(target=_fleet, args=(theirs, protocol, door.ports[protocol], devices, rate, seconds))
    fleet.start()
    assert ours.recv() == "connected"
    gateway_process = psutil.Process(door.process.pid)
    time.sleep(seconds / 2)  # the fault comes half-way, by the clock
    before = gateway_process.cpu_times()
    peak = gateway_process.memory_info().rss
    door.kill(signal.SIGKILL)
    killed = time.monotonic()
    door.start()
    down = time.monotonic() - killed
    found: dict[str, Any] = ours.recv()
    fleet.join()
    after = psutil.Process(door.process.pid)
    used = after.cpu_times()
    found |= {
        "devices": devices,
        "rate": rate,
        "seconds": seconds,
        "down_seconds": round(down, 2),
        "gateway_cpu_us_a_frame": round((before.user + before.system) / (rate * seconds / 2) * 1e6, 1),
        "gateway_rss_mb": round(max(peak, after.memory_info().rss) / 1e6),
        "cpu_seconds": round(before.user + before.system + used.user + used.system, 1),
    }
    return found


def _fleet(pipe: Any, protocol: str, port: int, devices: int, rate: float, seconds: float) -> None:
    asyncio.run(_speak(pipe, protocol, port, devices, rate, seconds))


async def _speak(pipe: Any, protocol: str, port: int, devices: int, rate: float, seconds: float) -> None:
    speaker = hj212.Speaker() if protocol == "hj212" else gb26875.Speaker()
    fleet = Fleet(speaker, ("127.0.0.1", port), devices, rate)
    await fleet.connect()
    pipe.send("connected")
    began = time.monotonic()
    await fleet.run(seconds)
    settled = await fleet.settle(SETTLE_SECONDS)
    took = time.monotonic() - began
    counts = fleet.counts
    waits = sorted(counts.waits)
    fleet.close()
    pipe.send(
        {
            "sent": counts.sent,
            "again": counts.again,
            "answered": counts.answered,
            "settled": settled,
            "frames_per_second": round(counts.sent / seconds),
            "seconds_to_the_last_answer": round(took, 1),
            "answer_ms_p50": round(statistics.median(waits) * 1000),
            "answer_ms_p99": round(waits[int(len(waits) * 0.99)] * 1000),
        }
    )


def _check(settings: Settings, sent: int) -> dict[str, Any]:
    """Every reading on the topic, by event id."""
    ids = Counter(decode(message.value())[1]["event_id"] for message in read(settings, "events.iot"))
    return {
        "events": sum(ids.values()),
        "lost": sent - len(ids),
        "twice": sum(count - 1 for count in ids.values()),
        "rejected": len(read(settings, "rejected")),
        "parked": len(read(settings, "parking")),
    }


if __name__ == "__main__":
    kinds = (int, float, float, str)
    main(*(kind(given) for kind, given in zip(kinds, sys.argv[1:], strict=False)))
