"""Whom a row is about: a credit code, another code, or a natural person, whose id never leaves in the clear.

>>> ids_ok(pl.Series(["11010519491231002X", "110105194912310021", "1"])).tolist()
[True, False, False]
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from connectors.exchange.cleaning import ID_CARD
from connectors.exchange.privacy import masked_ids, tokens
from connectors.exchange.table import Table
from topics.buffers import Bools
from topics.identifiers import uscc_ok

USCC_TYPES: Final = ("001", "统一社会信用代码", "统一社会信用代码证")
_ID_SHAPE: Final = r"^[1-9][0-9]{5}(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]$"
_WEIGHTS: Final = np.array([pow(2, 17 - i, 11) for i in range(17)], np.int64)
_CHECKS: Final = np.frombuffer(b"10X98765432", np.uint8)
_SHORTEST: Final = 5


@dataclass(frozen=True, slots=True)
class Party:
    """n rows each: the subject, the id as it may be shown, who a person is by token, a key of the party for event ids."""

    subject: pl.Series
    shown: pl.Series
    person: pl.Series
    key: pl.Series


def ids_ok(ids: pl.Series) -> Bools:
    """Whether each of n texts is a person id with a right check character (GB 11643); nulls are not."""
    shaped = ids.str.contains(_ID_SHAPE).fill_null(False)
    ok = np.zeros(len(ids), np.bool_)
    if shaped.any():
        chars = np.frombuffer("".join(ids.filter(shaped).to_list()).encode(), np.uint8).reshape(-1, 18)
        rest = ((chars[:, :17].astype(np.int64) - ord("0")) @ _WEIGHTS) % 11
        ok[shaped.to_numpy()] = _CHECKS[rest] == chars[:, 17]
    return ok


def party(table: Table, natural: pl.Series, person: tuple[str, str], uscc: pl.Series, other: pl.Series) -> Party:
    """The party of each row: where `natural`, by the column of its id and that of the id's type; else by credit code, else by
    another code. A row that has none has no subject (the form says what follows)."""
    code, kind = person
    natural = natural.fill_null(False)
    own = pl.select(pl.when(natural).then(table[code])).to_series()
    table.find("bad-person-id", code, own.str.len_chars() < _SHORTEST)
    token = tokens(own, table.terms.key)
    card = table[kind].is_in(ID_CARD) | (table[kind].is_null() & (own.str.len_chars() == 18))  # noqa: PLR2004 - GB 11643
    table.find("person-check", code, card & own.is_not_null() & ~pl.Series(ids_ok(own)))
    table.find("missing-id-type", kind, own.is_not_null() & table[kind].is_null())
    firm = pl.select(pl.when(~natural).then(uscc)).to_series()
    rest = pl.select(pl.when(~natural & firm.is_null()).then(other)).to_series()
    table.find("subject-licence", "", rest.is_not_null(), rest)
    key = pl.select(pl.coalesce(token, firm, rest)).to_series()
    subject = pl.select(pl.coalesce("person:" + token, "uscc:" + firm, "licence:" + rest)).to_series()
    shown = pl.select(pl.coalesce(masked_ids(own), firm, rest)).to_series()
    return Party(subject, shown, "person:" + token, key)


def token_of(table: Table, code: str) -> pl.Series:
    """`person:` and the token of a person's id in another column."""
    return "person:" + tokens(table[code], table.terms.key)


def credit_codes(codes: pl.Series) -> pl.Series:
    """Those that are credit codes, the others null."""
    return pl.select(pl.when(pl.Series(uscc_ok(codes))).then(codes)).to_series()
