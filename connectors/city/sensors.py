"""The city's devices and their readings, all of them at once, as compact columns (device number, time, value, flag)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from connectors.city.calendar import DAY, DAYS, HOUR, MINUTE, ZONE, Calendar
from connectors.city.metrics import METRICS, Incident, Metric
from connectors.city.picks import Picks
from connectors.city.truth import ORDINARY, Planted

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
FLAGS: Final = ("N", "M", "C", "D")
_TAIL: Final = 12 * HOUR  # the longest window of the sensor rules: so long after its end an incident is still seen


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there shall be: `budget` readings, `repeated` instances of each story, `ordinary` of each other one."""

    budget: int
    repeated: int
    ordinary: int


@dataclass(frozen=True, slots=True)
class Effect:
    """An incident at work on one device's series."""

    device: int
    begin: int
    end: int
    incident: Incident
    strength: float


@dataclass(frozen=True, slots=True)
class Readings:
    """`devices`: one row a device (subject_row, device_id, metric, unit); the readings in order of device and time."""

    devices: pl.DataFrame
    device: npt.NDArray[np.int32]
    at: Ints
    value: Floats
    flag: npt.NDArray[np.int8]
    truth: tuple[Planted, ...]


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Devices as columns: metric number, subject row, first reading, readings; and what befalls them."""

    metric: Ints
    subject: Ints
    start: Ints
    count: Ints
    effects: tuple[Effect, ...]
    truth: tuple[Planted, ...]

    @property
    def step(self) -> Ints:
        """Milliseconds between readings."""
        return np.array([round(m.step * MINUTE) for m in METRICS])[self.metric]


def make_readings(seed: int, scale: Scale, calendar: Calendar, picks: Picks) -> Readings:
    """Devices and readings with incidents, as many as `scale` says (more where the incidents need more)."""
    rng = np.random.default_rng([seed, 2])
    fleet = _fill(rng, _with_incidents(rng, scale, calendar, picks), scale.budget, calendar, picks)
    device = np.repeat(np.arange(len(fleet.metric)), fleet.count)
    nth = np.arange(len(device)) - np.repeat(np.cumsum(fleet.count) - fleet.count, fleet.count)
    at = fleet.start[device] + nth * fleet.step[device] + rng.integers(0, 8_000, len(device))
    value = _ordinary_values(rng, fleet, device, at)
    flag = np.zeros(len(device), np.int8)
    _maintain(rng, fleet, value, flag)
    for effect in fleet.effects:
        _apply(rng, fleet, effect, at, value)
    value[:] = np.round(np.clip(value, _of(fleet, device, "low"), _of(fleet, device, "high")), 3)
    keep = _without_gaps(rng, fleet, device, nth) & (at <= calendar.now - MINUTE)
    names = _names(fleet)
    return Readings(names, device[keep].astype(np.int32), at[keep], value[keep], flag[keep], fleet.truth)


def _session(budget: int, metric: Metric) -> int:
    """How many readings an ordinary device of the metric has: longer series and more devices as the city grows."""
    return int(min(DAYS * DAY / (metric.step * MINUTE), max(60, 0.9 * budget**0.5), max(48, budget / 20)))


def _with_incidents(rng: Rng, scale: Scale, calendar: Calendar, picks: Picks) -> _Fleet:
    """The devices that something befalls, each with enough quiet readings before and after."""
    rows: list[tuple[int, int, int, int]] = []
    effects: list[Effect] = []
    truth: list[Planted] = []
    for number, metric in enumerate(METRICS):
        for incident in metric.incidents:
            for _ in range(scale.ordinary if incident.story == ORDINARY else scale.repeated):
                subject = picks.take(metric.sector)
                spans = _spans(rng, incident, metric, calendar)
                strength = float(rng.uniform(0.7 if incident.story == ORDINARY else 0.8, 1.35))  # some are faint
                effects += [Effect(len(rows), begin, end, incident, strength) for begin, end in spans]
                first, last = spans[0][0], spans[-1][1]
                begin = first - round((metric.history + rng.uniform(0, 2)) * HOUR)
                length = max(_session(scale.budget, metric), round((last - begin + HOUR) / (metric.step * MINUTE)))
                start = max(begin - round(rng.uniform(0, 0.5) * length * metric.step * MINUTE), calendar.begin)
                start = min(start, begin)
                rows.append(
                    (number, subject, start, max(length, round((last + HOUR - start) / (metric.step * MINUTE))))
                )
                keys = frozenset({picks.subject(subject), device_id(metric, len(rows) - 1)})
                truth.append(
                    Planted(incident.story, metric.sector, keys, frozenset(incident.origins), first, last + _TAIL)
                )
    table = np.array(rows, np.int64)
    return _Fleet(table[:, 0], table[:, 1], table[:, 2], table[:, 3], tuple(effects), tuple(truth))


def _spans(rng: Rng, incident: Incident, metric: Metric, calendar: Calendar) -> list[tuple[int, int]]:
    """When the incident is at work: one span, or one a night for some nights; inside the period, with room before."""
    nights = int(rng.integers(1, incident.nights + 1))
    room = int(np.ceil((metric.history + incident.hours[1]) / 24)) + nights
    day = int(rng.integers(min(room, DAYS - 2), DAYS - int(np.ceil(metric.history / 24))))
    hours = rng.uniform(*incident.hours)
    spans = []
    for night in range(nights):
        begin = calendar.at(day - night, rng.uniform(*incident.start))
        spans.append((begin, begin + round(hours * HOUR)))
    return spans


def _fill(rng: Rng, fleet: _Fleet, budget: int, calendar: Calendar, picks: Picks) -> _Fleet:
    """The fleet with ordinary devices added until the budget is spent (at least one of each metric)."""
    left = budget - int(fleet.count.sum())
    mean = float(np.average([_session(budget, m) for m in METRICS], weights=[m.weight for m in METRICS]))
    share = np.array([m.weight for m in METRICS]) / sum(m.weight for m in METRICS)
    counts = np.maximum(0, np.round(share * max(0, left) / mean)).astype(int)
    metric = np.repeat(np.arange(len(METRICS)), counts)
    length = np.array([_session(budget, METRICS[m]) for m in metric], np.int64)
    step = np.array([round(METRICS[m].step * MINUTE) for m in metric], np.int64)
    latest = calendar.now - length * step
    start = calendar.begin + np.round(rng.random(len(metric)) * np.maximum(0, latest - calendar.begin)).astype(np.int64)
    subject = np.array([picks.any(METRICS[m].sector) for m in metric], np.int64)
    return _Fleet(
        np.concatenate([fleet.metric, metric]),
        np.concatenate([fleet.subject, subject]),
        np.concatenate([fleet.start, start]),
        np.concatenate([fleet.count, length]),
        fleet.effects,
        fleet.truth,
    )


def _of(fleet: _Fleet, device: Ints, field: str) -> Floats:
    return np.array([float(getattr(m, field)) for m in METRICS])[fleet.metric][device]


def _ordinary_values(rng: Rng, fleet: _Fleet, device: Ints, at: Ints) -> Floats:
    count = len(fleet.metric)
    spread = np.array([m.spread for m in METRICS])[fleet.metric]
    # Devices differ, but no healthy one is beyond two standard deviations of its kind.
    base = np.array([m.base for m in METRICS])[fleet.metric] + spread * np.clip(rng.standard_normal(count), -2, 2)
    hour = (at + ZONE) % DAY / HOUR
    daily = _of(fleet, device, "amplitude") * np.cos((hour - _of(fleet, device, "peak")) * (2 * np.pi / 24))
    noise = _of(fleet, device, "noise")
    wander = noise * 0.6 * np.sin(at / (rng.uniform(2, 7, count) * HOUR)[device] + rng.uniform(0, 6, count)[device])
    value = base[device] + daily + wander + noise * rng.standard_normal(len(at))
    value += _of(fleet, device, "spike") * (rng.random(len(at)) < _of(fleet, device, "spike_share"))
    shape = np.array([m.shape for m in METRICS])[fleet.metric][device]
    night = (hour >= 22) | (hour < 6)
    # Drivers rest from ten to six; by day they stop after `base` minutes at the latest, which is below four hours.
    cycle = base[device] + 20
    since_six = np.maximum(0, (hour - 6) * 60)
    driving = np.where(night, 0, np.clip((at / MINUTE + 37 * device) % cycle - 20, 0, since_six))
    value = np.where(shape == "driving", driving, value)
    value = np.where((shape == "coach") & night, 0, value)
    return np.where((shape == "sleeper") & (hour >= 1.75) & (hour < 5.1), 0, value)


def _slice(fleet: _Fleet, device: int) -> slice:
    end = int(fleet.count[: device + 1].sum())
    return slice(end - int(fleet.count[device]), end)


def _apply(rng: Rng, fleet: _Fleet, effect: Effect, at: Ints, value: Floats) -> None:
    where = _slice(fleet, effect.device)
    mine, times = value[where], at[where]
    inside = (times >= effect.begin) & (times < effect.end)
    since = (times[inside] - effect.begin) / HOUR
    metric, incident = METRICS[int(fleet.metric[effect.device])], effect.incident
    if incident.mode == "ramp":
        mine[inside] += incident.size * effect.strength * since
    elif incident.mode == "step":
        mine[inside] += (
            incident.size * effect.strength * np.minimum(1, since / 0.25)
        )  # trouble takes a quarter of an hour
    elif incident.mode == "climb":
        mine[inside] = incident.size + 60 * since
    else:
        mine[inside] = incident.size + metric.noise * rng.standard_normal(inside.sum())


def _maintain(rng: Rng, fleet: _Fleet, value: Floats, flag: npt.NDArray[np.int8]) -> None:
    """Decoys: one device in eight is maintained, calibrated or faulty for a while: wild values under an honest flag."""
    busy = {effect.device for effect in fleet.effects}
    for device in np.flatnonzero(rng.random(len(fleet.metric)) < 0.12).tolist():
        length = int(rng.integers(5, 12))
        first, kind = int(rng.integers(0, max(1, fleet.count[device] - length))), int(rng.integers(1, len(FLAGS)))
        incident = METRICS[int(fleet.metric[device])].incidents[0]
        if device in busy:
            continue
        where = slice(_slice(fleet, device).start + first, _slice(fleet, device).start + first + length)
        if incident.mode == "step":
            value[where] += incident.size * 1.5
        elif incident.mode != "ramp":
            value[where] = incident.size
        flag[where] = kind


def _without_gaps(rng: Rng, fleet: _Fleet, device: Ints, nth: Ints) -> npt.NDArray[np.bool_]:
    """One reading in 300 is lost, and one device in six is silent for a tenth of its series."""
    silent = rng.random(len(fleet.metric)) < 1 / 6
    silent[[effect.device for effect in fleet.effects]] = False
    first = (rng.random(len(silent)) * fleet.count * 0.9).astype(np.int64)
    gap = silent[device] & (nth >= first[device]) & (nth < (first + fleet.count // 10)[device])
    kept: npt.NDArray[np.bool_] = ~gap & (rng.random(len(device)) >= 1 / 300)
    return kept


def device_id(metric: Metric, number: int) -> str:
    """A device's id: initials of what it measures, and its number in the city.

    >>> device_id(METRICS[0], 12)
    'CST-000012'
    """
    return "".join(word[0] for word in metric.code.split("_")).upper() + f"-{number:06d}"


def _names(fleet: _Fleet) -> pl.DataFrame:
    metrics = [METRICS[m] for m in fleet.metric.tolist()]
    return pl.DataFrame(
        {
            "subject_row": fleet.subject,
            "device_id": [device_id(m, i) for i, m in enumerate(metrics)],
            "metric": [m.code for m in metrics],
            "unit": [m.unit for m in metrics],
        }
    )
