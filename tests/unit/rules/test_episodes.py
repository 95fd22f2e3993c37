"""Episodes and the storm cap by themselves: late firings, forgetting, restarts."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.episodes import HOUR, KEEP_HOURS, Episodes, Raise, StormCap

FIRINGS = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2"]),
        st.sampled_from(["k1", "k2/烽"]),
        st.integers(-30, 60),
        st.integers(1, 4),
        st.integers(0, 40),
        st.booleans(),
    ),
    max_size=60,
)


def play(firings: list[Any], *, interrupt: bool) -> list[Raise | None]:
    """Firings at growing times; when interrupted, with forgetting and restarts wherever the firing says so."""
    episodes, now, clock, found = Episodes(slack=20), 0, 0, []
    for i, (rule, key, step, rank, passes, stop) in enumerate(firings):
        now, clock = max(0, now + step), clock + passes
        found.append(episodes.fire(rule, key, f"e{i}", at=now, rank=rank, clock=clock, quiet=10))
        if interrupt and stop:
            episodes.forget(clock)
            arrays = episodes.snapshot()
            assert all(array.dtype != object for array in arrays.values())
            episodes = Episodes(slack=20)
            episodes.restore(arrays)
    return found


@given(FIRINGS)
@settings(max_examples=200, deadline=None)
def test_forgetting_and_restarts_change_nothing(firings: list[Any]) -> None:
    """What is dropped can no longer be reached, and a snapshot holds all the rest."""
    assert play(firings, interrupt=True) == play(firings, interrupt=False)


def test_a_late_firing_far_before_opens_its_own_episode() -> None:
    """A firing that occurred long before the open episode is another story, once; the open one goes on."""
    episodes = Episodes(slack=1_000)

    def fire(event: str, at: int) -> Raise | None:
        return episodes.fire("r", "k", event, at=at, rank=1, clock=200, quiet=10)

    assert fire("a", 100) == Raise("a", False)
    assert fire("b", 50) == Raise("b", False)
    assert fire("c", 55) is None
    assert fire("d", 105) is None
    assert len(episodes) == 2


def test_one_event_never_opens_two_episodes() -> None:
    """A late event judged at two times far apart gives one clue, or its id would come twice."""
    episodes = Episodes(slack=0)
    assert episodes.fire("r", "k", "a", at=0, rank=1, clock=0, quiet=10) == Raise("a", False)
    assert episodes.fire("r", "k", "a", at=50, rank=1, clock=0, quiet=10) is None


def test_the_cap_counts_by_rule_and_hour() -> None:
    """Each rule and hour has its own count; it survives a restart and is forgotten after two days."""
    cap = StormCap(2)
    assert [cap.take("r", 1, 0) for _ in range(4)] == ["clue", "clue", "storm", "capped"]
    assert (cap.take("r", 2, 0), cap.take("s", 1, 0)) == ("clue", "clue")
    other = StormCap(2)
    other.restore(cap.snapshot())
    assert other.take("r", 1, HOUR) == "capped"
    other.forget(HOUR + KEEP_HOURS + 1)
    assert other.take("r", 1, HOUR + KEEP_HOURS + 1) == "clue" == cap.take("r", 1, KEEP_HOURS + 1)
