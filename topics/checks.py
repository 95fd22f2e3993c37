"""What an event must hold beyond its schema, checked and standardised by column. The first reason that applies is named.

The same function serves the gateways (which answer with the reason) and intake (which dead-letters with it).
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from topics.codes import SECTORS, SUBJECT_SCHEMES
from topics.events import Kind
from topics.identifiers import PROVINCES, clean_uscc, uscc_ok

OLDEST: Final = 946_684_800_000  # 2000-01-01 UTC: the rules, registers and codes of the field are younger
CLOCK_SKEW: Final = 10 * 60_000  # a device's clock may run ahead of arrival by this much
_SUBJECT: Final = rf"^({'|'.join(SUBJECT_SCHEMES)}):[^\s:][^\s]{{0,127}}$"
_REGION: Final = r"^[0-9]{6}$"
_PLAIN_USCC: Final = re.compile(r"^uscc:[0-9A-Z]{18}$")


@dataclass(frozen=True, slots=True)
class Checked:
    """`frame`: standardised rows (all of them); `reason`: "" where a row is good, else the named reason, one a row."""

    frame: pl.DataFrame
    reason: pl.Series

    @property
    def good(self) -> pl.Series:
        """True where the row may go on."""
        return self.reason == ""


def check(kind: Kind, frame: pl.DataFrame, arrived: pl.Expr | int) -> Checked:
    """Standardise and check n rows; `arrived` is the arrival time in ms (a column expression or one number)."""
    frame, subjects = _standardise(frame)
    now = pl.lit(arrived, pl.Int64) if isinstance(arrived, int) else arrived
    doubles = [f.name for f in kind.schema.fields if f.type == "double"]
    required = [f.name for f in kind.schema.fields if f.required and f.type == "string"]
    tests = (
        ("missing-field", pl.any_horizontal(pl.col(name).str.len_bytes() == 0 for name in required)),
        ("wrong-kind", pl.col("kind") != kind.code),
        ("unknown-sector", ~pl.col("sector").is_in(list(SECTORS))),
        ("bad-subject", _one_of(subjects.filter(~subjects.str.contains(_SUBJECT)))),
        ("bad-uscc", _one_of(subjects.filter(pl.Series(~_uscc_good(subjects))))),
        ("bad-region", ~_region_good()),
        ("not-finite", pl.any_horizontal(~pl.col(name).is_finite() for name in doubles) if doubles else pl.lit(False)),
        ("time-too-old", pl.min_horizontal("occurred_at", "observed_at") < OLDEST),
        ("time-in-future", pl.max_horizontal("occurred_at", "observed_at") > now + CLOCK_SKEW),
    )
    reason = pl.lit("")
    for name, failed in reversed(tests):
        reason = pl.when(failed.fill_null(False)).then(pl.lit(name)).otherwise(reason)
    return Checked(frame, frame.select(reason.alias("reason")).to_series())


def _region_good() -> pl.Expr:
    region = pl.col("region")
    county_without_city = (region.str.slice(2, 2) == "00") & (region.str.slice(4, 2) != "00")
    shape = region.str.contains(_REGION) & region.str.slice(0, 2).is_in(sorted(PROVINCES)) & ~county_without_city
    return region.is_null() | shape


def _uscc_good(subject: pl.Series) -> npt.NDArray[np.bool_]:
    is_uscc = subject.str.starts_with("uscc:").fill_null(False).to_numpy()
    ok = np.ones(len(subject), np.bool_)
    if is_uscc.any():
        ok[is_uscc] = uscc_ok(subject.filter(pl.Series(is_uscc)).str.slice(5))
    return ok


def _one_of(subjects: pl.Series) -> pl.Expr:
    return pl.col("subject").is_in(subjects.implode()) if len(subjects) else pl.lit(False)


def _standardise(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Clean what exchanged data is known to get wrong in identifiers -> the frame, and its subjects, each once.

    A chunk has far fewer subjects than rows: what they cost, they cost once; only dirty ones cost Python time.
    """
    subjects = frame["subject"].unique().drop_nulls()
    dirty = subjects.filter(subjects.str.starts_with("uscc:") & ~subjects.str.contains(_PLAIN_USCC.pattern))
    if len(dirty) == 0:
        return frame, subjects
    cleaned = pl.Series([f"uscc:{clean_uscc(text[5:])}" for text in dirty.to_list()], dtype=pl.String)
    frame = frame.with_columns(frame["subject"].replace(dirty, cleaned))
    return frame, frame["subject"].unique().drop_nulls()
