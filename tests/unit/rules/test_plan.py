"""Which features share a store of windows."""

import pytest

from rules import Rule
from rules.plan import specs
from rules.selftest import LATENESS
from tests.unit.rules.build import rule


def features(count: str, mean: str = "") -> Rule:
    """A rule with a count and a mean."""
    return rule(
        features=f"{{n: {{agg: count, within: 1h{count}}}, a: {{agg: avg, of: value, within: 1h{mean}}}}}",
        when='"n > 1 AND a > 8"',
    )


SAME = ", where: \"metric = 'temp'\""


@pytest.mark.parametrize(
    ("count", "mean", "stores"),
    [
        (SAME, SAME, 1),  # only readings have a metric, and a reading always has a value
        (SAME, ", where: \"metric = 'hum'\"", 2),
        (f"{SAME}, by: device_id", SAME, 2),
        ("", "", 2),  # events of all kinds are counted
        (", where: \"metric = 'temp' OR kind = 'complaint'\"", SAME, 2),
        (", where: \"kind = 'complaint'\"", SAME, 2),
    ],
)
def test_counting_readings_takes_no_store_of_its_own(count: str, mean: str, stores: int) -> None:
    """Beside their sums and means; whatever else is counted has one."""
    assert len(specs([features(count, mean)], LATENESS)) == stores


def test_a_count_stands_in_the_same_store_with_and_without_the_mean() -> None:
    """So that a rule which comes or goes leaves the windows of others alone."""
    both = features(SAME, SAME)
    alone = rule(features=f"{{n: {{agg: count, within: 1h{SAME}}}}}", when='"n > 1"')
    assert specs([alone], LATENESS).keys() == specs([both], LATENESS).keys()
