"""Model snapshots on the `models` topic: cut into parts by the learner's stage, put together again by every scorer."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from streams.ledger import PART_BYTES
from streams.stage import Arrays, ControlRecord, Outbox
from topics.arrays import pack, unpack
from topics.records import BLOB
from topics.wire import decode

LIMIT = 256 * 2**20  # bytes that one snapshot may unfold to


def publish(out: Outbox, sector: str, model: str, version: str, seq: int, arrays: Arrays) -> None:
    """Write a snapshot, cut into parts, keyed sector/model/part."""
    body = pack(arrays)
    parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)]
    name = f"{sector}/{model}"
    meta = json.dumps({"seq": seq, "version": version})
    for i, part in enumerate(parts):
        record = {"name": name, "part": i, "parts": len(parts), "meta": meta, "body": part}
        out.record("models", BLOB, f"{name}/{i}", record)


class Assembler:
    """Puts parts together; a snapshot is given out once its last part has come."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], dict[int, bytes]] = {}

    def take(self, records: Sequence[ControlRecord]) -> Iterator[tuple[str, str, str, dict[str, npt.NDArray[Any]]]]:
        """(sector, model, version, arrays) of every snapshot that these records complete."""
        for record in records:
            if record.value is None:
                continue
            _, blob = decode(record.value)
            meta = json.loads(blob["meta"])
            parts = self._parts.setdefault((blob["name"], meta["seq"]), {})
            parts[blob["part"]] = blob["body"]
            if len(parts) == blob["parts"]:
                del self._parts[blob["name"], meta["seq"]]
                sector, _, model = blob["name"].partition("/")
                yield sector, model, meta["version"], unpack(b"".join(parts[i] for i in range(len(parts))), LIMIT)
