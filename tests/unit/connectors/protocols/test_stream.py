"""The splitter: bounded memory, where reading goes on, and the examples of the package."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from connectors import protocols
from connectors.protocols import gb26875, hj212
from connectors.protocols.stream import PIECE, Bad, Splitter
from topics.reasons import REASONS

GOOD = {
    "hj212": hj212.encode({"ST": 32, "CN": 2011, "MN": "A1"}, "w01018-Rtd=2.2"),
    "gb26875": bytes.fromhex("4040020001000500090207150504030201000b0a09080706090002150108040009020715c52323"),
}
MODULES = [module.name for module in pkgutil.iter_modules(protocols.__path__)]
each = pytest.mark.parametrize("name", ["hj212", "gb26875"])


def splitter(name: str) -> Splitter[hj212.Frame] | Splitter[gb26875.Frame]:
    return {"hj212": hj212, "gb26875": gb26875}[name].splitter()  # type: ignore[attr-defined,no-any-return]


@each
@pytest.mark.parametrize(
    "junk", [b"x", b"#", b"@", b"##9999", b"@@\x00", b"\x00", b"##0000\r\n", b"@@" + bytes(22) + b"\0\4"]
)
def test_memory_is_bounded(name: str, junk: bytes) -> None:
    """A megabyte that never becomes a frame is told of in pieces and not kept; a good frame after it is found."""
    reader, told, most = splitter(name), 0, 0
    data = junk * (1_000_000 // len(junk))
    for at in range(0, len(data), 1000):
        told += sum(len(bad.raw) for bad in reader.feed(data[at : at + 1000]))
        most = max(most, reader.held)
    assert most < 60_000
    assert told + reader.held >= len(data) * (name != "hj212" or junk.strip(b"\0") != b"")
    found = [*reader.flush(), *reader.feed(GOOD[name]), *reader.flush()]
    assert not isinstance(found[-1], Bad)


@each
def test_an_endless_frame(name: str) -> None:
    """One that announces the longest and goes on byte by byte: no more than it announced is held."""
    start = {"hj212": b"##9999", "gb26875": b"@@" + bytes(22) + b"\0\4"}[name]
    reader = splitter(name)
    reader.feed(start)
    for _ in range(30_000):
        reader.feed(b"1")
    assert reader.held <= 6 + 9999 + PIECE + 6


@each
def test_errors_say_where(name: str) -> None:
    """`start` and `resume` are places in the whole stream; the bytes between them are `raw`."""
    reader, good = splitter(name), GOOD[name]
    data = b"noise" + good + b"more noise" + good
    found = [one for byte in data for one in reader.feed(bytes((byte,)))]
    bad = [one for one in found if isinstance(one, Bad)]
    assert [(one.start, one.resume) for one in bad] == [(0, 5), (5 + len(good), 15 + len(good))]
    assert all(data[one.start : one.resume] == one.raw for one in bad)
    assert bad[0].describe() == {
        "ok": False,
        "reason": "garbage",
        "detail": "no frame begins here",
        "start": 0,
        "resume": 5,
        "raw_hex": b"noise".hex(),
    }


@each
def test_silence(name: str) -> None:
    """What is held is given up when the stream has been silent, and the next frame is read as if nothing had been."""
    reader, good = splitter(name), GOOD[name]
    assert reader.feed(good[:12]) == []
    assert [one.reason for one in reader.flush() if isinstance(one, Bad)] == ["truncated"]
    (frame,) = reader.feed(good)
    assert not isinstance(frame, Bad)
    assert reader.held == 0


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples(name: str) -> None:
    """Each example in the package gives what it says."""
    module = importlib.import_module(f"connectors.protocols.{name}".rstrip("."))
    assert doctest.testmod(module).failed == 0


def test_every_reason_is_known() -> None:
    """What a decoder names is among the named reasons."""
    texts = [path.read_text("utf-8") for path in Path(protocols.__path__[0]).glob("*.py")]
    named = {reason for text in texts for reason in re.findall(r'Fault\(\s*"([a-z0-9-]+)"', text)}
    assert {"bad-crc", "bad-checksum", "garbage", "unknown-envelope"} <= named <= REASONS.keys()


def test_usable_alone() -> None:
    """No module of the package imports anything of ours, nor a library when it is loaded."""
    for path in Path(protocols.__path__[0]).glob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert not re.match(r"(?:from|import) (?:topics|fengsui|streams|connectors|numpy|numba|msgspec)\b", line)
