"""The arithmetic of the sensor detector: one row of one series at a time, in numba, on plain arrays.

State of s series: `scalars` f8[s, SCALARS], `profile` f4[s, BINS] and `visits` u1[s, BINS] (hour of day, workdays and
weekends apart, Beijing time), `mix` f4[s, 2, LEVELS] (recent and usual), `tails` f4[s, CHANNELS, EDGES] (history of each
channel). A group of series (usually one) has `totals` f4[g, TOTAL_EDGES] and `peaks` f8[g, PEAKS].
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from topics.compiled import compiled_locked

Array = npt.NDArray[Any]

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
BEIJING_MS: Final = 8 * HOUR_MS
HOURS: Final = 24
BINS: Final = 2 * HOURS
LEVELS: Final = 12
CHANNELS: Final = 4  # level, season, trend, mix
EDGES, WIDTH = 33, 0.2
TOTAL_EDGES, TOTAL_WIDTH = 61, 0.5

FAST, SLOW, MIX = 1 / 5, 1 / 1000, 1 / 30  # gains a row: trend; level and scales; recent mix of levels
MOST_VISITS: Final = 7  # days that a profile bin remembers
HOLD: Final = 100  # rows that an event lasts
WARM: Final = 30  # rows before the first score
CLIP: Final = 6.0  # one row moves the usual level by no more than this many usual distances
MOST_EVIDENCE: Final = 12.0
ODD: Final = 3.0  # usual distances from the season from which a row goes on with a streak
FORGET_AT: Final = 20_000.0  # rows of history after which it counts half

# columns of `scalars`
N, MEAN, DEV, SDEV, SHIFT, SHIFT_DEV, LAST, QUANTUM, HOUR_NOW, HOUR_SUM, HOUR_N, SEEN, FIRST_AT, LAST_AT, STREAK = (
    range(15)
)
SCALARS: Final = 15
# columns of `peaks`: rows seen, held evidence in five slots of HOLD / 4 rows, held surprise in the same five slots
SLOTS: Final = 5
PEAKS: Final = 1 + 2 * SLOTS


@compiled_locked
def tail(counts: Array, width: float, per: float, y: float) -> float:
    """-log10 of the share of history at or above y, `per` rows counting as one observation; beyond the end of history the
    mean excess of its top tenth goes on (an exponential tail)."""
    last = counts.size - 1
    u = min(y / width, last - 1e-3)
    b = int(u)
    part = u - b
    above = (counts[b] * (1.0 - part) + counts[b + 1] * part) / per
    out = -np.log10((above + 0.5) / (counts[0] / per + 1.0))
    if above >= 0.5 or counts[0] < 1.0:  # noqa: PLR2004 - half a row: inside what was seen
        return float(out)
    start = 0
    while start < last and counts[start] > 0.1 * counts[0]:
        start += 1
    excess, end = 0.0, start
    for k in range(start, last):
        excess += counts[k + 1]
        if counts[k] >= 0.5:  # noqa: PLR2004
            end = k + 1
    mean = width * (0.5 + excess / max(counts[start], 1.0))
    return float(min(out + max(0.0, y - end * width) / mean * 0.4343, MOST_EVIDENCE))


@compiled_locked
def remember(counts: Array, width: float, y: float) -> None:
    """Add y to a history of cumulative counts; a long history counts half from time to time."""
    for k in range(int(min(y / width, counts.size - 1 - 1e-3)) + 1):
        counts[k] += 1.0
    if counts[0] > FORGET_AT:
        counts *= 0.5


@compiled_locked
def _base(s: Array, profile: Array, visits: Array, at: int) -> float:
    """What this hour usually shows: interpolated between the middles of the hours on either side."""
    local = at + BEIJING_MS
    weekend = HOURS if (local // DAY_MS + 3) % 7 >= 5 else 0  # noqa: PLR2004 - 1970-01-01 was a Thursday
    hour = (local % DAY_MS) / HOUR_MS - 0.5
    low = int(np.floor(hour))
    part = hour - low
    total = 0.0
    for k, weight in ((low % HOURS, 1.0 - part), ((low + 1) % HOURS, part)):
        own, other = k + weekend, k + HOURS - weekend
        if visits[own] > 0:
            total += weight * profile[own]
        elif visits[other] > 0:
            total += weight * profile[other]
        else:
            total += weight * s[MEAN]
    return total


@compiled_locked
def _commit(s: Array, profile: Array, visits: Array, at: int, x: float) -> None:
    """Gather the hour's mean; when a later hour begins, the profile learns the one that ended."""
    hour = (at + BEIJING_MS) // HOUR_MS
    if hour > s[HOUR_NOW] and s[HOUR_N] > 0:
        old = np.int64(s[HOUR_NOW])
        k = old % HOURS + (HOURS if (old // HOURS + 3) % 7 >= 5 else 0)  # noqa: PLR2004
        s[SEEN] += 1.0 if visits[k] == 0 else 0.0
        if visits[k] < MOST_VISITS:
            visits[k] += 1
        profile[k] += (s[HOUR_SUM] / s[HOUR_N] - profile[k]) / visits[k]
    if hour > s[HOUR_NOW]:
        s[HOUR_NOW], s[HOUR_SUM], s[HOUR_N] = hour, 0.0, 0.0
    if hour == s[HOUR_NOW]:
        s[HOUR_SUM] += x
        s[HOUR_N] += 1.0


@compiled_locked
def _start(s: Array, mix: Array, at: int, x: float) -> None:
    s[MEAN], s[LAST], s[FIRST_AT], s[LAST_AT], s[QUANTUM] = x, x, at, at, 0.0
    s[HOUR_NOW] = (at + BEIJING_MS) // HOUR_MS
    mix[:] = 1.0 / LEVELS


@compiled_locked
def _mixed(mix: Array, level: float, slow: float) -> float:
    """How far the recent mix of levels is from the usual one (relative entropy); both then learn this row."""
    at = int(min(max(np.floor(level * 2.5) + LEVELS // 2, 0), LEVELS - 1))
    out = 0.0
    for k in range(LEVELS):
        here = 1.0 if k == at else 0.0
        mix[0, k] += MIX * (here - mix[0, k])
        out += mix[0, k] * np.log(max(mix[0, k], 1e-9) / (mix[1, k] + 0.01))
        mix[1, k] += slow * (here - mix[1, k])
    return max(out, 0.0)


@compiled_locked
def surprise(s: Array, profile: Array, visits: Array, mix: Array, tails: Array, at: int, x: float, out: Array) -> None:
    """One finite row of one series: `out` f8[CHANNELS + 2] gets each channel's evidence, the expected value, and how many
    times its usual size the trend has; then learn."""
    if s[N] == 0:
        _start(s, mix, at, x)
    step = abs(x - s[LAST])
    if step > 0 and (s[QUANTUM] == 0 or step < s[QUANTUM]):
        s[QUANTUM] = step
    tiny = 1e-12 + 1e-3 * abs(s[MEAN]) + 0.25 * s[QUANTUM]
    slow, fast = max(SLOW, 1.0 / (s[N] + 1.0)), max(FAST, 1.0 / (s[N] + 1.0))
    off = x - s[MEAN]
    expected = _base(s, profile, visits, at) if s[SEEN] >= 4 else s[MEAN]  # noqa: PLR2004 - fewer hours are no cycle
    q = x - expected
    s[SHIFT] += fast * (q - s[SHIFT])
    level = np.log1p(abs(off) / (s[DEV] + tiny))
    of_cycle = np.log1p(abs(q) / (s[SDEV] + tiny))
    of_trend = np.log1p(abs(s[SHIFT]) / (s[SHIFT_DEV] + tiny))
    y = (level, of_cycle, of_trend, 2.0 * _mixed(mix, level if off > 0 else -level, slow))
    for c in range(CHANNELS):
        out[c] = tail(tails[c], WIDTH, 1.0, y[c]) if s[N] >= WARM else 0.0
        remember(tails[c], WIDTH, y[c])
    out[CHANNELS] = expected
    side = 1.0 if q > 0 else -1.0
    s[STREAK] = 0.0 if abs(q) < ODD * (s[SDEV] + tiny) else s[STREAK] + side if s[STREAK] * side > 0 else side
    out[CHANNELS + 1] = abs(s[SHIFT]) / (s[SHIFT_DEV] + tiny)
    if s[N] >= WARM:  # robust: a row far out moves level, scales and profile by a bounded step
        most, most_q = CLIP * (s[DEV] + tiny), CLIP * (s[SDEV] + tiny)
        off, q = min(max(off, -most), most), min(max(q, -most_q), most_q)
    _learn(s, slow, tiny, off, q)
    _commit(s, profile, visits, at, expected + q)
    s[N] += 1.0
    s[LAST], s[FIRST_AT], s[LAST_AT] = x, min(s[FIRST_AT], at), max(s[LAST_AT], at)


@compiled_locked
def _learn(s: Array, slow: float, tiny: float, off: float, q: float) -> None:
    s[MEAN] += slow * off
    s[DEV] += slow * (abs(off) - s[DEV])
    s[SDEV] += slow * (abs(q) - s[SDEV])
    s[SHIFT_DEV] += slow * (min(abs(s[SHIFT]), CLIP * (s[SHIFT_DEV] + tiny)) - s[SHIFT_DEV])


@compiled_locked
def _most(values: Array) -> float:
    most = values[0]
    for value in values[1:]:
        most = max(most, value)
    return float(most)


@compiled_locked
def judge(totals: Array, peaks: Array, total: float) -> float:
    """Summed surprise of one row of one group -> evidence; what does not top the last HOLD rows counts half."""
    n = peaks[0]
    held, surprises = peaks[1 : 1 + SLOTS], peaks[1 + SLOTS : 1 + 2 * SLOTS]
    if int(n) % (HOLD // (SLOTS - 1)) == 0:
        for k in range(SLOTS - 1, 0, -1):
            held[k], surprises[k] = held[k - 1], surprises[k - 1]
        held[0] = surprises[0] = 0.0
    evidence = tail(totals, TOTAL_WIDTH, HOLD / (SLOTS - 1), total) if n >= WARM else 0.0
    if evidence <= _most(held):
        evidence *= 0.5
    held[0] = max(held[0], evidence)
    surprises[0] = max(surprises[0], total)
    remember(totals, TOTAL_WIDTH, _most(surprises))
    peaks[0] = n + 1.0
    return evidence
