"""What every planted story is made of: frames with their truth, moments in local hours, spans that end by now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city.reports import Scene
from connectors.city.truth import Planted

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Told:
    """Frames of events by kind, and what they show."""

    frames: tuple[tuple[str, pl.DataFrame], ...]
    truth: tuple[Planted, ...]


def ints(values: Sequence[int]) -> Ints:
    """The values as a column."""
    return np.array(values, np.int64)


def day_of(scene: Scene, first: int, last: int, hours: tuple[float, float]) -> int:
    """A moment between `last` and `first` days ago, in those local hours."""
    return scene.calendar.at(int(scene.rng.integers(last, first + 1)), float(scene.rng.uniform(*hours)))


def planted(
    scene: Scene, story: str, sector: str, *, keys: set[str], origins: set[str], span: tuple[int, int], tail: int
) -> Planted:
    """An incident whose span lasts `tail` ms longer than what was planted, and never beyond now."""
    end = min(span[1] + tail, scene.calendar.now)
    return Planted(story, sector, frozenset(keys), frozenset(origins), span[0], end)
