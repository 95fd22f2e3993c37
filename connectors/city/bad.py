"""Deliberately bad events, to see them rejected: the bytes and the reason that must be named."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from topics.events import KINDS
from topics.wire import encode, header


@dataclass(frozen=True, slots=True)
class BadEvent:
    """One bad record for the topic of `kind`: key, wire bytes, and the reason (`topics.reasons`) of its refusal."""

    kind: str
    key: bytes
    value: bytes
    reason: str


Record = dict[str, Any]


def _json(record: Record) -> bytes:
    return msgspec.json.encode({name: value for name, value in record.items() if value is not None})


def _avro(record: Record) -> bytes:
    return encode(KINDS[record["kind"]].schema, record)


def _with(**changes: Any) -> Callable[[Record], bytes]:
    return lambda record: _avro(record | changes)


def _wrong_check(record: Record) -> bytes:
    code = record["subject"]
    return _avro(record | {"subject": code[:-1] + ("0" if code[-1] != "0" else "1")})


def _not_utf8(record: Record) -> bytes:
    return _json(record | {"source": "@@"}).replace(b"@@", b"\xff\xfe")


WAYS: Final[dict[str, Callable[[Record], bytes]]] = {
    "bad-json": lambda record: _json(record)[:-20],
    "bad-utf8": _not_utf8,
    "bad-uscc": _wrong_check,
    "broken-avro": lambda record: _avro(record)[:40],
    "unknown-schema": lambda record: b"\x00\x00\x0f\x42\x3f" + _avro(record)[5:],
    "unknown-format": lambda record: b"\x7f\x01" + _avro(record),
    "empty-value": lambda _record: b"",
    "missing-field": lambda record: _json({k: v for k, v in record.items() if k != "event_id"}),
    "unknown-sector": _with(sector="astrology"),
    "bad-subject": _with(subject="nobody"),
    "bad-region": _with(region="000000"),
    "time-too-old": _with(occurred_at=0),
    "time-in-future": _with(occurred_at=4_102_444_800_000, observed_at=4_102_444_800_000),
    "not-finite": _with(value=float("nan")),
    "wrong-kind": lambda record: header(KINDS["video"].schema) + _avro(record)[5:],
}


def make_bad(seed: int, count: int, samples: list[Record]) -> list[BadEvent]:
    """`count` bad events made from good ones of kind iot, going round the ways to be bad."""
    rng = np.random.default_rng([seed, 9])
    out = []
    for number in range(count):
        reason = list(WAYS)[number % len(WAYS)]
        sample = samples[int(rng.integers(0, len(samples)))] | {"event_id": f"bad-{seed}-{number}"}
        out.append(BadEvent("iot", sample["subject"].encode(), WAYS[reason](sample), reason))
    return out
