"""The sensor detector: quiet on calm daily cycles, awake when a device leaves them, and fast."""

import time

import numpy as np
import polars as pl
import pytest

from models.contract import Floats
from models.panel import Panel
from models.sensor import Sensor
from models.serving import load
from topics.records import CLUE

START = 1_700_000_000_000
MINUTE = 60_000


def cycle(devices: int, days: int, minutes: int, seed: int = 0) -> Floats:
    """Readings f8[n, devices]: 20 degrees, a daily cycle of 3, noise of 0.5, rounded to tenths."""
    rng = np.random.default_rng(seed)
    at = np.arange(days * 1440 // minutes)[:, None] * minutes / 1440
    phase = rng.uniform(0, 1, devices)
    values = 20 + 3 * np.sin(2 * np.pi * (at + phase)) + rng.normal(0, 0.5, (len(at), devices))
    return np.asarray(values.round(1), np.float64)


def readings(values: Floats, minutes: int) -> pl.DataFrame:
    """The same as events of the fire sector, in order of time."""
    n, devices = values.shape
    at = np.repeat(START + np.arange(n) * minutes * MINUTE, devices)
    return pl.DataFrame(
        {
            "event_id": pl.Series(np.arange(n * devices)).cast(pl.String),
            "sector": pl.repeat("fire", n * devices, eager=True),
            "subject": pl.repeat("site:1", n * devices, eager=True),
            "subject_name": pl.repeat("某商场", n * devices, eager=True),
            "region": pl.repeat("110101", n * devices, eager=True),
            "device_id": [f"d{i}" for i in range(devices)] * n,
            "metric": pl.repeat("residual_current", n * devices, eager=True),
            "flag": pl.Series([None] * (n * devices), dtype=pl.String),
            "occurred_at": at,
            "value": values.ravel(),
            "_offset": np.arange(n * devices),
            "_ts": at + 1000,
        }
    )


def clues(frame: pl.DataFrame) -> pl.DataFrame:
    return Panel(load()).observe("iot", frame, "events.iot", 2).clues


@pytest.mark.parametrize(("minutes", "days"), [(5, 10), (60, 40)])
def test_calm_daily_cycles_raise_no_clue(minutes: int, days: int) -> None:
    """2,000 (8,000) device-days of daily cycles with noise: not one clue."""
    assert len(clues(readings(cycle(200, days, minutes), minutes))) == 0


@pytest.mark.parametrize("shape", ["step", "creep", "drop"])
def test_a_device_that_leaves_its_cycle_raises_one_clue(shape: str) -> None:
    """A step, a creep over six hours, a drop: one clue for that device, with evidence and words, none for its neighbours."""
    values = cycle(10, 10, 5, seed=3)
    fault = {"step": np.full(72, 12.0), "creep": np.linspace(0, 12, 72), "drop": np.full(72, -12.0)}[shape]
    at = 8 * 288
    values[at : at + 72, 4] += fault
    found = clues(readings(values, 5))
    assert found.columns == list(CLUE.columns)
    assert found["key"].to_list() == ["site:1/d4/residual_current"]
    clue = found.row(0, named=True)
    late = (clue["occurred_at"] - START) / MINUTE / 5 - at
    assert 0 <= late <= 60
    assert clue["raised_at"] == clue["occurred_at"] + 1000
    assert clue["department"] == "fire-rescue"
    assert "某商场" in clue["explanation"]
    assert '"topic": "events.iot", "partition": 2' in clue["evidence"]
    assert clue["score"] >= 0.9


def test_one_wild_reading_raises_no_clue() -> None:
    """A single spike is a fault of the line, not of the plant: it scores high but raises nothing."""
    values = cycle(3, 6, 5)
    values[1500, 1] = 900.0
    frame = readings(values, 5)
    assert Sensor().score_many(frame)[1500 * 3 + 1] > 0.9
    assert len(clues(frame)) == 0


def test_flagged_readings_are_left_out() -> None:
    """HJ 212 marks maintenance and calibration: what is measured then is not judged and not learnt."""
    values = cycle(3, 6, 5)
    values[1300:1400, 1] += 50
    frame = readings(values, 5)
    marked = frame.with_columns(pl.when(pl.col("value") > 40).then(pl.lit("C")).otherwise(pl.lit("N")).alias("flag"))
    assert len(clues(frame)) == 1
    assert len(clues(marked)) == 0


def test_an_episode_ends_after_a_quiet_day() -> None:
    """A fault that returns two days later is another clue; one that flickers within hours is not."""
    values = cycle(1, 12, 5, seed=5)
    for start in (6 * 288, 6 * 288 + 60, 9 * 288):
        values[start : start + 24, 0] += 15
    found = clues(readings(values, 5))
    assert len(found) == 2
    assert found["clue_id"].is_unique().all()


def test_fast_enough_for_the_hot_path() -> None:
    """20,000 series in chunks of 20,000 rows: far above 100,000 rows a second even on a busy machine."""
    frame = readings(cycle(20_000, 1, 72), 72)
    model = Sensor()
    model.score_many(frame[:20_000])
    start = time.perf_counter()
    for a in range(20_000, len(frame), 20_000):
        model.score_many(frame[a : a + 20_000])
    assert (len(frame) - 20_000) / (time.perf_counter() - start) > 100_000
