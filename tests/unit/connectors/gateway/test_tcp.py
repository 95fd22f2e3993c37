"""A TCP door among hostile and unlucky senders: bounded, named, and the others go on."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from connectors.devices.device import parse
from connectors.gateway.limits import Limits
from connectors.gateway.pipe import MOST_FRAMES, Pipe
from connectors.gateway.tcp import READ_BYTES, Door, TcpServer
from connectors.gateway.wires import Hj212
from connectors.protocols import hj212
from tests.unit.connectors.gateway.fakes import Kafka, devices, frame, metrics, until


@dataclass
class House:
    server: TcpServer
    kafka: Kafka
    pipe: Pipe
    registry: CollectorRegistry

    def ended(self, reason: str) -> float:
        labels = {"gateway": "hj212", "reason": reason}
        return self.registry.get_sample_value("fengsui_gateway_connections_ended_total", labels) or 0.0

    def rejected(self, reason: str) -> float:
        labels = {"gateway": "hj212", "reason": reason}
        return self.registry.get_sample_value("fengsui_gateway_events_rejected_total", labels) or 0.0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)


@asynccontextmanager
async def house(**limits: Any) -> AsyncIterator[House]:
    counts, registry = metrics()
    kafka = Kafka()
    bounds = Limits(**limits)
    pipe = Pipe(kafka, devices("A1"), bounds, metrics=counts, linger=0.001)  # type: ignore[arg-type]
    task = asyncio.create_task(pipe.run())
    async with TcpServer(Door(Hj212(), pipe, bounds, metrics=counts)) as server:
        yield House(server, kafka, pipe, registry)
    task.cancel()


def answer(raw: bytes) -> bytes:
    (one,) = hj212.decode(raw)
    assert isinstance(one, hj212.Frame)
    return hj212.answer(one) or b""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_each_frame_is_answered_in_order_however_it_is_cut() -> None:
    async def work() -> None:
        async with house() as here:
            reader, writer = await here.connect()
            frames = [frame(second=second) for second in range(20)]
            data = b"".join(frames)
            for at in range(0, len(data), 37):
                writer.write(data[at : at + 37])
                await writer.drain()
            wanted = b"".join(map(answer, frames))
            assert await reader.readexactly(len(wanted)) == wanted
            assert len(here.kafka.records("events.iot")) == 20

    run(work())


def test_a_frame_that_never_ends_is_not_waited_for() -> None:
    """Silence within a frame: named, and the connection goes on with the next."""

    async def work() -> None:
        async with house(silence_seconds=0.5) as here:
            reader, writer = await here.connect()
            whole = frame()
            writer.write(whole[:40])
            await until(lambda: here.rejected("truncated") == 1)
            writer.write(whole)
            assert await reader.readexactly(len(answer(whole))) == answer(whole)

    run(work())


def test_silent_connections_are_ended() -> None:
    async def work() -> None:
        async with house(idle_seconds=0.5) as here:
            reader, _ = await here.connect()
            assert await reader.read() == b""
            assert here.ended("idle") == 1

    run(work())


def test_no_more_connections_than_there_may_be() -> None:
    async def work() -> None:
        async with house(connections=3) as here:
            lines = [await here.connect() for _ in range(3)]
            await until(lambda: len(here.server.connections) == 3)
            reader, _ = await here.connect()
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            assert here.ended("too-many-connections") == 1
            lines[0][1].close()
            await until(lambda: len(here.server.connections) == 2)
            reader, writer = await here.connect()
            writer.write(frame())
            assert await reader.readexactly(len(answer(frame()))) == answer(frame())

    run(work())


def test_one_source_cannot_take_them_all() -> None:
    async def work() -> None:
        async with house(connections_per_source=2) as here:
            lines = [await here.connect() for _ in range(3)]
            await until(lambda: here.ended("too-many-of-source") == 1)
            assert len(here.server.connections) == 2
            assert len(lines) == 3

    run(work())


def test_errors_are_kept_in_measure_and_end_a_connection() -> None:
    """A flood of wrong checksums: some dead letters, all counted, then the line is cut; others go on."""

    async def work() -> None:
        async with house(errors_per_minute=5) as here:
            _, hostile = await here.connect()
            reader, writer = await here.connect()
            wrong = frame().replace(b"Rtd=1.0", b"Rtd=2.0")
            try:
                for _ in range(200):
                    hostile.write(wrong)
                    await hostile.drain()
            except ConnectionError:
                pass
            await until(lambda: here.ended("too-many-errors") == 1)
            writer.write(frame())
            assert await reader.readexactly(len(answer(frame()))) == answer(frame())
            assert len(here.kafka.records("rejected")) == 5
            assert here.rejected("bad-crc") > 50

    run(work())


def test_endless_garbage_is_bounded() -> None:
    """Sixteen megabytes of nothing: never more held than a piece, counted, cut."""

    async def work() -> None:
        async with house(errors_per_minute=5) as here:
            _, hostile = await here.connect()
            try:
                for _ in range(256):
                    hostile.write(b"\xa5" * 65_536)
                    await hostile.drain()
            except ConnectionError:
                pass
            await until(lambda: here.ended("too-many-errors") == 1)
            assert sum(len(letter["value"]) for letter in here.kafka.records("rejected")) < 100_000

    run(work())


def test_who_sends_too_fast_is_read_more_slowly() -> None:
    """Nothing is dropped: the second half of a burst comes at the rate of the limit."""

    async def work() -> None:
        async with house(frames_per_second=100, burst=50) as here:
            reader, writer = await here.connect()
            frames = [frame(second=second) for second in range(150)]
            wanted = b"".join(map(answer, frames))
            began = time.monotonic()
            writer.write(b"".join(frames[:100]))
            await asyncio.sleep(0.05)
            writer.write(b"".join(frames[100:]))
            assert await reader.readexactly(len(wanted)) == wanted
            assert time.monotonic() - began > 0.4

    run(work())


def test_while_kafka_is_away_nothing_is_read_beyond_the_window() -> None:
    """A connection has at most its window under way; when Kafka is back all is answered, each once."""

    async def work() -> None:
        async with house(window=10, frames_per_second=10_000, burst=10_000) as here:
            here.kafka.gate.clear()
            reader, writer = await here.connect()
            frames = [frame(second=second) for second in range(2_000)]
            sending = asyncio.create_task(_send(writer, frames))
            await until(lambda: here.pipe.outstanding >= 10)
            await asyncio.sleep(0.2)
            assert here.pipe.outstanding < 10 + READ_BYTES // len(frames[0]) + 2
            here.kafka.gate.set()
            wanted = b"".join(map(answer, frames))
            assert await reader.readexactly(len(wanted)) == wanted
            await sending
            assert len(here.kafka.records("events.iot")) == 2_000

    run(work())


def test_a_full_pipe_stops_every_connection_and_lets_them_go_on() -> None:
    async def work() -> None:
        async with house(window=10 * MOST_FRAMES, frames_per_second=1e6, burst=1_000_000) as here:
            here.kafka.gate.clear()
            lines = [await here.connect() for _ in range(4)]
            frames = [frame(second=second % 3600) for second in range(10_000)]
            sending = [asyncio.create_task(_send(writer, frames)) for _, writer in lines]
            await until(lambda: here.pipe.full, 30)
            await asyncio.sleep(0.1)
            assert here.pipe.outstanding < MOST_FRAMES + 4 * 1_000
            here.kafka.gate.set()
            size = sum(len(answer(one)) for one in frames[:3600]) * 10_000 // 3600
            for reader, _ in lines:
                await reader.readexactly(size)
            await asyncio.gather(*sending)
            assert len(here.kafka.records("events.iot")) == 3600

    run(work())


def test_what_was_paused_for_two_reasons_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its window first, then by a full pipe: when Kafka is back, every connection is read again."""

    async def work() -> None:
        monkeypatch.setattr("connectors.gateway.pipe.MOST_FRAMES", 400)
        async with house(window=100, frames_per_second=1e6, burst=1_000_000) as here:
            here.kafka.gate.clear()
            lines = [await here.connect() for _ in range(5)]
            frames = [frame(second=second) for second in range(1_000)]
            sending = [asyncio.create_task(_send(writer, frames)) for _, writer in lines]
            await until(lambda: here.pipe.full)
            await asyncio.sleep(0.1)
            here.kafka.gate.set()
            size = sum(len(answer(one)) for one in frames)
            for reader, _ in lines:
                await asyncio.wait_for(reader.readexactly(size), 20)
            await asyncio.gather(*sending)

    run(work())


def test_coming_back_again_and_again_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the pipe is full a new connection is not read; when Kafka is back, those that went away are let go."""

    async def work() -> None:
        monkeypatch.setattr("connectors.gateway.pipe.MOST_FRAMES", 20)
        async with house() as here:
            here.kafka.gate.clear()
            frames = b"".join(frame(second=second) for second in range(100))
            for number in range(30):
                _, writer = await here.connect()
                writer.write(frames)
                await until(lambda number=number: len(here.server.connections) == number + 1)
                writer.close()
            await until(lambda: here.pipe.full)
            await asyncio.sleep(0.05)
            assert here.pipe.outstanding <= 20 + 2 * 100
            here.kafka.gate.set()
            await until(lambda: not here.server.connections)
            await here.pipe.drain()
            assert here.pipe._room == {}

    run(work())


def test_who_does_not_read_answers_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was slowed down at the same time: one reason ends, the other does not."""

    async def work() -> None:
        async with house(frames_per_second=1e6, burst=1_000_000, window=1_000_000) as here:
            _, writer = await here.connect()
            await until(lambda: here.server.connections)
            (connection,) = here.server.connections
            connection._slow = True
            connection.pause_writing()
            connection._waited()
            writer.write(frame())
            await asyncio.sleep(0.1)
            assert here.pipe.outstanding == 0
            assert here.kafka.records("events.iot") == []
            connection.resume_writing()
            await until(lambda: here.kafka.records("events.iot"))

    run(work())


def test_a_frame_that_comes_byte_by_byte_is_not_waited_for() -> None:
    """A byte now and then is not silence, and no reason to hold a frame for ever."""

    async def work() -> None:
        async with house(silence_seconds=1.0) as here:
            _, writer = await here.connect()
            for byte in frame()[:40]:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.08)
                if here.rejected("truncated"):
                    break
            assert here.rejected("truncated") == 1

    run(work())


def test_wrong_passwords_end_a_connection() -> None:
    async def work() -> None:
        async with house(errors_per_minute=3) as here:
            body = b'{"subject": "site:1", "sector": "ecology", "secret": "x$y"}'
            here.pipe.devices.put("hj212:A1", parse("hj212:A1", body))
            _, writer = await here.connect()
            with suppress(ConnectionError):
                for second in range(200):
                    writer.write(frame(second=second))
                    await writer.drain()
                    await asyncio.sleep(0.002)
            await until(lambda: here.ended("too-many-errors") == 1)

    run(work())


async def _send(writer: asyncio.StreamWriter, frames: list[bytes]) -> None:
    for first in range(0, len(frames), 50):
        writer.write(b"".join(frames[first : first + 50]))
        await writer.drain()
