"""Identifiers against worked examples of the standards (shared vectors; skipped where they are absent)."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import identifiers as ids

_VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "identifiers.json"
TODAY = dt.date(2026, 1, 1)


@pytest.fixture(scope="module")
def vectors() -> Any:
    """The shared test vectors."""
    if not _VECTORS.exists():
        pytest.skip("no shared vectors here")
    return json.loads(_VECTORS.read_text())


def test_credit_codes(vectors: Any) -> None:
    """GB 32100: right and wrong ones, one by one and as a column."""
    good, bad = ([code for code, _ in vectors["uscc"][name]] for name in ("valid", "invalid"))
    assert [ids.is_uscc(code) for code in good + bad] == [True] * len(good) + [False] * len(bad)
    assert ids.uscc_ok(pl.Series(good + bad)).tolist() == [True] * len(good) + [False] * len(bad)
    assert all(ids.is_uscc(ids.clean_uscc(code)) for code in bad if code != code.upper())
    for code, _ in vectors["uscc"]["strict_only_invalid"]:
        assert ids.is_uscc(code)
        assert not ids.is_strict_uscc(code)
    assert list(ids.USCC_WEIGHTS) == vectors["uscc"]["weights"]
    assert vectors["uscc"]["alphabet"] == ids.USCC_ALPHABET


def test_organisation_codes(vectors: Any) -> None:
    """GB 11714: with and without the dash."""
    for code, _ in vectors["org_code"]["valid"]:
        assert ids.is_org_code(code)
        assert ids.is_org_code(code.replace("-", ""))
    assert not any(ids.is_org_code(code) for code, _ in vectors["org_code"]["invalid"])


def test_person_ids(vectors: Any) -> None:
    """GB 11643, and old ids of 15 digits."""
    assert all(ids.is_person_id(code, TODAY) for code, _ in vectors["person_id"]["valid"])
    assert not any(ids.is_person_id(code, TODAY) for code, _ in vectors["person_id"]["invalid"])
    for old, new in vectors["person_id"]["legacy15"]:
        assert ids.person_id_from_15(old) == new


def test_area_codes(vectors: Any) -> None:
    """GB/T 2260: structure and provinces."""
    assert all(ids.is_region(code) for code, _ in vectors["area_code"]["valid"])
    assert not any(ids.is_region(code) for code, _ in vectors["area_code"]["invalid"])
    assert {str(p) for p in vectors["area_code"]["provinces"]} == ids.PROVINCES


@given(st.lists(st.text(max_size=20) | st.text(ids.USCC_ALPHABET, min_size=17, max_size=18) | st.none(), max_size=30))
def test_the_column_equals_the_single_check(codes: list[str | None]) -> None:
    """`uscc_ok` is `is_uscc` row by row, whatever the text; completed codes are right."""
    codes += [c + ids.uscc_check_digit(c) for c in codes if c and len(c) == 17 and set(c) <= set(ids.USCC_ALPHABET)]
    expected = [code is not None and ids.is_uscc(code) for code in codes]
    assert ids.uscc_ok(pl.Series(codes, dtype=pl.String)).tolist() == expected


@given(st.text(ids.USCC_ALPHABET, min_size=17, max_size=17), st.integers(0, 17), st.sampled_from(ids.USCC_ALPHABET))
def test_one_wrong_character_is_found(body: str, place: int, other: str) -> None:
    """A check character that misses a single mistyped character would be none."""
    code = body + ids.uscc_check_digit(body)
    changed = code[:place] + other + code[place + 1 :]
    assert ids.is_uscc(changed) == (changed == code)
