"""Run as a program: warm up as a worker does, then judge events of every kind; print each kernel that had to be compiled then, or
that gives arrays without counting references to them, and each library that only learning needs."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numba.core.dispatcher import Dispatcher

from fengsui.settings import load as load_settings
from fengsui.warmup import warm_up
from rules import load_packs, parse_rule
from streams.chunk import Chunk, chunk_of
from streams.detect import Detect
from streams.regional import Regional
from streams.stage import Outbox
from tests.acceptance.rules import SILENT
from tests.faults.load import load
from topics.arrays import pack, unpack
from topics.events import KINDS
from topics.wire import encode

LATER = ("sklearn", "river")
ROOMS = ("rules", "models", "topics", "streams", "fengsui")


def kernels() -> list[Dispatcher]:
    """All of the house."""
    return [
        thing
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in ROOMS
        for thing in vars(module).values()
        if isinstance(thing, Dispatcher)
    ]


def name_of(kernel: Dispatcher) -> str:
    """Its module and name."""
    return f"{kernel.py_func.__module__}.{kernel.py_func.__name__}"


def compiled() -> dict[str, int]:
    """How many signatures each kernel has."""
    return {name_of(one): len(one.signatures) for one in kernels()}


def giving_arrays() -> list[str]:
    """Kernels that count no references and yet return an array, alone or in a tuple: nobody would free it."""
    uncounted = [one for one in kernels() if one.targetoptions.get("_nrt") is False]
    assert len(uncounted) > 50
    given = [(name_of(one), str(body.signature.return_type)) for one in uncounted for body in one.overloads.values()]
    return [name for name, what in given if "array" in what.lower()]


def chunk(topic: str, events: list[tuple[bytes, bytes, int]]) -> Chunk:
    """Records (key, value, arrival) as a chunk."""
    rows = [SimpleNamespace(offset=i, timestamp=at, key=k, value=v) for i, (k, v, at) in enumerate(events)]
    return chunk_of(topic, 0, 0, rows)


def main() -> None:
    """See the module."""
    settings = load_settings()
    warm_up()
    before = compiled()
    print(*giving_arrays(), *(name for name in LATER if name in sys.modules))
    rules = [*load_packs(Path("rules/packs")), parse_rule(SILENT, "silent")]
    events: list[dict[str, Any]] = [event for rule in rules for case in rule.tests for event in case.events]
    for i, event in enumerate(events):
        event["event_id"] = f"{i}"
    events += load(1, 3_000)
    lateness, out = settings.allowed_lateness_ms, Outbox()
    detect, regional = Detect(0, 1, lateness, settings.max_event_bytes), Regional(0, 1, lateness)
    for stage in (detect, regional):
        stage._judge.replace(rules, {})
    for kind in KINDS.values():
        mine = [one for one in events if one["kind"] == kind.code]
        records = [(one["subject"].encode(), encode(kind.schema, one), one["observed_at"]) for one in mine]
        for first in range(0, len(records), 700):
            detect.step(chunk(kind.topic, records[first : first + 700]), out)
    assert out.records["rekeyed"]
    assert out.records["clues"]
    regional.step(chunk("rekeyed", [(k, v, 10**12) for k, v, _ in out.records["rekeyed"]]), Outbox())
    detect.step(chunk("ticks.detect", [(b"tick", b"", 10**13)]), out)
    for stage in (detect, regional):
        stage.restore(unpack(pack(stage.snapshot())))  # as a checkpoint is read: arrays of other flags are other types
    for name, signatures in compiled().items():
        if signatures > before.get(name, 0):
            print(name)


if __name__ == "__main__":
    main()
