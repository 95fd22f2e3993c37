"""A group of sensors that are read together, scored as one: smoothed Mahalanobis distance from the group's own past.

Mean and covariance are learnt online, each row with bounded weight, so that a long fault does not become the rule at once.
Score = 1 - exp(-(d / c - 1) / 3) where d is the squared distance, smoothed over about ten rows, and c the number of
columns: calm rows have d near c and score near 0. A single column is scored by the `sensor` model.

>>> at = np.arange(400) * 60_000
>>> score_group(at, np.sin(at / 1e6)[:, None]).shape
(400,)
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.contract import Array, Floats
from models.sensor import MOST, SCALE, Sensor
from topics.compiled import compiled_allocating

SLOW, SMOOTH = 1 / 1000, 1 / 10
WARM: Final = 100  # rows before the first score
CLIP: Final = 6.0  # a row counts in mean and covariance as if no further out than this, in standard deviations
RIDGE: Final = 0.05  # part of the variance added on the diagonal: sensors of one group are often nearly the same


@compiled_allocating
def _scaled(x: Array, mean: Array, std: Array) -> Array:
    z = np.zeros(x.size)
    for k in range(x.size):
        if np.isfinite(x[k]):
            z[k] = min(max((x[k] - mean[k]) / std[k], -20.0), 20.0)
    return z


@compiled_allocating
def _distances(x: Array, out: Array) -> None:
    """n rows of c columns -> `out` f8[n]: smoothed squared distance of each row from what came before it."""
    c = x.shape[1]
    mean, var, corr = np.zeros(c), np.zeros(c), np.eye(c)
    seen, smoothed = np.zeros(c), float(c)
    for i in range(x.shape[0]):
        std = np.sqrt(var) + 1e-9 + 1e-6 * np.abs(mean)
        z = _scaled(x[i], mean, std)
        if i >= WARM:
            d = z @ np.linalg.solve(corr + RIDGE * np.eye(c), z)
            smoothed += SMOOTH * (d - smoothed)
            out[i] = smoothed
        trust = min(1.0, (c / smoothed) ** 2)
        for k in range(c):
            if np.isfinite(x[i, k]):
                gain = trust * max(SLOW, 1.0 / (seen[k] + 1.0))
                off = x[i, k] - mean[k]
                if i >= WARM:
                    off = min(max(off, -CLIP * std[k]), CLIP * std[k])
                var[k] += gain * (off * off * (1.0 - gain) - var[k])
                mean[k] += gain * off
                seen[k] += trust
        if i >= WARM // 2:
            z = np.minimum(np.maximum(z, -CLIP), CLIP)
            corr += trust * max(SLOW, 1.0 / (i - WARM // 2 + 2.0)) * (np.outer(z, z) - corr)


def score_group(at_ms: npt.NDArray[np.int64], values: Floats) -> Floats:
    """Times int64[n] and values f8[n, c] (NaN missing) -> scores f8[n] in [0, 1], each from the earlier rows and this one."""
    if values.shape[1] == 1:
        return Sensor().score_many(pl.DataFrame({"occurred_at": at_ms, "value": values[:, 0]}))
    distance = np.zeros(len(at_ms))
    finite = np.where(np.isfinite(values), np.clip(values, -MOST, MOST), np.nan)
    _distances(np.ascontiguousarray(finite, np.float64), distance)
    ratio = distance / values.shape[1]
    return np.asarray(ratio / (ratio + SCALE), np.float64)
