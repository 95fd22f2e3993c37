"""What all forms do with a clean chunk: dates, amounts, texts, regions, sectors, parties; whatever is odd becomes a finding.

>>> t = Table(FORMS["penalty"], clean(FORMS["penalty"], pl.DataFrame({"CF_NR_FK": ["0.2", "x"]})).frame, Terms(b"k" * 32))
>>> t.amount("CF_NR_FK").to_list(), [(f.rule, f.rows.to_list()) for f in t.found]
([2000.0, None], [('bad-amount', [False, True]), ('ten-thousand', [True, False])])
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from connectors.exchange import dates
from connectors.exchange.cleaning import Finding, clean
from connectors.exchange.forms import FORMS, Form
from connectors.exchange.privacy import masked_texts
from topics.codes import SECTORS
from topics.identifiers import PROVINCES, uscc_ok

__all__ = ["FORMS", "Table", "Terms", "clean", "never"]

_AMOUNT: Final = r"^[0-9]{1,15}(\.[0-9]{1,15})?$"
_AREA: Final = r"^[0-9]{6}([0-9]{3}|[0-9]{6})?$"  # with street and village behind
_ITEM: Final = r"^[0-9]{14}$"
_YUAN: Final = 10_000
_SECTOR_OF: Final = {code.zh: code.code for code in SECTORS.values()} | {code: code for code in SECTORS}
# Whose table it is, where nobody says which sector: the first word that its institution's name holds.
_SECTOR_WORDS: Final = (
    (("药品", "食品"), "food-drug"),
    (("消防",), "fire"),
    (("医疗保障", "医保"), "medical-insurance"),
    (("卫生", "卫健", "疾控", "疾病预防"), "health"),
    (("生态环境", "环境保护", "环保"), "ecology"),
    (("住房", "住建", "建设"), "construction"),
    (("文化", "旅游", "文旅"), "culture-tourism"),
    (("应急", "安全生产"), "work-safety"),
    (("公安", "交警", "交通", "运输"), "security-traffic"),
    (("质量", "质监", "特种设备"), "quality"),
    (("教育",), "school-canteen"),
    (("市场监", "工商"), "market"),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is given from outside: the key of persons' tokens, the sector where no row says it, the columns that the table has
    (None: all)."""

    key: bytes
    sector: str | None = None
    present: frozenset[str] | None = None


def never(n: int) -> pl.Series:
    """bool[n], all False."""
    return pl.Series([False]).new_from_index(0, n)


@dataclass(slots=True)
class Table:
    """n clean rows on their way to events."""

    form: Form
    frame: pl.DataFrame
    terms: Terms
    found: list[Finding] = field(default_factory=list)

    def __getitem__(self, code: str) -> pl.Series:
        """The column's clean texts; nulls where the form has no such column."""
        return self.frame[code] if code in self.frame.columns else self.nulls()

    def nulls(self) -> pl.Series:
        """n nulls."""
        return pl.Series([None], dtype=pl.String).new_from_index(0, self.frame.height)

    def find(self, rule: str, column: str, rows: pl.Series, values: pl.Series | None = None) -> None:
        """A rule applies to these rows (nulls: it does not)."""
        hit = rows.fill_null(False)
        if hit.any():
            self.found.append(Finding(rule, column, hit, values))

    def date(self, code: str, *, due: bool = False, late: bool = False) -> pl.Series:
        """ms UTC. Where it does not read: null and `bad-date`, or refused as `bad-time` where it is due."""
        if self[code].null_count() == self.frame.height:
            return self[code].cast(pl.Int64)
        ms = dates.milliseconds(self[code], late=late)
        if not late:
            self.find("bad-time" if due else "bad-date", code, self[code].is_not_null() & ms.is_null())
        return ms

    def amount(self, code: str) -> pl.Series:
        """Yuan out of 万元."""
        text = self[code]
        reads = text.str.contains(_AMOUNT)
        self.find("bad-amount", code, ~reads)
        number = pl.select(pl.when(reads).then(text)).to_series().cast(pl.Float64, strict=False)
        # To the cent: 0.29 万元 is 2900 元, not 2899.9999999999995.
        yuan = (number * _YUAN).round(2)
        self.find("ten-thousand", code, yuan.is_not_null())
        return yuan

    def text(self, code: str) -> pl.Series:
        """A free text without ids and mobile numbers of persons."""
        masked = masked_texts(self[code])
        self.find("text-masked", code, masked != self[code])
        return masked

    def per_value(self, texts: pl.Series, how: Callable[[str], str | None]) -> pl.Series:
        """A function of each different text: columns of codes have few."""
        each = texts.unique().drop_nulls()
        made = pl.Series([how(text) for text in each.to_list()], dtype=pl.String)
        return texts.replace_strict(each, made, default=None, return_dtype=pl.String)

    def region(self, code: str, office: str | None = None) -> pl.Series:
        """The area code's six digits; where it has none, those within the office's own credit code (characters 3 to 8)."""
        given = self[code]
        six = pl.select(pl.when(given.str.contains(_AREA)).then(given.str.head(6))).to_series()
        area = _real_area(six)
        self.find("bad-area", code, given.is_not_null() & area.is_null())
        if office is None:
            return area
        own = pl.select(pl.when(pl.Series(uscc_ok(self[office]))).then(self[office].str.slice(2, 6))).to_series()
        return pl.select(pl.coalesce(area, _real_area(own))).to_series()

    def sector(self, *offices: str) -> pl.Series:
        """The row's own sector, the one given, or the one that an institution's name tells; refused where none does."""
        own = self.per_value(self["sector"], lambda text: _SECTOR_OF.get(text, text))
        told = [self.per_value(self[code], _sector_of) for code in offices]
        sector = pl.select(pl.coalesce(own, pl.lit(self.terms.sector, pl.String), *told)).to_series()
        self.find("unknown-sector", "sector", sector.is_null())
        return sector.fill_null("")

    def item(self, code: str) -> pl.Series:
        """The first of a row's item codes, where all are of 14 digits."""
        given = self[code]
        if given.null_count() == self.frame.height:
            return given
        each = given.str.replace_all(r"[,，;；、\s]+", ",").str.strip_chars(",")
        good = each.str.contains(r"^[0-9]{14}(,[0-9]{14})*$")
        self.find("item-code", code, ~good)
        first = each.str.split(",").list.first()
        return pl.select(pl.when(first.str.contains(_ITEM)).then(first)).to_series()

    def needed(self, *codes: str) -> None:
        """Refuse rows without these."""
        for code in codes:
            self.find("missing-field", code, self[code].is_null())

    def asked(self) -> None:
        """Warn of fields that the exchange asks for; of a column that is not there at all, the summary tells once."""
        present = self.terms.present
        codes = [c.code for c in self.form.columns if c.asked and (present is None or c.code in present)]
        absent = [c for c in codes if self[c].null_count()]
        if absent:
            empty = [pl.when(pl.col(c).is_null()).then(pl.lit(self.form.by_code[c].zh)) for c in absent]
            names = self.frame.select(
                pl.concat_str(empty, separator="、", ignore_nulls=True).alias("names")
            ).to_series()
            self.find("missing-required", "", names != "", names)


def _real_area(codes: pl.Series) -> pl.Series:
    """Those with the structure of GB/T 2260 (`topics.identifiers.is_region`), the others null."""
    orphan = (codes.str.slice(2, 2) == "00") & (codes.str.slice(4, 2) != "00")
    real = codes.str.contains(r"^[0-9]{6}$") & codes.str.head(2).is_in(sorted(PROVINCES)) & ~orphan
    return pl.select(pl.when(real).then(codes)).to_series()


def _sector_of(institution: str) -> str | None:
    return next((sector for words, sector in _SECTOR_WORDS if any(word in institution for word in words)), None)
