"""The one record on which a stage fails is found, and only that one is refused."""

from hypothesis import given
from hypothesis import strategies as st

from streams.chunk import Chunk
from streams.quarantine import Quarantine
from tests.unit.streams.test_chunk import chunk


def lives(quarantine: Quarantine, whole: Chunk, poison: set[int]) -> tuple[list[int], list[int]]:
    """Decide a chunk as a task does: begin anew after each failure; returns (decided, refused) offsets."""
    for _ in range(200):
        decided: list[int] = []
        refused: list[int] = []
        for part, poisonous in quarantine.split(whole):
            offsets = part.offsets.tolist()
            if poisonous:
                refused += offsets
            elif poison & set(offsets):
                quarantine.suspect(part)
                break
            else:
                decided += offsets
        else:
            return decided, refused
    raise AssertionError("the poison was never found")


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=4))
def test_exactly_the_poisonous_rows_are_refused(rows: int, poison: set[int]) -> None:
    """Every other row of the chunk is decided, in order, once."""
    poison = {p for p in poison if p < rows}
    decided, refused = lives(Quarantine(), chunk(list(range(rows))), poison)
    assert sorted(refused) == sorted(poison)
    assert decided == [o for o in range(rows) if o not in poison]


def test_without_suspicion_a_chunk_is_not_touched() -> None:
    """The hot path hands on the chunk itself."""
    whole = chunk([1, 2, 3])
    assert next(part for part, _ in Quarantine().split(whole)) is whole
