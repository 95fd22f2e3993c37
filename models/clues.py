"""Alarmed rows -> clue rows: one clue an episode, an id that anybody can compute again, words and evidence."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from models.contract import Array, Arrays, BadSnapshot, Floats, taken
from models.keys import Codes, KeyTable
from models.serving import Serving
from topics.compiled import compiled_locked
from topics.records import CLUE

NEVER: Final = np.iinfo(np.int64).min
HOUR_MS: Final = 3_600_000
_NOTHING: Final = pl.DataFrame(schema=CLUE.columns)
MAIN: Final = 3  # contributions that an explanation names


def clue_id(model: str, key: str, event_id: str) -> str:
    """Hex of 20 bytes from model, key and the event that opened the episode.

    >>> clue_id("sensor", "site:1/d1/temp", "e1") == clue_id("sensor", "site:1/d1/temp", "e1")
    True
    """
    text = json.dumps(["model", model, key, event_id], ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


@compiled_locked
def _open(code: Array, at: Array, quiet_ms: int, last: Array, out: Array) -> None:
    for i in range(code.size):
        k = code[i]
        if k < 0:
            out[i] = True  # no room to remember: rather one clue too many than none
            continue
        out[i] = last[k] == NEVER or at[i] - last[k] > quiet_ms
        last[k] = max(last[k], at[i])


class Episodes:
    """When each key last alarmed. An alarm opens an episode where the key was quiet for longer than `quiet_ms` before it."""

    def __init__(self) -> None:
        self._keys = KeyTable()
        self._last: Codes = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def opened(self, keys: Sequence[pl.Series], at: Codes, quiet_ms: int) -> Array:
        """n alarms in order -> bool[n]: True where one opens an episode."""
        code = self._keys.codes(keys)
        more = len(self._keys) - len(self._last)
        self._last = np.concatenate([self._last, np.full(more, NEVER, np.int64)])
        out = np.zeros(len(at), np.bool_)
        _open(code, at, quiet_ms, self._last, out)
        return out

    def snapshot(self) -> Arrays:
        """Digests of the keys and their last alarms."""
        return self._keys.snapshot() | {"last": self._last.copy()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot."""
        keys = KeyTable()
        keys.restore(arrays)
        last = taken(arrays, "last", np.int64, (len(keys),))
        if (last == NEVER).any():
            raise BadSnapshot("an episode without an alarm")
        self._keys, self._last = keys, last


@dataclass(frozen=True, slots=True)
class Opening:
    """What a clue says beyond its event: key, score, model version, values for JSON, words for the explanation."""

    key: str
    score: float
    version: str
    values: Mapping[str, float | None]
    words: Mapping[str, Any]


def clue(serving: Serving, opening: Opening, event: Mapping[str, Any], topic: str, partition: int) -> dict[str, Any]:
    """One clue as a record with exactly the columns of `topics.records.CLUE`."""
    evidence = {"event_id": event["event_id"], "topic": topic, "partition": partition}
    evidence |= {"offset": event.get("_offset"), "occurred_at": event["occurred_at"]}
    words = {"subject_name": event.get("subject_name") or event["subject"], "score": opening.score, **opening.words}
    record = {
        "clue_id": clue_id(serving.model, opening.key, event["event_id"]),
        "origin": "model",
        "origin_id": serving.model,
        "origin_version": opening.version,
        "title": serving.title,
        "severity": serving.band(opening.score),
        "department": serving.department,
        "key": opening.key,
        "explanation": serving.explain.format_map(words),
        "evidence": json.dumps([evidence], ensure_ascii=False),
        "values": json.dumps({name: _plain(value) for name, value in opening.values.items()}, ensure_ascii=False),
        "raised_at": event.get("_ts", event["occurred_at"]),
        "score": opening.score,
    }
    same = {name: event.get(name) for name in ("sector", "subject", "subject_name", "region", "occurred_at")}
    return {name: (record | same).get(name) for name in CLUE.columns}


def frame_of(clues: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Clue records -> a frame with the columns and types of `topics.records.CLUE`."""
    return pl.DataFrame(list(clues), schema=CLUE.columns, orient="row") if clues else _NOTHING.clone()


def main_parts(parts: Mapping[str, float], labels: Mapping[str, str]) -> str:
    """The greatest positive contributions, in Chinese.

    >>> main_parts({"a": 0.1, "b": 1.25, "c": -2.0}, {"a": "甲", "b": "乙", "c": "丙"})
    '乙（+1.25）、甲（+0.10）'
    """
    top = sorted((p for p in parts.items() if p[1] > 0), key=lambda p: -p[1])[:MAIN]
    return "、".join(f"{labels.get(name, name)}（+{value:.2f}）" for name, value in top) or "多项因素叠加"


def quiet_ms(serving: Serving) -> int:
    """The serving's quiet period in ms."""
    return int(serving.quiet_hours * HOUR_MS)


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 9)


def row_of(names: Sequence[str], row: Floats) -> dict[str, float | None]:
    """One feature row as a mapping; a missing value is None."""
    return {name: _plain(float(value)) for name, value in zip(names, row, strict=True)}
