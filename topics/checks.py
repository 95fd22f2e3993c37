"""What an event must hold beyond its schema, checked and standardised by column. The first reason that applies is named.

The same function serves the gateways (which answer with the reason) and intake (which dead-letters with it).
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
import polars as pl

from topics.buffers import SMALL, Bools, constant, different, once, select, text_bytes, truths
from topics.codes import SECTORS, SUBJECT_SCHEMES
from topics.events import Kind
from topics.identifiers import PROVINCES, clean_uscc, is_region, uscc_bytes_ok
from topics.subjects import all_plain

OLDEST: Final = 946_684_800_000  # 2000-01-01 UTC: the rules, registers and codes of the field are younger
_GOOD: Final = pl.Series("reason", [""])
CLOCK_SKEW: Final = 10 * 60_000  # a device's clock may run ahead of arrival by this much
_SUBJECT: Final = rf"^({'|'.join(SUBJECT_SCHEMES)}):[^\s:][^\s]{{0,127}}$"
_REGION: Final = r"^[0-9]{6}$"
_PLAIN_USCC: Final = r"^uscc:[0-9A-Z]{18}$"
_USCC_PREFIX: Final = len("uscc:")
_EARLIEST: Final = pl.min_horizontal("occurred_at", "observed_at")
_LATEST: Final = pl.max_horizontal("occurred_at", "observed_at")
_NO: Final = pl.lit(False)
_OF_SUBJECTS: Final = [
    pl.col("subject").str.starts_with("uscc:").alias("uscc"),
    pl.col("subject").str.contains(_PLAIN_USCC).alias("plain"),
    pl.col("subject").str.contains(_SUBJECT).alias("fits"),
]


@dataclass(frozen=True, slots=True)
class Checked:
    """`frame`: standardised rows (all of them); `reason`: "" where a row is good, else the named reason, one a row; `clean`: all
    rows are good."""

    frame: pl.DataFrame
    reason: pl.Series
    clean: bool

    @property
    def good(self) -> pl.Series:
        """True where the row may go on."""
        return self.reason == ""


@dataclass(frozen=True, slots=True)
class _Subjects:
    """The subjects of a chunk, each once, and which of them are credit codes, are so without dirt, and fit the pattern."""

    texts: pl.Series
    uscc: Bools
    plain: Bools
    fits: Bools

    def misfits(self) -> pl.Series | None:
        """Those that are not scheme:id with a known scheme."""
        return None if self.fits.all() else self.texts.filter(pl.Series(~self.fits))

    def bad_codes(self) -> pl.Series | None:
        """Credit codes that fail GB 32100."""
        if not self.uscc.any():
            return None
        data, offsets = text_bytes(self.texts)
        good = ~self.uscc | uscc_bytes_ok(data, offsets[:-1] + _USCC_PREFIX, offsets[1:])
        return None if good.all() else self.texts.filter(pl.Series(~good))


def check(kind: Kind, frame: pl.DataFrame, arrived: str | int) -> Checked:
    """Standardise and check n rows; `arrived` is the arrival time in ms (the name of a column, or one number).

    First one cheap question is asked of all rows together, whether they are clearly good; reasons are looked for only when not.
    """
    misfits = bad_codes = None
    if not all_plain(frame["subject"]):
        frame, subjects = _standardise(frame)
        misfits, bad_codes = subjects.misfits(), subjects.bad_codes()
    if misfits is None and bad_codes is None and _clearly_good(kind, frame, arrived):
        return Checked(frame, constant(_GOOD, frame.height), True)
    late = (pl.lit(arrived, pl.Int64) if isinstance(arrived, int) else pl.col(arrived)) + CLOCK_SKEW < _LATEST
    tests = _tests(kind) | {"bad-subject": _one_of(misfits), "bad-uscc": _one_of(bad_codes), "time-in-future": late}
    reason = pl.lit("")
    for name, failed in reversed(tests.items()):
        reason = pl.when(failed.fill_null(False)).then(pl.lit(name)).otherwise(reason)
    found = frame.select(reason.alias("reason")).to_series()
    return Checked(frame, found, not (found != "").any())


@cache
def _tests(kind: Kind) -> dict[str, pl.Expr]:
    """What fails a row, in the order in which reasons are named; False stands for what depends on the chunk."""
    doubles = [f.name for f in kind.schema.fields if f.type == "double"]
    required = [f.name for f in kind.schema.fields if f.required and f.type == "string"]
    return {
        "missing-field": pl.any_horizontal(pl.col(name).str.len_bytes() == 0 for name in required),
        "wrong-kind": pl.col("kind") != kind.code,
        "unknown-sector": ~pl.col("sector").is_in(list(SECTORS)),
        "bad-subject": _NO,
        "bad-uscc": _NO,
        "bad-region": ~_region_good(),
        "not-finite": pl.any_horizontal(~pl.col(name).is_finite() for name in doubles) if doubles else _NO,
        "time-too-old": _EARLIEST < OLDEST,
        "time-in-future": _NO,
    }


@cache
def _texts(kind: Kind) -> list[str]:
    """Required texts that no other test looks at."""
    tested = {"kind", "sector", "subject"}
    return [f.name for f in kind.schema.fields if f.required and f.type == "string" and f.name not in tested]


def _clearly_good(kind: Kind, frame: pl.DataFrame, arrived: str | int) -> bool:
    """Whether no test but those of subjects can fail. False only says that somebody must look closer."""
    texts, doubles = _texts(kind), [f.name for f in kind.schema.fields if f.type == "double"]
    return frame.is_empty() or (
        different(frame["kind"]) <= {kind.code}
        and different(frame["sector"]) <= SECTORS.keys()
        and all(map(_is_region, different(frame["region"])))
        and _times_good(frame, arrived)
        and not any(_some_empty(frame[name]) for name in texts)
        and all(_finite(frame[name]) for name in doubles)
    )


def _times_good(frame: pl.DataFrame, arrived: str | int) -> bool:
    """Whether all times are there, none is too old, and none later than the earliest arrival allows."""
    times = [frame["occurred_at"], frame["observed_at"]]
    arrivals = [] if isinstance(arrived, int) else [frame[arrived]]
    if any(series.null_count() for series in (*times, *arrivals)):
        return False
    earliest = arrived if isinstance(arrived, int) else int(arrivals[0].to_numpy().min())
    first, last = (min(int(t.to_numpy().min()) for t in times), max(int(t.to_numpy().max()) for t in times))
    return first >= OLDEST and last <= earliest + CLOCK_SKEW


def _some_empty(series: pl.Series) -> bool:
    return "" in series.to_list() if len(series) <= SMALL else bool((series == "").any())


def _finite(series: pl.Series) -> bool:
    """Whether all values but nulls are finite."""
    return int(np.isfinite(series.to_numpy()).sum()) + series.null_count() == len(series)


@lru_cache(10_000)
def _is_region(code: str | None) -> bool:
    return code is None or is_region(code)


def _region_good() -> pl.Expr:
    region = pl.col("region")
    county_without_city = (region.str.slice(2, 2) == "00") & (region.str.slice(4, 2) != "00")
    shape = region.str.contains(_REGION) & region.str.slice(0, 2).is_in(sorted(PROVINCES)) & ~county_without_city
    return region.is_null() | shape


def _one_of(subjects: pl.Series | None) -> pl.Expr:
    return _NO if subjects is None else pl.col("subject").is_in(subjects.implode())


def _standardise(frame: pl.DataFrame) -> tuple[pl.DataFrame, _Subjects]:
    """Clean what exchanged data is known to get wrong in identifiers -> the frame, and its subjects, each once.

    A chunk has far fewer subjects than rows: what they cost, they cost once; only dirty ones cost Python time.
    """
    subjects = _subjects(frame)
    dirty = subjects.uscc & ~subjects.plain
    if not dirty.any():
        return frame, subjects
    texts = subjects.texts.filter(pl.Series(dirty))
    cleaned = pl.Series([f"uscc:{clean_uscc(text[_USCC_PREFIX:])}" for text in texts.to_list()], dtype=pl.String)
    frame = frame.with_columns(frame["subject"].replace(texts, cleaned))
    return frame, _subjects(frame)


def _subjects(frame: pl.DataFrame) -> _Subjects:
    texts = once(frame["subject"])
    texts = texts.drop_nulls() if texts.null_count() else texts
    known = select(texts.to_frame(), _OF_SUBJECTS)
    return _Subjects(texts, *(truths(known[name]) for name in ("uscc", "plain", "fits")))
