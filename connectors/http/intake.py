"""The items of a body -> what goes onto the topics and what is refused: checked by columns, encoded by columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from connectors.http.forms import Item
from connectors.producing import Pair
from topics.checks import check
from topics.columns import encode_frame
from topics.events import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that is not taken: its index in the body, named reason, detail, raw bytes."""

    index: int
    reason: str
    detail: str
    raw: bytes


@dataclass(slots=True)
class Verdict:
    """Events to write, (key, value) by kind, each subject's in the body's order; and refusals by index."""

    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many events are to be written."""
        return sum(map(len, self.pairs.values()))


def judge(items: Sequence[Item], arrived: int, max_event_bytes: int) -> Verdict:
    """Check and encode n items that arrived at `arrived` (ms UTC). Cost: about 15 us an event at 100 events a body."""
    verdict = Verdict()
    groups: dict[str, list[int]] = {}
    for i, item in enumerate(items):
        if len(item.raw) > max_event_bytes:
            verdict.refused.append(Refusal(i, "too-large", f"{len(item.raw)} bytes", item.raw))
        elif item.kind is None:
            verdict.refused.append(Refusal(i, item.reason, item.detail, item.raw))
        else:
            groups.setdefault(item.kind.code, []).append(i)
    for code, where in groups.items():
        _judge_kind(KINDS[code], items, where, arrived, verdict)
    verdict.refused.sort(key=lambda refusal: refusal.index)
    return verdict


def _judge_kind(kind: Kind, items: Sequence[Item], where: list[int], arrived: int, verdict: Verdict) -> None:
    rows = [items[i].record for i in where]
    checked = check(kind, pl.DataFrame(rows, schema=kind.schema.columns, orient="row"), arrived)
    for i, reason in zip(where, checked.reason.to_list(), strict=True):
        if reason:
            verdict.refused.append(Refusal(i, reason, "", items[i].raw))
    good = checked.frame.filter(checked.good)
    if good.height:
        verdict.pairs[kind.code] = keyed(kind, good)


def keyed(kind: Kind, frame: pl.DataFrame) -> list[Pair]:
    """(key, value) of each row of a checked frame: the standardised subject, and the event in the wire format."""
    keys = [subject.encode() for subject in frame["subject"].to_list()]
    return list(zip(keys, encode_frame(kind.schema, frame), strict=True))
