"""Natural persons: a keyed token in place of their id, and masks for what people read.

>>> tokens(pl.Series(["11010519491231002X", None]), b"k" * 32).to_list()[1] is None
True
>>> masked_ids(pl.Series(["11010519491231002X", "1234"])).to_list()
['1101**********002X', '****']
>>> masked_texts(pl.Series(["张三，身份证11010519491231002X，电话13800001234。"]))[0]
'张三，身份证1101**********002X，电话138****1234。'
"""

import hmac
import re
from collections.abc import Mapping
from typing import Final

import polars as pl

from connectors.exchange.forms import Form

TOKEN_BYTES: Final = 16
_SHOWN: Final = 4
_LONG: Final = r"[0-9]{11}"
_DAY: Final = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_ID_PARTS: Final = rf"([1-8][0-9]{{3}})[0-9]{{2}}{_DAY}([0-9]{{3}}[0-9Xx])"
_MOBILE_PARTS: Final = r"(1[3-9][0-9])[0-9]{4}([0-9]{4})"
_EDGE: Final = r"(?-u:\b)"  # of ASCII: Chinese characters are no word here
_STARS: Final = "**********"
_PY_ID: Final = re.compile(rf"\b{_ID_PARTS}\b", re.ASCII)
_PY_MOBILE: Final = re.compile(rf"\b{_MOBILE_PARTS}\b", re.ASCII)
_FIRM: Final = re.compile(r"9[0-9A-Z]{17}|[0-9A-Z]{2}[0-9]{6}(?=[0-9]*[A-WYZ])[0-9A-Z]{10}")
_LIKE_ID: Final = re.compile(r"[0-9]{17}[0-9Xx]|(?<![0-9])[0-9]{15}(?![0-9])")
_PERSONAL_TYPES: Final = ("身份证", "护照", "通行证", "111")
_PARTY_NAMES: Final = frozenset({"CF_XDR_MC", "administrative_cp", "supervise_object"})


def tokens(ids: pl.Series, key: bytes) -> pl.Series:
    """HMAC-SHA256 of each id, 128 bits in hex; null for null. Without the key nobody can try all ids. About 2 us an id."""
    each = ids.unique().drop_nulls()
    made = [hmac.digest(key, text.encode(), "sha256")[:TOKEN_BYTES].hex() for text in each.to_list()]
    return ids.replace_strict(each, pl.Series(made, dtype=pl.String), default=None, return_dtype=pl.String)


def masked_ids(ids: pl.Series) -> pl.Series:
    """Ids with their middle hidden; short ones hidden whole."""
    long = ids.str.len_chars() > 2 * _SHOWN
    middle = pl.concat_str(ids.str.head(_SHOWN), pl.lit(_STARS), ids.str.tail(_SHOWN))
    return pl.select(pl.when(long).then(middle).otherwise(ids.str.replace_all(".", "*"))).to_series()


def masked_texts(texts: pl.Series) -> pl.Series:
    """Texts in which person ids and mobile numbers are masked. A credit code begins with 9 or is no id."""
    if not texts.str.contains(_LONG).any():
        return texts
    ids = texts.str.replace_all(_EDGE + _ID_PARTS + _EDGE, f"${{1}}{_STARS}${{2}}")
    return ids.str.replace_all(_EDGE + _MOBILE_PARTS + _EDGE, "${1}****${2}")


def shown(form: Form, row: Mapping[str, str | None], code: str) -> str:
    """What a report or dead letter may show of a cell: names and ids of natural persons masked.

    >>> from connectors.exchange.forms import FORMS
    >>> row = {"CF_XDR_MC": "张小明", "CF_XDR_ZJHM": "11010519491231002X", "CF_XDR_SHXYM": "91350100M000100Y4Z"}
    >>> [shown(FORMS["penalty"], row, code) for code in row]
    ['张**', '1101**********002X', '91350100M000100Y4Z']
    """
    text = row.get(code) or ""
    own = next((one for one in form.persons if one[0] == code), None)
    if own is not None:
        return masked_id(text) if _persons(row, *own) else masked_text(text)
    column = form.by_code.get(code)
    if column is not None and column.personal:
        return masked_id(text) if column.holds == "code" else masked_name(text)
    if code in _PARTY_NAMES and _natural(form, row):
        return masked_name(text)
    return masked_text(text)


def masked_text(text: str) -> str:
    """`masked_texts` of one."""
    return _PY_MOBILE.sub(r"\1****\2", _PY_ID.sub(rf"\1{_STARS}\2", text))


def masked_id(text: str) -> str:
    """`masked_ids` of one."""
    return text[:_SHOWN] + _STARS + text[-_SHOWN:] if len(text) > 2 * _SHOWN else "*" * len(text)


def masked_name(name: str) -> str:
    """The first character, the rest as stars.

    >>> masked_name("张小明"), masked_name("")
    ('张**', '')
    """
    return name[:1] + "*" * (max(len(name) - 1, 1) if name else 0)


def _natural(form: Form, row: Mapping[str, str | None]) -> bool:
    """Whether the row is about a person: it says so, or its party has a person's id."""
    return "自然人" in (row.get("CF_XDR_LB") or "") or any(_persons(row, *own) for own in form.persons[:1])


def _persons(row: Mapping[str, str | None], code: str, kind: str, untyped: bool) -> bool:
    """Whether an id is a person's, or may be: it is called so, looks so, or stands where persons' ids stand and is no firm's."""
    text, called = (row.get(code) or "").strip(), row.get(kind) or ""
    if not text or _FIRM.fullmatch(text.upper()):
        return False
    return untyped or any(word in called for word in _PERSONAL_TYPES) or bool(_LIKE_ID.search(text))
