"""What an event must hold: every reason, which one is named first, what is cleaned instead of refused."""

from typing import Any

import polars as pl
import pytest

from tests.unit.topics.samples import AT, USCC, record
from topics.checks import CLOCK_SKEW, OLDEST, check
from topics.codes import SECTORS, SUBJECT_SCHEMES
from topics.events import KINDS
from topics.reasons import REASONS


def reasons(kind: str, *changes: dict[str, Any]) -> list[str]:
    """The reason of each record, checked as one chunk that arrived at AT."""
    rows = [record(kind, **change) for change in changes]
    return check(KINDS[kind], pl.DataFrame(rows, schema=KINDS[kind].schema.columns), AT).reason.to_list()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_good_record_of_every_kind_and_sector_passes(kind: str) -> None:
    """No false refusal."""
    assert set(reasons(kind, *({"sector": sector} for sector in SECTORS))) == {""}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_id": ""}, "missing-field"),
        ({"source": ""}, "missing-field"),
        ({"metric": ""}, "missing-field"),
        ({"kind": "video"}, "wrong-kind"),
        ({"sector": "火"}, "unknown-sector"),
        ({"subject": "nobody"}, "bad-subject"),
        ({"subject": "planet:earth"}, "bad-subject"),
        ({"subject": "site:"}, "bad-subject"),
        ({"subject": "site: x"}, "bad-subject"),
        ({"subject": "site::x"}, "bad-subject"),
        ({"subject": "site:" + "x" * 129}, "bad-subject"),
        ({"subject": "site:a\nsite:b"}, "bad-subject"),
        ({"subject": "uscc:91350100M000100Y4Z"}, "bad-uscc"),
        ({"subject": "uscc:1"}, "bad-uscc"),
        ({"subject": "uscc:９1350100M000100Y43"}, "bad-uscc"),
        ({"region": ""}, "bad-region"),
        ({"region": "110005"}, "bad-region"),
        ({"region": "990101"}, "bad-region"),
        ({"region": "33038A"}, "bad-region"),
        ({"value": float("nan")}, "not-finite"),
        ({"value": float("inf")}, "not-finite"),
        ({"value": float("-inf")}, "not-finite"),
        ({"occurred_at": OLDEST - 1}, "time-too-old"),
        ({"observed_at": -(2**63)}, "time-too-old"),
        ({"occurred_at": AT + CLOCK_SKEW + 1}, "time-in-future"),
        ({"observed_at": 2**63 - 1}, "time-in-future"),
    ],
)
def test_each_reason(change: dict[str, Any], reason: str) -> None:
    """A bad record is named by its reason among good ones, which still pass."""
    assert reasons("iot", {}, change, {}) == ["", reason, ""]
    assert reason in REASONS


@pytest.mark.parametrize(
    "change",
    [
        {"region": None},
        {"region": "350000"},
        {"region": "350100"},
        {"occurred_at": OLDEST},
        {"occurred_at": AT + CLOCK_SKEW},
        {"value": -1.7e308},
        *({"subject": f"{scheme}:" + "火" * 128} for scheme in SUBJECT_SCHEMES if scheme != "uscc"),
    ],
)
def test_what_is_at_the_edge_passes(change: dict[str, Any]) -> None:
    """Limits belong to the good side."""
    assert reasons("iot", change) == [""]


def test_the_first_reason_is_named() -> None:
    """A record with several faults is named by the gravest one, always the same."""
    faults = {"source": "", "kind": "video", "sector": "x", "subject": "x", "value": float("nan"), "occurred_at": 0}
    order = []
    for name in list(faults):
        order += reasons("iot", faults)
        del faults[name]
    assert order == ["missing-field", "wrong-kind", "unknown-sector", "bad-subject", "not-finite", "time-too-old"]


def test_optional_numbers_may_be_null_but_not_nan() -> None:
    """A null fine is no fine; a NaN one is refused."""
    assert reasons("penalty", {"fine": None}, {"fine": float("nan")}) == ["", "not-finite"]


def test_dirty_credit_codes_are_cleaned() -> None:
    """Prefix, page suffix, blanks and lower case, as exchanged data has them, become the code itself, row by row."""
    dirty = [f"uscc:统一社会信用代码：{USCC}(1/1)", f"uscc: {USCC.lower()} ", f"uscc:{USCC[:4]} {USCC[4:]}", "site:A b"]
    rows = [record("iot", subject=subject) for subject in [f"uscc:{USCC}", *dirty, dirty[0]]]
    checked = check(KINDS["iot"], pl.DataFrame(rows, schema=KINDS["iot"].schema.columns), AT)
    assert checked.frame["subject"].to_list() == [f"uscc:{USCC}"] * 4 + ["site:A b", f"uscc:{USCC}"]
    assert checked.good.to_list() == [True] * 4 + [False, True]


def test_arrival_may_be_a_column() -> None:
    """Each row is measured against its own arrival."""
    frame = pl.DataFrame([record("iot")] * 2, schema=KINDS["iot"].schema.columns)
    frame = frame.with_columns(_ts=pl.Series([AT, AT - CLOCK_SKEW - 1]))
    assert check(KINDS["iot"], frame, "_ts").reason.to_list() == ["", "time-in-future"]


def test_no_rows_no_reasons() -> None:
    """An empty chunk is fine."""
    assert len(check(KINDS["video"], pl.DataFrame(schema=KINDS["video"].schema.columns), AT).reason) == 0
