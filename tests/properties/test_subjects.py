"""`all_plain` says yes only to subjects that the checks let pass unchanged, one by one."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from topics.checks import _standardise
from topics.codes import SUBJECT_SCHEMES
from topics.identifiers import uscc_check_digit
from topics.subjects import all_plain

_codes = st.integers(0, 9_999_999).map(lambda i: f"91320100MA{i:07d}").map(lambda body: body + uscc_check_digit(body))
_right = st.one_of(
    _codes.map(lambda code: f"uscc:{code}"),
    st.tuples(
        st.sampled_from([s for s in SUBJECT_SCHEMES if s != "uscc"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128).filter(
            lambda t: t[0] != ":"
        ),
    ).map(":".join),
)
_any = st.one_of(_right, st.text(max_size=30), _codes.map(lambda code: f"uscc: {code.lower()}"), st.just("uscc:1"))


all_plain(pl.Series(["site:a"]))  # compiled before anything is timed


@given(st.lists(_right, max_size=20))
def test_right_ones_are_plain(subjects: list[str]) -> None:
    assert all_plain(pl.Series("subject", subjects, pl.String))


@example(["uscc:91320100MA0000001\x00"])
@example(["site:"])
@example(["site:a b"])
@example(["unknown:a"])
@example(["site:" + "a" * 129])
@given(st.lists(_any, min_size=1, max_size=5))
def test_plain_ones_pass_the_checks_unchanged(subjects: list[str]) -> None:
    frame = pl.DataFrame({"subject": subjects})
    if all_plain(frame["subject"]):
        same, found = _standardise(frame)
        assert same.equals(frame)
        assert found.misfits() is None
        assert found.bad_codes() is None


def test_a_missing_one_is_not_plain() -> None:
    assert not all_plain(pl.Series("subject", ["site:a", None]))
