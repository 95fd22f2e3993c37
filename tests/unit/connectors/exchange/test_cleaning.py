"""Cleaning of single cells: what they become, and that a second time changes nothing."""

import polars as pl
import pytest

from connectors.exchange.cleaning import clean
from connectors.exchange.forms import FORMS


@pytest.mark.parametrize(
    ("column", "text", "becomes"),
    [
        ("CF_XDR_SHXYM", "代码：统一社会信用代码:91350100m000100y43 (1/1)(2/2)", "91350100M000100Y43"),
        ("CF_XDR_SHXYM", "统一社会信用代码：undefined", None),
        ("CF_XDR_SHXYM", ' ="91350100M000100Y43" ', "91350100M000100Y43"),
        ("CF_XDR_SHXYM", "'０91", "091"),
        ("CF_XDR_SHXYM", "ΐ：ΐ", "ΐ"),
        ("CF_NR_FK", "人民币1,000.50万元整", "1000.50"),
        ("CF_NR_FK", "29元", "0.0029"),
        ("CF_NR_FK", "1万万元", "1万万元"),
        ("CF_JDRQ", "2026.3.1 8时5分", "2026-03-01 08:05:00"),
        ("CF_JDRQ", "2026-03-01T08:05:06Z", "2026-03-01 16:05:06"),
        ("CF_JDRQ", "20260301080506", "2026-03-01 08:05:06"),
        ("CF_JDRQ", "2026-02-29", "2026-02-29"),
        ("CF_NR", " 无 ", None),
        ("CF_WSH", "（２０２６）１号", "(2026)1号"),
    ],
)
def test_a_cell(column: str, text: str, becomes: str | None) -> None:
    """It becomes this, and stays so."""
    once = clean(FORMS["penalty"], pl.DataFrame({column: [text]}))
    assert once.frame[column].to_list() == [becomes]
    again = clean(FORMS["penalty"], once.frame)
    assert again.frame.equals(once.frame)
    assert again.found == []
