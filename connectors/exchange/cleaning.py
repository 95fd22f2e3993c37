"""A chunk of source rows -> the form's columns as clean text, by column; only what is dirty costs more than a look.

Cleaning what is clean changes nothing. Units, masks and codes of the engine come later, where events are made.

>>> rows = pl.DataFrame({"CF_XDR_SHXYM": ["统一社会信用代码：91350100m000100y43（1/1）"], "CF_JDRQ": ["2024/3/1"]})
>>> cleaned = clean(FORMS["penalty"], rows)
>>> cleaned.frame["CF_XDR_SHXYM"][0], cleaned.frame["CF_JDRQ"][0], sorted({f.rule for f in cleaned.found})
('91350100M000100Y43', '2024-03-01', ['code-case', 'code-prefix', 'code-suffix', 'date-form', 'full-width'])
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from connectors.exchange import dates
from connectors.exchange.forms import FORMS, Column, Form
from topics.identifiers import person_id_from_15

__all__ = ["FORMS", "ID_CARD", "Cleaned", "Finding", "clean"]

ID_CARD: Final = ("身份证", "居民身份证", "111", "二代身份证", "中华人民共和国居民身份证")
_EMPTY: Final = r"(?i)^(undefined|null|none|nan|n/a|无|空|暂无|未填|[-—/\\]+)$"
_LONGEST_EMPTY: Final = 9  # bytes of "undefined" and of 中华人: what is longer is no such word
_EDGES: Final = r"^[\s\x{FEFF}\x{200B}']+|[\s\x{FEFF}\x{200B}]+$"  # a leading ' is Excel's mark of a text
_GUARDED: Final = r'^="([^"]*)"$'  # how exports keep Excel from reading a code as a number
_WIDE: Final = r"[\x{FF01}-\x{FF5E}\x{3000}\x{00A0}]"
_PLAIN_CODE: Final = r"^[0-9A-Z-]*$"
_PREFIX: Final = r"^.*:"
_SUFFIX: Final = r"(\([0-9]+/[0-9]+\))+$"
_LOWER: Final = r"^[\x00-\x7F]*[a-z][\x00-\x7F]*$"
_ID_15: Final = r"^[1-9][0-9]{14}$"
_AMOUNT: Final = r"^[0-9]{1,15}(\.[0-9]{1,15})?$"
_NOT_AMOUNT: Final = r"[\s,_¥￥$]|人民币"
_YUAN: Final = r"^([0-9]+(?:\.[0-9]+)?)元整?$"
_WAN_YUAN: Final = r"万元?整?$"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies to some of n rows, in a column ("" for several); `values`: what stands there, where the column's cell
    does not say it."""

    rule: str
    column: str
    rows: pl.Series
    values: pl.Series | None = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """n rows, a text column for each of the form's; what was mended."""

    frame: pl.DataFrame
    found: list[Finding] = field(default_factory=list)


def clean(form: Form, rows: pl.DataFrame) -> Cleaned:
    """Clean n rows whose text columns are named by the form's codes (others are null)."""
    found: list[Finding] = []
    columns = []
    for column in form.columns:
        if column.code not in rows.columns or rows[column.code].null_count() == rows.height:
            columns.append(pl.Series(column.code, [None], dtype=pl.String).new_from_index(0, rows.height))
            continue
        columns.append(_Cells(column, rows[column.code], found).clean())
    frame = pl.DataFrame(columns)
    for code, kind, untyped in form.persons:
        frame = _of_15(frame, code, frame[kind].is_in(ID_CARD) | (frame[kind].is_null() & untyped), found)
    return Cleaned(frame, found)


@dataclass(slots=True)
class _Cells:
    """One column on its way."""

    column: Column
    texts: pl.Series
    found: list[Finding]

    def clean(self) -> pl.Series:
        self._strip()
        self._empty()
        if self.column.holds == "text":
            return self.texts
        self._mend("full-width", _WIDE, lambda texts: texts.str.normalize("NFKC"))
        self._strip()
        getattr(self, f"_{self.column.holds}")()
        self._strip()
        self._empty()
        return self.texts

    def _mend(self, rule: str, where: str, how: Callable[[pl.Series], pl.Series]) -> None:
        """Mend the cells that match, and count them."""
        hit = self.texts.str.contains(where).fill_null(False)
        if not hit.any():
            return
        self.texts = self.texts.scatter(hit.arg_true(), how(self.texts.filter(hit)))
        self.found.append(Finding(rule, self.column.code, hit))

    def _strip(self) -> None:
        for where, what in ((_EDGES, ""), (_GUARDED, "${1}"), (_EDGES, "")):
            if self.texts.str.contains(where).any():
                self.texts = self.texts.str.replace_all(where, what)
        if (self.texts == "").any():
            self.texts = pl.select(pl.when(self.texts != "").then(self.texts)).to_series().alias(self.column.code)

    def _empty(self) -> None:
        short = (self.texts.str.len_bytes() <= _LONGEST_EMPTY).fill_null(False)
        if short.any():
            self._mend(
                "empty-word", _EMPTY, lambda texts: pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
            )

    def _word(self) -> None:
        """Nothing more."""

    def _number(self) -> None:
        """Nothing more: numbers of documents have brackets, blanks and letters of their own."""

    def _code(self) -> None:
        if self.texts.str.contains(_PLAIN_CODE).fill_null(True).all():
            return
        self._mend("code-blank", r"\s", lambda texts: texts.str.replace_all(r"\s+", ""))
        self._mend("code-prefix", _PREFIX, lambda texts: texts.str.replace(_PREFIX, ""))
        self._mend("code-suffix", _SUFFIX, lambda texts: texts.str.replace(_SUFFIX, ""))
        # Words for "nothing" stay as they are until they are counted as such.
        self._empty()
        self._mend("code-case", _LOWER, lambda texts: texts.str.to_uppercase())

    def _date(self) -> None:
        self.texts, changed = dates.canonical(self.texts)
        if changed.any():
            self.found.append(Finding("date-form", self.column.code, changed))

    def _amount(self) -> None:
        odd = ~self.texts.str.contains(_AMOUNT).fill_null(True)
        if not odd.any():
            return
        plain = self.texts.filter(odd).str.replace_all(_NOT_AMOUNT, "").str.replace(_WAN_YUAN, "")
        yuan = plain.str.extract(_YUAN).cast(pl.Float64, strict=False) / 10_000  # the column is in 万元
        plain = pl.select(pl.coalesce(_decimal(yuan), plain)).to_series()
        reads = plain.str.contains(_AMOUNT).fill_null(False)
        if reads.any():
            at = odd.arg_true().filter(reads)
            self.texts = self.texts.scatter(at, plain.filter(reads))
            changed = pl.Series([False]).new_from_index(0, len(odd)).scatter(at, True)
            self.found.append(Finding("number-form", self.column.code, changed))


def _decimal(numbers: pl.Series) -> pl.Series:
    """Numbers as plain decimals: no exponent, no zeros at the end."""
    return pl.Series([None if n is None else f"{n:.8f}".rstrip("0").rstrip(".") for n in numbers], dtype=pl.String)


def _of_15(frame: pl.DataFrame, code: str, person: pl.Series, found: list[Finding]) -> pl.DataFrame:
    """Person ids of 15 digits as such of 18, where it is a person's."""
    old = (frame[code].str.contains(_ID_15) & person).fill_null(False)
    if not old.any():
        return frame
    new = pl.Series([person_id_from_15(text) for text in frame[code].filter(old).to_list()], dtype=pl.String)
    found.append(Finding("person-id-15", code, old))
    return frame.with_columns(frame[code].scatter(old.arg_true(), new).alias(code))
