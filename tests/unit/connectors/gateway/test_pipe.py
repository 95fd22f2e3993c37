"""The pipe: answered only after Kafka, repeats not written, unknown parked within measure, bad named."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.devices.device import seal
from connectors.devices.registry import Devices
from connectors.gateway.item import Item
from connectors.gateway.limits import Limits
from connectors.gateway.pipe import MOST_FRAMES, PARKED_BYTES, Pipe
from connectors.gateway.recent import Recent
from connectors.gateway.wires import Hj212
from connectors.protocols import hj212
from tests.unit.connectors.gateway.fakes import Kafka, devices, frame, metrics, until

NOW = 1_767_196_800_000  # 2026-01-01 in China
WIRE = Hj212()
HEAD = {"QN": "20260101000000000", "ST": 32, "CN": 2011, "MN": "A1", "Flag": 5}


def item(raw: bytes, done: Callable[[str], None], **more: Any) -> Item:
    (one,) = hj212.decode(raw)
    assert isinstance(one, hj212.Frame)
    return Item(WIRE, WIRE.key(one), one, raw, NOW + 3_600_000, done, **more)


@asynccontextmanager
async def pipe(kafka: Kafka, known: Devices, **more: Any) -> AsyncIterator[Pipe]:
    made = Pipe(kafka, known, linger=0.001, **({"metrics": metrics()[0]} | more))  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_nothing_is_answered_before_kafka_has_it() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        kafka.gate.clear()
        async with pipe(kafka, devices("A1")) as made:
            made.offer(item(frame(), answers.append))
            await until(lambda: kafka.tries)
            assert answers == []
            assert made.outstanding == 1
            kafka.gate.set()
            await until(lambda: answers == [""])
            assert made.outstanding == 0
            assert [event["value"] for event in kafka.records("events.iot")] == [1.0]

    run(work())


def test_a_broker_that_is_away_is_waited_for() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        kafka.away = True
        counts, registry = metrics()
        async with pipe(kafka, devices("A1"), metrics=counts) as made:
            made.offer(item(frame(), answers.append))
            await until(lambda: kafka.tries > 2)
            assert answers == []
            kafka.away = False
            await until(lambda: answers == [""])
        assert len(kafka.written) == 1
        assert (registry.get_sample_value("fengsui_gateway_waits_total") or 0) >= 2

    run(work())


def test_a_repeat_is_answered_after_its_first() -> None:
    """Also in another batch, and with another QN: the first's acknowledgement counts for it."""

    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        kafka.gate.clear()
        async with pipe(kafka, devices("A1")) as made:
            made.offer(item(frame(), lambda _: answers.append("first")))
            await until(lambda: kafka.tries)
            made.offer(item(frame(QN="20260101000005000"), lambda _: answers.append("again")))
            await asyncio.sleep(0.05)
            assert answers == []
            kafka.gate.set()
            await until(lambda: len(answers) == 2)
        assert answers == ["first", "again"]
        assert len(kafka.records("events.iot")) == 1

    run(work())


def test_unknown_devices_are_parked_within_measure() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        limits = Limits(parked_burst=5, parked_per_minute=0.001)
        async with pipe(kafka, devices("A1"), limits=limits) as made:
            for second in range(8):
                made.offer(item(frame("X", second), answers.append))
            made.offer(item(frame("Y"), answers.append))
            await until(lambda: len(answers) == 9)
        assert answers == [""] * 5 + ["parking-full"] * 3 + [""]
        parked = kafka.records("parking")
        assert [record["device_id"] for record in parked] == ["hj212:X"] * 5 + ["hj212:Y"]
        assert parked[0]["body"] == frame("X", 0)

    run(work())


def test_passwords_and_sources() -> None:
    async def work() -> None:
        known = devices("A1", secret=seal("654321"), sources=["10.0.0.0/8"])
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, known) as made:
            made.offer(item(frame(), answers.append, peer="10.1.2.3"))
            made.offer(item(frame(PW="654321"), answers.append, peer="10.1.2.3"))
            made.offer(item(frame(second=1, PW="654321"), answers.append, peer="11.1.2.3"))
            made.offer(item(frame(second=2), answers.append, proved=True))
            await until(lambda: len(answers) == 4)
        assert answers == ["bad-credentials", "", "bad-source", ""]
        assert [letter["reason"] for letter in kafka.records("rejected")] == ["bad-credentials", "bad-source"]
        assert len(kafka.records("events.iot")) == 2

    run(work())


def test_what_cannot_be_an_event_is_a_dead_letter_and_answered() -> None:
    """Sending it again would not help; what is right in the same message goes on."""

    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        both = hj212.encode(
            HEAD,
            "DataTime=20260101000000;w01018-Rtd=x,w01018-Flag=D;w01001-Rtd=7.1,w01001-Flag=N",
        )
        async with pipe(kafka, devices("A1")) as made:
            made.offer(item(both, answers.append))
            made.offer(item(frame(value="1e999"), answers.append))
            made.offer(item(hj212.encode(HEAD, "DataTime=20261301000000;w01018-Rtd=1"), answers.append))
            await until(lambda: len(answers) == 3)
        assert answers == ["", "", ""]
        letters = {letter["reason"]: letter["value"] for letter in kafka.records("rejected")}
        assert letters.keys() == {"bad-value", "not-finite", "bad-time"}
        assert letters["bad-value"] == both
        assert [event["metric"] for event in kafka.records("events.iot")] == ["ph"]

    run(work())


def test_a_message_with_many_faults_is_one_letter() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        area = ";".join(f"w{i:05d}-Rtd=x" for i in range(200))
        async with pipe(kafka, devices("A1")) as made:
            made.offer(item(hj212.encode(HEAD, f"DataTime=20260101000000;{area}"), answers.append))
            await made.drain()
        assert answers == [""]
        assert len(kafka.records("rejected")) == 1

    run(work())


def test_a_refused_reading_is_new_when_it_comes_again() -> None:
    """Twenty minutes ahead it was refused; when that time has come, it is written."""

    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, devices("A1")) as made:
            for arrived in (NOW - 20 * 60_000, NOW, NOW):
                one = item(frame(), answers.append)
                one.arrived = arrived
                made.offer(one)
                await made.drain()
        assert answers == ["", "", ""]
        assert [letter["reason"] for letter in kafka.records("rejected")] == ["time-in-future"]
        assert len(kafka.records("events.iot")) == 1

    run(work())


def test_a_write_that_fails_oddly_answers_nothing_and_forgets() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, devices("A1")) as made:
            send, kafka.send = kafka.send, _odd  # type: ignore[method-assign]
            made.offer(item(frame(), answers.append))
            await made.drain()
            kafka.send = send  # type: ignore[method-assign]
            made.offer(item(frame(), answers.append))
            await made.drain()
        assert answers == ["processing-failed", ""]
        assert len(kafka.records("events.iot")) == 1

    run(work())


async def _odd(*_: Any) -> int:
    raise ValueError("odd")


def test_all_unknown_devices_together_have_a_measure_of_bytes() -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        big = hj212.encode(HEAD, "DataTime=20260101000000;" + "x" * 9_000)
        async with pipe(kafka, devices("A1"), limits=Limits(parked_burst=10_000)) as made:
            for number in range(PARKED_BYTES // len(big) + 200):
                one = item(big, answers.append)
                one.key = f"hj212:U{number % 5_000}"
                made.offer(one)
                if made.full:
                    await made.drain()
            await made.drain()
        assert 100 <= answers.count("parking-full") <= 200

    run(work())


def test_a_replay_must_prove_what_its_device_must() -> None:
    """What was parked before a device had a password is its own only with that password, and from where it may send."""

    async def work() -> None:
        known = devices("A1", secret=seal("654321"), sources=["10.0.0.0/8"])
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, known) as made:
            made.offer(item(frame(), answers.append, peer="10.1.2.3", replayed=True))
            made.offer(item(frame(second=1, PW="654321"), answers.append, peer="11.1.2.3", replayed=True))
            made.offer(item(frame(second=2, PW="654321"), answers.append, peer="10.1.2.3", replayed=True))
            made.offer(item(frame("gone"), answers.append, replayed=True))
            await made.drain()
        assert answers == ["bad-credentials", "bad-source", "", "unknown-device"]
        assert [letter["reason"] for letter in kafka.records("rejected")] == ["bad-credentials", "bad-source"]

    run(work())


class Broken(Hj212):
    """Fails on messages of device A2."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self._error = error

    def events(self, device: Any, frame: Any, arrived: int, rows: Any) -> None:
        super().events(device, frame, arrived, rows)
        if frame.header["MN"] == "A2":
            raise self._error("odd")


def test_a_message_that_nobody_can_work_on_harms_no_other() -> None:
    """It becomes a dead letter, and is answered; what came with it goes on, each once, also when it is sent again."""

    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, devices("A1", "A2", "A3")) as made:
            for _ in range(2):
                for name in ("A1", "A2", "A3"):
                    one = item(frame(name), lambda outcome, name=name: answers.append(name + outcome))  # type: ignore[misc]
                    one.protocol = Broken(ZeroDivisionError)
                    made.offer(one)
                await made.drain()
        assert answers == ["A1", "A2", "A3"] * 2
        assert [letter["reason"] for letter in kafka.records("rejected")] == ["processing-failed"] * 2
        assert kafka.records("rejected")[0]["value"] == frame("A2")
        assert [event["device_id"] for event in kafka.records("events.iot")] == ["hj212:A1", "hj212:A3"]

    run(work())


def test_surroundings_that_fail_blame_no_message() -> None:
    """No memory, no disk: that message is not answered, and new when it comes again."""

    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, devices("A1", "A2")) as made:
            bad = item(frame("A2"), answers.append)
            bad.protocol = Broken(MemoryError)
            made.offer(item(frame("A1"), answers.append))
            made.offer(bad)
            await made.drain()
            made.offer(item(frame("A2"), answers.append))
            await made.drain()
        assert answers == ["", "processing-failed", ""]
        assert kafka.records("rejected") == []
        assert [event["device_id"] for event in kafka.records("events.iot")] == ["hj212:A1", "hj212:A2"]

    run(work())


def test_full_until_there_is_room() -> None:
    async def work() -> None:
        kafka, room = Kafka(), list[str]()
        kafka.gate.clear()
        async with pipe(kafka, devices("A1")) as made:
            one = item(frame(), lambda _: None)
            for _ in range(MOST_FRAMES):
                made.offer(one)
            assert made.full
            made.when_room(lambda: room.append("room"))
            kafka.gate.set()
            await until(lambda: room == ["room"])
            await made.drain()
            assert made.outstanding == 0

    run(work())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=60), st.integers(1, 7))
def test_each_reading_once_however_often_and_in_whatever_batches(sent: list[tuple[int, int]], at_once: int) -> None:
    async def work() -> None:
        kafka, answers = Kafka(), list[str]()
        async with pipe(kafka, devices("A1"), recent=Recent(100)) as made:
            for first in range(0, len(sent), at_once):
                for second, times in sent[first : first + at_once]:
                    for _ in range(times):
                        made.offer(item(frame(second=second, value=second), answers.append))
                await made.drain()
        assert len(answers) == sum(times for _, times in sent)
        values = [event["value"] for event in kafka.records("events.iot")]
        assert values == list(dict.fromkeys(float(second) for second, _ in sent))

    run(work())
