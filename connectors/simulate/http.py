"""Systems that push CloudEvents over HTTP: batches of sensor readings, sent again until the gateway has taken them.

>>> [event["id"] for event in batch(2, 2, 1_700_000_000_000, first=5)]
['simulated-1-1700000000005', 'simulated-0-1700000000006']
>>> [event["id"] for event in batch(1, 2, 0, first=7)]
['simulated-0-7', 'simulated-0-8']
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import httpx

from connectors.cloudevents import BATCH

_AGAIN: Final = (408, 429, 500, 502, 503, 504)
_ACCEPTED: Final = 202
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 5.0


class NotTaken(Exception):  # noqa: N818 - what the gateway said
    """The gateway refuses what sending again would not mend."""


def batch(devices: int, count: int, now: int, first: int = 0) -> list[dict[str, Any]]:
    """`count` CloudEvents of the devices in turn, from the `first`-th on; `now` is ms UTC, and each has a moment of its own."""
    made: list[dict[str, Any]] = []
    for number in range(first, first + count):
        device, at = number % devices, now + number
        data = {
            "sector": "food-drug", "region": "330106", "device_id": f"http-{device}", "metric": "cold_store_temp",
            "value": round(2 + (number * 7 % 30) / 10, 1), "unit": "℃", "occurred_at": at, "observed_at": at,
        }  # fmt: skip
        head = {"specversion": "1.0", "id": f"simulated-{device}-{at}", "source": "/simulated", "type": "fengsui.iot"}
        made.append(head | {"subject": f"site:simulated-{device:06d}", "data": data})
    return made


async def post(
    client: httpx.AsyncClient, url: str, events: Iterable[dict[str, Any]], token: str = ""
) -> tuple[int, int]:
    """Send a batch until it is answered for good: how many events were accepted, and how often it was sent again. Raises
    NotTaken."""
    headers = {"Content-Type": BATCH} | ({"Authorization": f"Bearer {token}"} if token else {})
    body, again, wait = list(events), 0, _SHORTEST_SECONDS
    while True:
        try:
            answer = await client.post(f"{url.rstrip('/')}/v1/events", json=body, headers=headers)
            if answer.status_code == _ACCEPTED:
                return int(answer.json()["accepted"]), again
            if answer.status_code not in _AGAIN:
                raise NotTaken(f"{answer.status_code} {answer.text[:200]}")
        except httpx.TransportError:
            pass  # sent again, whether or not it came through
        again += 1
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_SECONDS)
