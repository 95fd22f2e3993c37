"""Events made from devices' messages, gathered row by row and checked, encoded and keyed by columns.

Python works here per reading, not per record of the stream: a device's frame is small, and everything after it is columns.
Cost: about 1 us a reading to gather, 3 us to make bytes of (1,000 at a time).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from connectors.devices.device import Channel, Device
from connectors.producing import Pair
from topics.checks import check
from topics.columns import encode_frame
from topics.events import KINDS, Kind

Value = str | int | float | bool | None
Row = tuple[Value, ...]
_ENVELOPE: Final = (
    *("event_id", "kind", "sector", "subject", "subject_name", "region", "chain"),
    *("occurred_at", "observed_at", "source", "device_id"),
)
COLUMNS: Final = {
    "iot": (*_ENVELOPE, "metric", "value", "unit", "flag"),
    "video": (*_ENVELOPE, "label", "confidence", "picture", "sha256"),
}
NO_CHANNEL: Final = Channel()
_WHOLE: Final = "whole "  # before the kind: rows that have all of its fields


def kind_of(shape: str) -> Kind:
    """The kind of rows of a shape: a kind's code, or `whole ` and that."""
    return KINDS[shape.removeprefix(_WHOLE)]


@dataclass(slots=True)
class Rows:
    """Rows by shape (`kind_of`), each with the number of the message it came from: `owner`, set before its rows are added."""

    owner: int = 0
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"iot": [], "video": []})
    owners: dict[str, list[int]] = field(default_factory=lambda: {"iot": [], "video": []})
    refused: list[tuple[int, str, str]] = field(default_factory=list)

    def reading(
        self,
        device: Device,
        channel: Channel,
        event_id: str,
        times: tuple[int, int],
        source: str,
        measured: tuple[str, float, str | None, str | None],
        part: str = "",
    ) -> None:
        """A sensor reading. `times`: occurred, observed (ms UTC); `measured`: metric, value, unit, flag before the channel's
        own names and calibration; `part`: of a device that has several, which are devices of their own to rules."""
        metric, value, unit, flag = measured
        if channel is not NO_CHANNEL:
            if channel.ignore:
                return
            metric, unit = channel.metric or metric, channel.unit or unit
            value = value * channel.scale + channel.offset
        self.rows["iot"].append(
            (
                event_id, "iot", device.sector, channel.subject or device.subject,
                channel.subject_name if channel.subject else device.subject_name, device.region, device.chain,
                times[0], times[1], source, channel.device_id or (f"{device.device_id}/{part}" if part else device.device_id),
                metric, value, unit, flag,
            )
        )  # fmt: skip
        self.owners["iot"].append(self.owner)

    def sighting(
        self,
        device: Device,
        event_id: str,
        times: tuple[int, int],
        source: str,
        seen: tuple[str, float | None, str | None, str | None],
    ) -> None:
        """A camera event. `seen`: label, confidence, where the picture is, its SHA-256."""
        self.rows["video"].append(
            (
                event_id, "video", device.sector, device.subject, device.subject_name, device.region, device.chain,
                times[0], times[1], source, device.device_id, *seen,
            )
        )  # fmt: skip
        self.owners["video"].append(self.owner)

    def event(self, kind: Kind, record: Mapping[str, Value]) -> None:
        """An event that came whole, with every field of its kind."""
        shape = _WHOLE + kind.code
        self.rows.setdefault(shape, []).append(tuple(record[name] for name in kind.schema.columns))
        self.owners.setdefault(shape, []).append(self.owner)

    def refuse(self, reason: str, detail: str = "") -> None:
        """A part of the current message that cannot become an event."""
        self.refused.append((self.owner, reason, detail))


@dataclass(frozen=True, slots=True)
class Made:
    """Events of one kind for Kafka, what was refused: (owner, reason, detail), the owners of good ones that were left out, and
    which of the rows were refused."""

    pairs: list[Pair]
    refused: list[tuple[int, str, str]]
    folded: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)


Keep = Callable[[pl.DataFrame, list[int]], list[bool]]


def make(shape: str, rows: list[Row], owners: list[int], arrived: int, keep: Keep | None = None) -> Made:
    """n rows of a shape -> keyed wire values of the good ones, and reasons for the others. `keep`, asked with the good ones and
    their owners in order, says which of them are to be written."""
    kind = kind_of(shape)
    types = kind.schema.columns
    columns = dict(zip(COLUMNS.get(shape, types), zip(*rows, strict=True), strict=True))
    data = {name: pl.Series(name, columns[name], types[name], strict=False) for name in columns}
    frame = pl.DataFrame(data).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in data
    )
    checked = check(kind, frame.select(list(types)), arrived)
    if checked.clean:
        good, refused, bad = checked.frame, [], []
    else:
        good = checked.frame.filter(checked.good)
        reasons = checked.reason.to_list()
        refused = [(owners[i], reason, "") for i, reason in enumerate(reasons) if reason]
        bad = [i for i, reason in enumerate(reasons) if reason]
        owners = [owner for owner, reason in zip(owners, reasons, strict=True) if not reason]
    folded: list[int] = []
    if keep is not None:
        kept = keep(good, owners)
        folded = [owner for owner, stays in zip(owners, kept, strict=True) if not stays]
        good = good.filter(pl.Series(kept, dtype=pl.Boolean)) if folded else good
    keys = [subject.encode() for subject in good["subject"].to_list()]
    return Made(list(zip(keys, encode_frame(kind.schema, good), strict=True)), refused, folded, bad)
