"""The arithmetic of subject profiles: events in arrival order, decayed counts, feature rows before and after each event.

State of s subjects: `sums` f8[s, SUMS] as they stand at `marks[:, REF]`, `marks` f8[s, MARKS] (times in days, NaN never).
State of g groups (sectors and regions): `shares` f8[g, 3] (bad, all, day they stand at).
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from topics.compiled import compiled_locked

Array = npt.NDArray[Any]

# columns of `sums`, and what an event adds
VISITS, BAD, VIOLATIONS, CRITICAL, PENALTIES, FINES, COMPLAINTS, COMPLAINTS_YEAR, OPINIONS, CAMERA = range(10)
SUMS: Final = 10
HALF_LIVES: Final = np.array([730.0, 730.0, 365.0, 365.0, 365.0, 365.0, 30.0, 365.0, 30.0, 30.0])  # days
# columns of `marks`
REF, LAST_VISIT, LAST_BAD, LAST_OUTCOME, LAST_COMPLAINT = range(5)
MARKS: Final = 5
GROUP_HALF_LIFE, PRIOR_SHARE, PRIOR = 365.0, 0.2, 4.0  # a sector or region starts at PRIOR_SHARE, worth PRIOR visits

FEATURES: Final = 17


@compiled_locked
def _share(g: Array, day: float) -> float:
    fade = 0.5 ** (max(day - g[2], 0.0) / GROUP_HALF_LIFE) if g[1] > 0 else 0.0
    return float((g[0] * fade + PRIOR_SHARE * PRIOR) / (g[1] * fade + PRIOR))


@compiled_locked
def _logit(p: float) -> float:
    return float(np.log(p / (1.0 - p)))


@compiled_locked
def _since(day: float, mark: float) -> float:
    return float(np.log1p(day - mark if not day < mark else 0.0))  # NaN where it never happened


@compiled_locked
def _held(sums: Array, marks: Array, now: float, k: int) -> float:
    """What a sum has faded to."""
    return 0.0 if np.isnan(marks[REF]) else float(sums[k] * 0.5 ** ((now - marks[REF]) / HALF_LIVES[k]))


@compiled_locked
def _features(sums: Array, marks: Array, sector: float, region: float, day: float, out: Array) -> None:
    """What is known about a subject on a day; `sector`, `region`: shares of bad visits there."""
    now = day if np.isnan(marks[REF]) else max(day, marks[REF])
    out[0] = 1.0 if np.isnan(marks[LAST_VISIT]) else 0.0
    out[1] = np.log1p(_held(sums, marks, now, VISITS))
    out[2] = _logit((_held(sums, marks, now, BAD) + sector) / (_held(sums, marks, now, VISITS) + 1.0)) - _logit(sector)
    out[3] = marks[LAST_OUTCOME]
    out[4] = _since(now, marks[LAST_VISIT])
    out[5] = _since(now, marks[LAST_BAD])
    out[6], out[7] = np.log1p(_held(sums, marks, now, VIOLATIONS)), np.log1p(_held(sums, marks, now, CRITICAL))
    out[8], out[9] = np.log1p(_held(sums, marks, now, PENALTIES)), np.log1p(_held(sums, marks, now, FINES))
    out[10], out[11] = np.log1p(_held(sums, marks, now, COMPLAINTS)), np.log1p(_held(sums, marks, now, COMPLAINTS_YEAR))
    out[12] = _since(now, marks[LAST_COMPLAINT])
    out[13], out[14] = np.log1p(_held(sums, marks, now, OPINIONS)), np.log1p(_held(sums, marks, now, CAMERA))
    out[15], out[16] = _logit(region) - _logit(sector), _logit(sector)


@compiled_locked
def _later(mark: float, day: float) -> float:
    return day if np.isnan(mark) else max(mark, day)


@compiled_locked
def _take(sums: Array, marks: Array, adds: Array, label: float, day: float) -> None:
    if np.isnan(marks[REF]):
        marks[REF] = day
    if day > marks[REF]:
        for k in range(SUMS):
            sums[k] *= 0.5 ** ((day - marks[REF]) / HALF_LIVES[k])
        marks[REF] = day
    for k in range(SUMS):
        if adds[k] > 0:
            sums[k] += adds[k] * 0.5 ** ((marks[REF] - day) / HALF_LIVES[k])
    if adds[COMPLAINTS] > 0:
        marks[LAST_COMPLAINT] = _later(marks[LAST_COMPLAINT], day)
    if adds[VISITS] > 0:
        if not np.isnan(label) and not day < marks[LAST_VISIT]:
            marks[LAST_OUTCOME] = label
        marks[LAST_VISIT] = _later(marks[LAST_VISIT], day)
        if label > 0:
            marks[LAST_BAD] = _later(marks[LAST_BAD], day)


@compiled_locked
def _take_group(g: Array, label: float, day: float) -> None:
    if g[1] == 0 or day > g[2]:
        fade = 0.5 ** ((day - g[2]) / GROUP_HALF_LIFE) if g[1] > 0 else 0.0
        g[0], g[1], g[2] = g[0] * fade, g[1] * fade, day
    weight = 0.5 ** ((g[2] - day) / GROUP_HALF_LIFE)
    g[0] += label * weight
    g[1] += weight


@compiled_locked
def walk(
    subject: Array,
    sector: Array,
    region: Array,
    day: Array,
    adds: Array,
    label: Array,
    sums: Array,
    marks: Array,
    shares: Array,
    before: Array,
    after: Array,
) -> None:
    """n events in arrival order: feature rows before and after each; `label` NaN where an event is no judged inspection."""
    for i in range(subject.size):
        s, g, r = subject[i], sector[i], region[i]
        if s < 0 or g < 0 or r < 0:
            before[i], after[i] = np.nan, np.nan
            continue
        _features(sums[s], marks[s], _share(shares[g], day[i]), _share(shares[r], day[i]), day[i], before[i])
        _take(sums[s], marks[s], adds[i], label[i], day[i])
        if not np.isnan(label[i]):
            _take_group(shares[g], label[i], day[i])
            _take_group(shares[r], label[i], day[i])
        _features(sums[s], marks[s], _share(shares[g], day[i]), _share(shares[r], day[i]), day[i], after[i])
