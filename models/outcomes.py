"""What an event says about its subject, by column: a bad inspection, a real complaint, a negative opinion. Pure functions."""

from typing import Final

import polars as pl

from topics.buffers import constant, missing, select, truths

BAD_WORDS: Final = r"(?i)^fail|不合格|不通过|未通过|不符合|不达标|责令停|查封"
GOOD_WORDS: Final = r"(?i)^pass|^fixed-on-site$|合格|通过|符合|达标|正常|未发现问题|无问题"
COMPLAINTS: Final = ("complaint", "report", "投诉", "举报", "投诉举报")
NEGATIVE: Final = -0.2  # sentiment at or below which an opinion counts against the subject
SURE: Final = 0.5  # confidence from which a camera's finding counts

_RESULT: Final = pl.col("result").str.strip_chars()
_CRITICAL: Final = pl.col("critical_violations")
_BAD: Final = _RESULT.str.contains(BAD_WORDS).fill_null(False) | (_CRITICAL > 0).fill_null(False)
_GOOD: Final = _RESULT.str.contains(GOOD_WORDS).fill_null(False) | (_CRITICAL == 0).fill_null(False)
_VERDICT: Final = [pl.when(_BAD).then(True).when(_GOOD).then(False).otherwise(None).cast(pl.Boolean).alias("bad")]
_COMPLAINS: Final = [pl.col("complaint_type").is_in(COMPLAINTS).fill_null(False)]


def bad_outcome(frame: pl.DataFrame) -> pl.Series:
    """n inspections -> Boolean: True failed or a critical violation, False passed, null where the result says neither
    (nobody there, closed, transferred), which must not be learnt as good.

    >>> bad_outcome(pl.DataFrame({"result": ["Fail", "不合格", "合格", "No Entry", "Pass"],
    ...                           "critical_violations": [None, 0, None, None, 2]})).to_list()
    [True, True, False, None, True]
    """
    said = pl.DataFrame([column(frame, "result", pl.String), column(frame, "critical_violations", pl.Int64)])
    return select(said, _VERDICT).to_series()


def complains(frame: pl.DataFrame) -> pl.Series:
    """n hotline records -> Boolean: a complaint or a report, not a question or a suggestion."""
    return select(pl.DataFrame([column(frame, "complaint_type", pl.String)]), _COMPLAINS).to_series()


def negative(frame: pl.DataFrame) -> pl.Series:
    """n opinions -> Boolean: clearly against the subject; without a sentiment nobody knows, so False."""
    return pl.Series("sentiment", truths(column(frame, "sentiment", pl.Float64) <= NEGATIVE))


def column(frame: pl.DataFrame, name: str, dtype: type[pl.DataType]) -> pl.Series:
    """The column as that type; all null where it is absent."""
    if name not in frame.columns:
        return constant(missing(name, dtype), len(frame))
    series = frame[name]
    return series if series.dtype == dtype else series.cast(dtype, strict=False)
