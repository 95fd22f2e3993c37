"""When each event is seen and delivered: delays, lateness within and beyond what is allowed, repeats, disorder."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from connectors.city.calendar import DAY, HOUR, MINUTE

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
LATE_SHARE: Final = 0.01
TOO_LATE_SHARE: Final = 0.003
REPEAT_SHARE: Final = 0.008


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after the fact a kind is seen, ms: mean, ranges of the late (still allowed) and of the too late."""

    mean: float
    most: float
    late: tuple[float, float]
    too_late: tuple[float, float]


# The allowed lateness is a setting per kind; `late` lies inside its defaults, `too_late` beyond.
DELAYS: Final[dict[str, Delay]] = {
    "iot": Delay(1_500, 20_000, (1 * MINUTE, 9 * MINUTE), (30 * MINUTE, 6 * HOUR)),
    "video": Delay(2_000, 20_000, (1 * MINUTE, 9 * MINUTE), (30 * MINUTE, 6 * HOUR)),
    "complaint": Delay(15 * MINUTE, 6 * HOUR, (1 * DAY, 2.5 * DAY), (3.5 * DAY, 6 * DAY)),
    "inspection": Delay(5 * HOUR, 2 * DAY, (3 * DAY, 6 * DAY), (7.5 * DAY, 10 * DAY)),
    "penalty": Delay(10 * HOUR, 3 * DAY, (4 * DAY, 6 * DAY), (7.5 * DAY, 10 * DAY)),
    "opinion": Delay(1 * HOUR, 8 * HOUR, (10 * HOUR, 22 * HOUR), (26 * HOUR, 3 * DAY)),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """For n events: `observed` (ms), and `repeats`: rows that are delivered once more."""

    observed: Ints
    repeats: Ints
    too_late: int


def see(rng: np.random.Generator, kind: str, occurred: Ints, now: int) -> Seen:
    """When the gateways saw the events of a kind; never after `now`."""
    delay, count = DELAYS[kind], len(occurred)
    drawn = rng.random(count)
    usual = np.minimum(rng.exponential(delay.mean, count), delay.most)
    late = rng.uniform(*delay.late, count)
    too_late = rng.uniform(*delay.too_late, count)
    is_too_late = drawn < TOO_LATE_SHARE
    late_too = (drawn >= TOO_LATE_SHARE) & (drawn < TOO_LATE_SHARE + LATE_SHARE)
    wait = np.where(is_too_late, too_late, np.where(late_too, late, usual)).astype(np.int64)
    # What would be seen after now is seen at once: the city ends here.
    seen_in_time = occurred + wait <= now - MINUTE
    observed = np.where(seen_in_time, occurred + wait, np.minimum(occurred + 500, now))
    repeats = np.flatnonzero(rng.random(count) < REPEAT_SHARE)
    return Seen(observed, repeats, int((is_too_late & seen_in_time).sum()))


def arrive(rng: np.random.Generator, observed: Ints, now: int) -> Ints:
    """When the events reach the topics: seconds later, now and then half a minute, so that neighbours change places."""
    slow = rng.random(len(observed)) < 0.01
    transit = np.where(slow, rng.uniform(5_000, 45_000, len(observed)), rng.exponential(400, len(observed)))
    return np.minimum(observed + transit.astype(np.int64), now)


def repeat(rng: np.random.Generator, arrived: Ints, now: int) -> Ints:
    """When a repeat comes, a second to an hour after the first (as gateways do that miss an acknowledgement)."""
    return np.minimum(arrived + rng.uniform(1_000, HOUR, len(arrived)).astype(np.int64), now)
