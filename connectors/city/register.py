"""The register of a city: regions, subjects with valid credit codes, the persons behind them, chains; from one seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city import names
from topics.identifiers import USCC_ALPHABET, USCC_WEIGHTS

SECTORS: Final = tuple(names.SHARES)
_ORG_WEIGHTS: Final = np.array((3, 7, 9, 10, 5, 8, 4, 2))
_ORG_DIGITS: Final = "0123456789X"  # check values 0 to 10, written as USCC characters
_VALUE: Final = {c: i for i, c in enumerate(USCC_ALPHABET)}
_BODY: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SUBJECTS_PER_COUNTY: Final = 800

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Register:
    """`subjects`: one row a subject (subject, party_id, subject_name, sector, region, person, chain, address, …);
    `regions`: region code, name; `of_sector`: sector code -> row numbers of its subjects."""

    subjects: pl.DataFrame
    regions: pl.DataFrame
    of_sector: dict[str, Ints]


def make_register(seed: int, count: int) -> Register:
    """`count` subjects (at least 40 a sector), the same for the same seed and count."""
    rng = np.random.default_rng([seed, 1])
    regions = _regions(max(8, min(160, count // _SUBJECTS_PER_COUNTY)))
    sizes = [max(40, round(count * share)) for share in names.SHARES.values()]
    sector = np.repeat(np.arange(len(SECTORS)), sizes)
    total = len(sector)
    county = _skewed(rng, total, len(regions))
    codes = credit_codes(rng, regions["region"].gather(county).to_list())
    person = rng.integers(0, max(1, int(total * 0.85)), total)
    chain = np.where(rng.random(total) < 0.1, rng.integers(0, max(2, total // 80), total), -1)
    frame = pl.DataFrame(
        {
            "subject": pl.Series(codes).str.replace("^", "uscc:"),
            "party_id": codes,
            "subject_name": _subject_names(rng, sector, regions, county),
            "sector": pl.Series(SECTORS).gather(sector),
            "region": regions["region"].gather(county),
            "person": pl.Series([f"person:P{p:07d}" for p in person]),
            "chain": pl.Series([f"chain:C{c:05d}" if c >= 0 else None for c in chain], dtype=pl.String),
            "address": _addresses(rng, regions, county),
            "department": pl.Series([names.SECTOR_DEPARTMENT[s] for s in SECTORS]).gather(sector),
        }
    )
    return Register(frame, regions, {name: np.flatnonzero(sector == i) for i, name in enumerate(SECTORS)})


def credit_codes(rng: np.random.Generator, regions: list[str]) -> list[str]:
    """One credit code (GB 32100, with a right organisation code inside) for each region code; all different."""
    count = len(regions)
    # 91: a company registered with market supervision; MA: the series given out since 2015.
    head = np.array([[_VALUE[c] for c in "91" + region] for region in regions])
    org = np.empty((count, 9), np.int64)
    org[:, :2] = [_VALUE["M"], _VALUE["A"]]
    # A counter in base 31 under a random permutation of digits keeps the codes different without a look-up.
    number = (np.arange(count, dtype=np.int64) * 7_919 + int(rng.integers(0, 31**4))) % 31**6
    for place in range(7, 1, -1):
        org[:, place] = number % 31
        number //= 31
    base36 = np.array([int(c, 36) for c in _BODY])
    rest = (11 - (base36[org[:, :8]] * _ORG_WEIGHTS).sum(1) % 11) % 11
    org[:, 8] = np.array([_VALUE[c] for c in _ORG_DIGITS])[rest]
    body = np.concatenate([head, org], axis=1)
    check = (31 - (body * np.array(USCC_WEIGHTS)).sum(1) % 31) % 31
    letters = np.array(list(USCC_ALPHABET))[np.concatenate([body, check[:, None]], axis=1)]
    return ["".join(row) for row in letters.tolist()]


def _regions(count: int) -> pl.DataFrame:
    """Counties and districts by GB/T 2260: districts number from 01, counties from 21."""
    rows = []
    for i, name in enumerate(names.county_names(count)):
        prefecture, inside = divmod(i, names.COUNTIES_PER_PREFECTURE)
        last = inside // 2 + (1 if name.endswith("区") else 21)
        code = f"{names.PROVINCE}{names.FIRST_PREFECTURE + prefecture:02d}{last:02d}"
        rows.append((code, names.PREFECTURES[prefecture] + name))
    return pl.DataFrame(rows, schema={"region": pl.String, "name": pl.String}, orient="row")


def _skewed(rng: np.random.Generator, total: int, counties: int) -> Ints:
    """Counties of unequal size: the largest has about three times the subjects of the smallest."""
    weight = np.linspace(3, 1, counties)
    return rng.choice(counties, total, p=weight / weight.sum())


def _subject_names(rng: np.random.Generator, sector: Ints, regions: pl.DataFrame, county: Ints) -> pl.Series:
    place = regions["name"].str.replace(r"^.*市", "").gather(county)
    brand = pl.Series(names.BRANDS).gather(rng.integers(0, len(names.BRANDS), len(sector)))
    trade = np.empty(len(sector), dtype=object)
    for i, code in enumerate(SECTORS):
        where = sector == i
        trade[where] = np.array(names.TRADES[code], dtype=object)[rng.integers(0, len(names.TRADES[code]), where.sum())]
    return place + brand + pl.Series(trade.tolist(), dtype=pl.String)


def _addresses(rng: np.random.Generator, regions: pl.DataFrame, county: Ints) -> pl.Series:
    street = pl.Series(names.STREETS).gather(rng.integers(0, len(names.STREETS), len(county)))
    number = pl.Series(rng.integers(1, 400, len(county))).cast(pl.String)
    return regions["name"].gather(county) + street + number + "号"
