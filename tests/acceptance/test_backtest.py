"""The back-test raises what the live stream raised: on the archive of a running house, clue by clue."""

import pytest

from fengsui.settings import Settings
from tests.acceptance.parity import compared, told

pytestmark = pytest.mark.broker
EVENTS = 20_000


def test_a_backtest_raises_what_the_stream_raised(settings: Settings) -> None:
    """By subject, across kinds, with late, repeated and refused events, on one core and on two; and by region, though copies of
    events from several partitions met in an order of their own. A million: `python -m tests.acceptance.parity`."""
    found = compared(settings, EVENTS)
    assert told(found.one) == found.live
    assert len({clue["origin_id"] for clue in found.live.values()}) == 3
    assert found.one.clues.equals(found.two.clues)
    assert found.one.suppressed == found.two.suppressed
    assert found.one.late["iot"] > 0
    assert told(found.regional) == found.crowds
    assert len(found.crowds) > 10
