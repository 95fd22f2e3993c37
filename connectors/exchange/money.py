"""Fines that a text names, in digits or in Chinese numerals.

>>> fines(pl.Series(["罚款人民币2,000元", "处以罚款0.2万元", "罚款贰仟元整", "警告", "罚款10元,罚款20元"])).to_list()
[2000.0, 2000.0, 2000.0, None, None]
"""

import re
from typing import Final

import polars as pl

_FINE: Final = r"罚款(?:人民币|共计|合计|计|为|:|：|\s)*"
_DIGITS: Final = _FINE + r"([0-9][0-9,，]*(?:\.[0-9]+)?)\s*(万)?元"
_NUMERALS: Final = _FINE + r"([零〇一二三四五六七八九两壹贰叁肆伍陆柒捌玖十百千拾佰仟万萬]+)[元圆]"
_ANY: Final = r"罚款"
_VALUE: Final = {
    c: i for i, row in enumerate(zip("零一二三四五六七八九", "〇壹贰叁肆伍陆柒捌玖", strict=True)) for c in row
} | {"两": 2}
_UNIT: Final = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_SHAPE: Final = re.compile(r"[^万]*万?[^万]*")


def fines(texts: pl.Series) -> pl.Series:
    """The fine in yuan that each of n texts names; null where it names none, or fines more than once."""
    one = texts.str.count_matches(_ANY) == 1
    wide = (
        pl.select(pl.when(one).then(texts.str.normalize("NFKC"))).to_series() if one.any() else texts.clear(len(texts))
    )
    parts = wide.str.extract_groups(_DIGITS)
    number = parts.struct[0].str.replace_all("[,，]", "").cast(pl.Float64, strict=False)
    digits = pl.select(pl.when(parts.struct[1].is_not_null()).then(number * 10_000).otherwise(number)).to_series()
    words = wide.str.extract(_NUMERALS)
    each = words.unique().drop_nulls()
    values = pl.Series([numeral(text) for text in each.to_list()], dtype=pl.Float64)
    spoken = words.replace_strict(each, values, default=None, return_dtype=pl.Float64)
    return pl.select(pl.coalesce(digits, spoken)).to_series()


def numeral(text: str) -> float | None:
    """A Chinese numeral below 10^8; None where it is none.

    >>> [numeral(t) for t in ("两千", "壹万贰仟", "十五", "一百零五", "千万", "万")]
    [2000.0, 12000.0, 15.0, 105.0, 10000000.0, None]
    """
    text = text.replace("萬", "万")
    if not _SHAPE.fullmatch(text):
        return None
    high, many, low = text.partition("万")
    parts = [_below_10000(high), _below_10000(low) if low else 0] if many else [0, _below_10000(high)]
    if any(part is None for part in parts):
        return None
    return float((parts[0] or 0) * 10_000 + (parts[1] or 0)) or None


def _below_10000(text: str) -> int | None:
    total, digit = 0, None
    for char in text:
        if char in _VALUE:
            digit = _VALUE[char]
        else:
            total += (1 if digit is None else digit) * _UNIT[char]
            digit = 0
    return None if not text else total + (digit or 0)
