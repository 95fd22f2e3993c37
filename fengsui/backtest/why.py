"""What a rule saw of one key's events in the archive: the witness of `rules`, on the log of `backtest`."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from fengsui.backtest import copies
from fengsui.backtest.log import Log, Slice, partitions, refused
from fengsui.backtest.run import kinds_of
from rules import Filter, Judge, Rule
from rules.witness import Seen, Witness
from topics.events import KINDS
from topics.keys import partition_of


def seen(
    rule: Rule,
    root: Path,
    key: str,
    *,
    lateness: Mapping[str, int],
    filters: Sequence[Filter] = (),
    when: Slice | None = None,
) -> Iterator[Seen]:
    """What the rule saw of the events of a subject (or of `region:320102`, `person:…`, `chain:…`, where it is judged by one), in
    the order in which they were taken."""
    witness = Witness(rule, lateness=lateness, filters=filters)
    for kind, frame in (_by_subject if rule.foreign is None else _by_other_key)(
        rule, root, key, witness, when or Slice()
    ):
        topic = KINDS[kind].topic if rule.foreign is None else "rekeyed"
        yield from witness.look(kind, frame, topic=topic, partition=0)


def _by_subject(rule: Rule, root: Path, key: str, witness: Witness, when: Slice) -> Iterator[tuple[str, pl.DataFrame]]:
    count = partitions(root)
    columns = {kind: witness.columns(kind) for kind in kinds_of(rule)}
    log = Log(root, partition_of(key.encode(), count), count, refused(root), when)
    for kind, frame in log.events(columns):
        mine = frame.filter(pl.col("subject") == key)
        if mine.height:
            yield kind, mine


def _by_other_key(
    rule: Rule, root: Path, key: str, witness: Witness, when: Slice
) -> Iterator[tuple[str, pl.DataFrame]]:
    count, bad, kinds = partitions(root), refused(root), kinds_of(rule)
    judge = Judge([rule], scope="subject", lateness={})
    columns = {kind: judge.columns(kind) | witness.columns(kind) for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="fengsui-why-") as scratch:
        for partition in range(count):
            for n, (kind, frame) in enumerate(Log(root, partition, count, bad, when).events(columns)):
                copies.put(judge, kind, frame, Path(scratch), partition, n)
        for kind, frame in copies.take(root, Path(scratch), kinds, partition_of(key.encode(), count), count):
            mine = frame.filter(pl.col("_key") == key)
            if mine.height:
                yield kind, mine
