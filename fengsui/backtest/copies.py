"""Copies of events under other keys (region, person, chain) between the two halves of a back-test.

The regional stage took them in the order in which tasks committed, which no rule of order repeats. The archived `rekeyed` topic
holds that order: what is in it comes where it stood, with its place and log time; what only a draft asks for comes before what
followed it in its own partition. Copies of rules nobody ever published come by log time. Those of one share are held in memory.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from connectors.archive.layout import files
from fengsui.backtest.log import ROWS, merged
from rules import Judge
from topics.events import KINDS
from topics.keys import partitions_of

NEVER: Final = 2**62
_REKEYED: Final = "rekeyed"
_ID: Final = ("_key", "event_id")


def put(judge: Judge, kind: str, frame: pl.DataFrame, folder: Path, partition: int, number: int) -> None:
    """The copies that rules of other keys ask for of a batch, with where its events stand, into a file below `folder`."""
    copies = judge.copies(kind, frame)
    if copies.height:
        where: dict[str, Any] = {"_topic": pl.lit(KINDS[kind].topic), "_partition": pl.lit(partition, pl.Int64)}
        where["_key"] = copies["key"]
        folder.mkdir(parents=True, exist_ok=True)
        made = frame[copies["row"].to_numpy()].with_columns(**where)
        made.write_parquet(folder / f"{partition}-{number}-{kind}.parquet", compression="lz4")


def take(root: Path, folder: Path, kinds: Sequence[str], share: int, count: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Copies of one share of the keys, in runs of one kind, as the regional stage took them or would have."""
    found = {kind: _of(folder, kind, share, count) for kind in kinds}
    found = {kind: frame for kind, frame in found.items() if frame.height}
    known = _order(root, share) if found else pl.DataFrame()
    if not known.height:
        yield from merged({kind: iter([frame.sort("_ts", maintain_order=True)]) for kind, frame in found.items()})
        return
    placed = {kind: _placed(frame, known, share) for kind, frame in found.items()}
    ranks = [frame.select("_order", "_turn", pl.lit(i).alias("kind"), pl.int_range(pl.len()).alias("row"))
             for i, frame in enumerate(placed.values())]  # fmt: skip
    order = pl.concat(ranks).sort("_order", "_turn", maintain_order=True)
    which, rows = order["kind"].to_numpy(), order["row"].to_numpy()
    names, frames = list(placed), [frame.drop("_order", "_turn") for frame in placed.values()]
    edges = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), which.size]
    for first, last in itertools.pairwise(edges):
        for a in range(first, last, ROWS):
            mine = int(which[a])
            yield names[mine], frames[mine][rows[a : min(a + ROWS, last)]]


def _of(folder: Path, kind: str, share: int, count: int) -> pl.DataFrame:
    """All copies of a kind whose keys are of this share, partition after partition."""
    paths = sorted(folder.glob(f"*-{kind}.parquet"), key=lambda path: [int(part) for part in path.stem.split("-")[:2]])
    parts = []
    for path in paths:
        frame = pl.read_parquet(path)
        parts.append(frame.filter(pl.Series(partitions_of(frame["_key"], count) == share)))
    return pl.concat(parts) if parts else pl.DataFrame()


def _order(root: Path, share: int) -> pl.DataFrame:
    """Where each copy stood in the archived topic, and when it came."""
    paths = files(root, _REKEYED, share)
    if not paths:
        return pl.DataFrame()
    said = pl.scan_parquet(paths).filter(pl.col("kind").is_not_null())
    stood = said.select(
        pl.col("_key").cast(pl.String), "event_id", pl.col("_offset").alias("_order"), pl.col("_ts").alias("_came")
    )
    return stood.collect().unique(_ID, keep="first", maintain_order=True)


def _placed(frame: pl.DataFrame, known: pl.DataFrame, share: int) -> pl.DataFrame:
    """The copies with `_order` and `_turn` to sort by. One that is not known comes just before the next known one of its own
    partition, or in the end."""
    joined = frame.join(known, on=_ID, how="left", maintain_order="left")
    found = pl.col("_order").is_not_null()
    return joined.with_columns(
        pl.when(found).then(pl.lit(_REKEYED)).otherwise("_topic").alias("_topic"),
        pl.when(found).then(pl.lit(share, pl.Int64)).otherwise("_partition").alias("_partition"),
        pl.when(found).then("_order").otherwise("_offset").alias("_offset"),
        pl.coalesce("_came", "_ts").alias("_ts"),
        found.alias("_turn"),
        pl.col("_order").fill_null(strategy="backward").over("_partition").fill_null(NEVER).alias("_order"),
    ).drop("_came")
