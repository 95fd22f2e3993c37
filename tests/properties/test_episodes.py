"""Episodes hold in any order and any split into batches: as a plain reading of the rule, across a restart, and by their laws."""

import asyncio
import doctest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from connectors.devices.device import Device, parse
from connectors.devices.registry import Devices
from connectors.devices.rows import Rows
from connectors.gateway import episodes as episodes_module
from connectors.gateway.episodes import Episodes
from connectors.gateway.item import Item
from connectors.gateway.pipe import Pipe
from connectors.metrics import GatewayMetrics
from topics.wire import decode

SECONDS = 60
START = 1_700_000_000_000
Frame = tuple[str, str, int]
FRAMES = st.lists(
    st.tuples(st.sampled_from(["c1", "c2"]), st.sampled_from(["rat", "smoke"]), st.integers(0, 600_000)), max_size=60
)


def reference(frames: list[Frame], seconds: int = SECONDS) -> list[bool]:
    """A frame is written unless an event of its device and label that was written before is less than so far away."""
    written: list[Frame] = []
    told = []
    for frame in frames:
        near = any(one[:2] == frame[:2] and abs(one[2] - frame[2]) < 1000 * seconds for one in written)
        told.append(not near)
        if not near:
            written.append(frame)
    return told


def played(episodes: Episodes, frames: list[Frame], seconds: int = SECONDS) -> list[bool]:
    return [episodes.opens(*frame, seconds) for frame in frames]


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(episodes_module).failed == 0


@given(FRAMES, st.integers(0, 300))
def test_as_the_rule_says(frames: list[Frame], seconds: int) -> None:
    """In whatever order frames come."""
    assert played(Episodes(openings=100), frames, seconds) == reference(frames, seconds)


@given(FRAMES, st.integers(0, 60))
def test_a_restart_changes_nothing(frames: list[Frame], cut: int) -> None:
    """What the topic has of the frames before the restart, in any order, is all that the next gateway needs."""
    whole = reference(frames)
    written = [frame for frame, opens in zip(frames[:cut], whole[:cut], strict=False) if opens]
    after = Episodes()
    after.remember(reversed(written))
    assert played(after, frames[cut:]) == whole[cut:]
    again = Episodes()
    again.remember(written)
    assert not any(played(again, frames[:cut]))  # all of it sent again: nothing is written again


@given(FRAMES)
def test_nothing_is_lost_and_nothing_is_double(frames: list[Frame]) -> None:
    """Every frame is near an event of its device and label; no two of those are near each other."""
    written = [frame for frame, opens in zip(frames, played(Episodes(), frames), strict=True) if opens]
    for frame in frames:
        assert any(one[:2] == frame[:2] and abs(one[2] - frame[2]) < 1000 * SECONDS for one in written)
    for i, one in enumerate(written):
        assert all(one[:2] != other[:2] or abs(one[2] - other[2]) >= 1000 * SECONDS for other in written[:i])


@given(st.lists(st.integers(0, 600_000), max_size=80))
def test_bounded_memory_writes_rather_than_loses(times: list[int]) -> None:
    """With few openings remembered, every frame is still near one that was written; in order, nothing changes."""
    frames = [("c", "rat", at) for at in times]
    written = [at for at, opens in zip(times, played(Episodes(openings=2), frames), strict=True) if opens]
    assert all(any(abs(one - at) < 1000 * SECONDS for one in written) for at in times)
    assert played(Episodes(openings=2), sorted(frames)) == reference(sorted(frames))


class Kafka:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    async def send(self, topic: str, pairs: list[tuple[bytes | None, bytes]], _wait: float = 1.0) -> int:
        assert topic == "events.video"
        self.events += [decode(value)[1] for _, value in pairs]
        return len(pairs)


class Frames:
    """A protocol whose frames are (label, time, number)."""

    name = "mqtt"

    def events(self, device: Device, frame: tuple[str, int, int], _arrived: int, rows: Rows) -> None:
        label, at, number = frame
        rows.sighting(device, f"{device.device_id}/{number}", (at, at), self.name, (label, 0.9, None, None))

    def sent_at(self, _frame: Any) -> None:
        return None

    def password(self, _frame: Any) -> None:
        return None

    def again(self, _raw: bytes) -> list[Any]:
        return []


async def through_the_pipe(batches: list[list[Frame]], restarts: bool) -> list[Frame]:
    """What is written of frames offered in batches; with a gateway of its own for each batch, if so wanted."""
    body = b'{"subject": "licence:7", "sector": "food-drug"}'
    devices = Devices({f"mqtt:{name}": parse(f"mqtt:{name}", body) for name in ("c1", "c2")})
    kafka, told, wire = Kafka(), [], Frames()
    episodes, number = Episodes(), 0
    for batch in batches:
        if restarts:
            episodes = Episodes()
            episodes.remember((one["device_id"], one["label"], one["occurred_at"]) for one in kafka.events)
        pipe = Pipe(kafka, devices, episodes=episodes, linger=0, metrics=GatewayMetrics(CollectorRegistry()))  # type: ignore[arg-type]
        task = asyncio.create_task(pipe.run())
        for name, label, at in batch:
            number += 1
            pipe.offer(Item(wire, f"mqtt:{name}", (label, START + at, number), b"", START + 600_000, told.append))
        await pipe.drain()
        task.cancel()
    assert told == [""] * number  # folded frames are acknowledged as the others are
    return [(one["device_id"].removeprefix("mqtt:"), one["label"], one["occurred_at"] - START) for one in kafka.events]


@settings(max_examples=25, deadline=None)
@given(st.lists(FRAMES, max_size=4), st.booleans())
def test_any_split_into_batches(batches: list[list[Frame]], restarts: bool) -> None:
    """Through the pipe, in batches of any size, with and without a restart between them: the same events."""
    frames = [frame for batch in batches for frame in batch]
    written = [frame for frame, opens in zip(frames, reference(frames), strict=True) if opens]
    assert sorted(asyncio.run(through_the_pipe(batches, restarts))) == sorted(written)


def test_what_is_refused_opens_nothing() -> None:
    """A frame from the future is a dead letter; the good frame after it is written."""

    class Both(Kafka):
        async def send(self, topic: str, pairs: list[tuple[bytes | None, bytes]], wait: float = 1.0) -> int:
            return await super().send(topic, pairs, wait) if topic == "events.video" else len(pairs)

    async def play() -> tuple[list[int], list[str]]:
        device = parse("mqtt:c1", b'{"subject": "licence:7", "sector": "food-drug", "episode_seconds": 3600}')
        kafka, told = Both(), []
        pipe = Pipe(kafka, Devices({"mqtt:c1": device}), linger=0, metrics=GatewayMetrics(CollectorRegistry()))  # type: ignore[arg-type]
        task = asyncio.create_task(pipe.run())
        for number, at in enumerate((START + 3_000_000, START + 10_000)):
            item = Item(Frames(), "mqtt:c1", ("rat", at, number), b"", START, told.append)
            pipe.offer(item)
        await pipe.drain()
        task.cancel()
        return [one["occurred_at"] for one in kafka.events], told

    assert asyncio.run(play()) == ([START + 10_000], ["", ""])
