"""Rows of events as frames: the envelope from the register, the kind's own columns given, the rest null."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city.register import SECTORS, Register
from topics.events import KINDS

Ints = npt.NDArray[np.int64]
SOURCES: Final = {
    "inspection": "inspection-system",
    "penalty": "case-system",
    "complaint": "hotline-12345",
    "iot": "iot-gateway",
    "video": "video-gateway",
    "opinion": "opinion-monitor",
}
# Which act of the item catalogue an event belongs to (the last four of the 14 digits); 0 where none does.
_ITEM_TAIL: Final = {
    "inspection": "0101",
    "penalty": "0201",
    "complaint": "0301",
    "iot": "",
    "video": "",
    "opinion": "",
}


def rows(kind: str, register: Register, subject: Ints, at: Ints, own: Mapping[str, Any]) -> pl.DataFrame:
    """n events of a kind at register rows `subject`, occurred at `at` (ms), with the kind's own columns; event_id and
    observed_at are null until arrival gives them. Column types are those of `topics.events`."""
    who = register.subjects[subject]
    given: dict[str, Any] = {
        "kind": pl.lit(kind),
        "sector": who["sector"],
        "subject": who["subject"],
        "subject_name": who["subject_name"],
        "region": who["region"],
        "occurred_at": pl.Series(at, dtype=pl.Int64),
        "source": pl.lit(SOURCES[kind]),
        "item_code": item_codes(kind, who["sector"]),
        "person": who["person"],
        "chain": who["chain"],
        **own,
    }
    types = KINDS[kind].schema.columns
    columns = [_column(given.get(name), dtype, name) for name, dtype in types.items()]
    return pl.DataFrame({"_": subject}).select(columns)


def _column(value: Any, dtype: type[pl.DataType], name: str) -> pl.Expr:
    if value is None:
        return pl.lit(None, dtype).alias(name)
    if isinstance(value, pl.Expr):
        return value.cast(dtype).alias(name)
    return pl.lit(pl.Series(name, value, dtype=dtype, strict=False)).alias(name)


def item_codes(kind: str, sector: pl.Series) -> pl.Series:
    """The 14 digits of the supervision item of each row: an opaque code a sector and kind of act (domain 1.8)."""
    tail = _ITEM_TAIL[kind]
    if not tail:
        return pl.Series("item_code", [None], dtype=pl.String).new_from_index(0, len(sector))
    codes = {code: f"0132{number:02d}0000{tail}" for number, code in enumerate(SECTORS, 1)}
    return sector.replace_strict(codes, return_dtype=pl.String)


def party(register: Register, subject: Ints) -> dict[str, pl.Series]:
    """The block of the party that inspection and penalty records carry."""
    who = register.subjects[subject]
    return {
        "party_name": who["subject_name"],
        "party_id": who["party_id"],
        "party_type": pl.Series(["法人及非法人组织"]).new_from_index(0, len(subject)),
        "party_id_type": pl.Series(["001"]).new_from_index(0, len(subject)),
        "address": who["address"],
    }


def choose(rng: np.random.Generator, words: Mapping[str, float], count: int) -> list[str]:
    """`count` words drawn by their weights (which need not add up to 1)."""
    weights = np.array(list(words.values()))
    drawn: list[str] = rng.choice(list(words), count, p=weights / weights.sum()).tolist()
    return drawn


def choose_by_sector(
    rng: np.random.Generator, table: Mapping[str, Mapping[str, float]], default: Mapping[str, float], sectors: pl.Series
) -> list[str]:
    """One word a row from the table of its sector, or from the default table."""
    values = sectors.to_numpy()
    out = np.empty(len(values), dtype=object)
    for sector in np.unique(values).tolist():
        where = values == sector
        out[where] = choose(rng, table.get(sector, default), int(where.sum()))
    words: list[str] = out.tolist()
    return words
