"""Sample inputs for the contract tests: a frame that any model of that nature takes, labels, and where the columns are."""

import numpy as np
import polars as pl

from models.contract import Floats


def series(seed: int, n: int) -> pl.DataFrame:
    """n readings of four series, with gaps, nulls, NaN, late rows and jumps."""
    rng = np.random.default_rng(seed)
    at = 1_700_000_000_000 + np.arange(n) * 600_000 - rng.integers(0, 5, n) * 900_000
    value = 20 + 3 * np.sin(at / 86_400_000 * 6.28) + rng.normal(0, 0.5, n) + 30 * (rng.random(n) < 0.02)
    value[rng.random(n) < 0.03] = np.nan
    frame = pl.DataFrame(
        {
            "subject": [f"site:{i}" for i in rng.integers(0, 2, n)],
            "device_id": ["d1" if i else None for i in rng.integers(0, 2, n)],
            "metric": ["温度"] * n,
            "occurred_at": at,
            "value": value,
        }
    )
    return frame.with_columns(pl.when(pl.col("value") > 48).then(None).otherwise("value").alias("value"))


def subjects(seed: int, n: int) -> tuple[pl.DataFrame, Floats]:
    """n examples with numbers, a text, a boolean, missing values; and labels that depend on two of them."""
    rng = np.random.default_rng(seed)
    complaints, days = rng.poisson(1.0, n).astype(float), rng.exponential(90, n)
    days[rng.random(n) < 0.1] = np.nan
    chance = 1 / (1 + np.exp(2.0 - complaints - np.nan_to_num(days) / 200))
    frame = pl.DataFrame(
        {
            "complaints": complaints,
            "days": days,
            "type": [("餐饮", "school", None)[i] for i in rng.integers(0, 3, n)],
            "first": rng.random(n) < 0.2,
            "count": rng.integers(0, 9, n),
        }
    )
    return frame, (rng.random(n) < chance).astype(float)
