"""What an event says about its subject, by column: a bad inspection, a real complaint, a negative opinion. Pure functions."""

from typing import Final

import polars as pl

BAD_WORDS: Final = r"(?i)^fail|不合格|不通过|未通过|不符合|不达标|责令停|查封"
GOOD_WORDS: Final = r"(?i)^pass|^fixed-on-site$|合格|通过|符合|达标|正常|未发现问题|无问题"
COMPLAINTS: Final = ("complaint", "report", "投诉", "举报", "投诉举报")
NEGATIVE: Final = -0.2  # sentiment at or below which an opinion counts against the subject
SURE: Final = 0.5  # confidence from which a camera's finding counts


def bad_outcome(frame: pl.DataFrame) -> pl.Series:
    """n inspections -> Boolean: True failed or a critical violation, False passed, null where the result says neither
    (nobody there, closed, transferred), which must not be learnt as good.

    >>> bad_outcome(pl.DataFrame({"result": ["Fail", "不合格", "合格", "No Entry", "Pass"],
    ...                           "critical_violations": [None, 0, None, None, 2]})).to_list()
    [True, True, False, None, True]
    """
    result = column(frame, "result", pl.String).str.strip_chars()
    critical = column(frame, "critical_violations", pl.Int64)
    bad = result.str.contains(BAD_WORDS).fill_null(False) | (critical > 0).fill_null(False)
    good = result.str.contains(GOOD_WORDS).fill_null(False) | (critical == 0).fill_null(False)
    verdict = pl.when(pl.lit(bad)).then(True).when(pl.lit(good)).then(False).otherwise(None)
    return pl.select(verdict.alias("bad")).to_series().cast(pl.Boolean)


def complains(frame: pl.DataFrame) -> pl.Series:
    """n hotline records -> Boolean: a complaint or a report, not a question or a suggestion."""
    return column(frame, "complaint_type", pl.String).is_in(COMPLAINTS).fill_null(False)


def negative(frame: pl.DataFrame) -> pl.Series:
    """n opinions -> Boolean: clearly against the subject; without a sentiment nobody knows, so False."""
    return (column(frame, "sentiment", pl.Float64) <= NEGATIVE).fill_null(False)


def column(frame: pl.DataFrame, name: str, dtype: type[pl.DataType]) -> pl.Series:
    """The column as that type; all null where it is absent."""
    if name not in frame.columns:
        return pl.Series(name, [None] * len(frame), dtype)
    series = frame[name]
    return series if series.dtype == dtype else series.cast(dtype, strict=False)
