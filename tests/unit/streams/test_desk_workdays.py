"""Working days in China and the limits counted in them."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from streams.desk import Workdays, parse_overrides

ZONE = ZoneInfo("Asia/Shanghai")


def ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-02-14", True),  # a Saturday made up for 春节
        ("2026-02-17", False),
        ("2026-10-10", True),  # a Saturday made up for 国庆
        ("2026-11-22", False),
        ("2026-11-23", True),
        ("2027-02-08", False),  # computed: not published yet
        ("2027-02-11", True),
        ("2003-10-01", False),  # before the published years
    ],
)
def test_published_and_computed_days(day: str, works: bool) -> None:
    assert Workdays().is_workday(dt.date.fromisoformat(day)) is works


def test_a_list_of_ones_own_is_stronger() -> None:
    days = Workdays(parse_overrides("# 2027 通知\n2027-02-11 off\n\n2027-02-14 work"))
    assert not days.is_workday(dt.date(2027, 2, 11))
    assert days.is_workday(dt.date(2027, 2, 14))


@pytest.mark.parametrize("line", ["2027-02-30 off", "2027-02-11", "2027-02-11 maybe", "2027-02-11 off now"])
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_overrides(f"# list\n{line}")


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-10-19T10:00", 1, "2026-10-21T00:00"),
        ("2026-10-23T23:59", 1, "2026-10-27T00:00"),  # Friday: Monday's end
        ("2026-10-24T08:00", 1, "2026-10-27T00:00"),  # Saturday: Monday's end
        ("2026-09-30T10:00", 1, "2026-10-09T00:00"),  # over 国庆
        ("2026-10-08T10:00", 3, "2026-10-13T00:00"),  # the made-up Saturday counts
    ],
)
def test_a_limit_ends_with_its_last_working_day(start: str, days: int, end: str) -> None:
    assert Workdays().deadline(ms(start), days) == ms(end)


def test_most_of_a_limit_is_gone_by_working_time() -> None:
    """Friday noon to Monday's end is 36 working hours: 80 % is 28.8 h, Monday 16:48; the weekend does not count."""
    start = ms("2026-10-23T12:00")
    assert Workdays().moment(start, Workdays().deadline(start, 1), 0.8) == ms("2026-10-26T16:48")
