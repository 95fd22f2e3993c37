"""Model snapshots on the `models` topic: cut into parts by the learner's stage, put together again by every scorer."""

import json
from collections.abc import Iterator, Sequence

import structlog

from streams import metrics
from streams.ledger import blobs
from streams.stage import Arrays, ControlRecord, Outbox
from topics.arrays import BadArrays, pack, unpack
from topics.wire import Refused, decode

log = structlog.get_logger()
Snapshot = tuple[str, str, str, Arrays]  # sector, model, version, arrays
LIMIT = 256 * 2**20  # bytes that one snapshot may unfold to


def publish(out: Outbox, sector: str, model: str, version: str, seq: int, arrays: Arrays) -> None:
    """Write a snapshot, cut into parts, keyed sector/model/part."""
    for key, value in blobs(f"{sector}/{model}", {"seq": seq, "version": version}, pack(arrays)):
        out.put("models", key, value)


class Assembler:
    """Puts parts together; a snapshot is given out once its last part has come. What is no part is logged and counted."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, dict[int, bytes]]] = {}  # name -> seq and parts of the set that is coming in

    def take(self, records: Sequence[ControlRecord]) -> Iterator[Snapshot]:
        """(sector, model, version, arrays) of every snapshot that these records complete."""
        for record in records:
            if record.value is None:
                continue
            try:
                snapshot = self._add(record.value)
            except (Refused, BadArrays, ValueError, KeyError, TypeError) as error:
                metrics.REJECTED.labels("control", "bad-snapshot").inc()
                log.warning("snapshot.refused", key=record.key.decode(errors="replace"), error=str(error))
                continue
            if snapshot is not None:
                yield snapshot

    def _add(self, value: bytes) -> Snapshot | None:
        blob = decode(value)[1]
        name, meta = blob["name"], json.loads(blob["meta"])
        seq, parts = self._parts.get(name, (None, {}))
        if seq != meta["seq"]:  # one learner writes set after set, whole: what is left of another never comes to an end
            parts = {}
        self._parts[name] = (meta["seq"], parts)
        parts[blob["part"]] = blob["body"]
        if len(parts) < blob["parts"]:
            return None
        del self._parts[name]
        sector, _, model = name.partition("/")
        return sector, model, meta["version"], unpack(b"".join(parts[i] for i in range(len(parts))), LIMIT)
