"""Unsupervised online detector over many sensor series at once: level, daily season, short trend, mix of levels.

A series is one subject, device and metric. A row's surprise in each channel is the share of this series' own past that
went as far (`sensor_kernel`), summed over channels and measured against the highest sums of earlier stretches of 100 rows.
Score = 1 - exp(-evidence / 3): evidence e means "in 10**-e of its own past stretches", carried on as an exponential tail.
Cost: about 1 us a row, 2 us with the keys, and 1.3 KB a series.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
import polars as pl

from models import sensor_kernel as kernel
from models.contract import Array, Arrays, BadSnapshot, Floats, Model, taken
from models.keys import Codes, KeyTable
from models.outcomes import column
from topics.compiled import compiled_locked

KEY: Final = ("subject", "device_id", "metric")
CHANNELS: Final = {"level": "偏离长期水平", "season": "偏离同时段常态", "trend": "短期趋势", "mix": "数值分布变化"}
SCALE: Final = 3.0
USUAL: Final = 3.0  # a trend of up to three times its usual size is nothing
MOST_SERIES: Final = 1_000_000
MOST: Final = 1e15  # larger readings count as this: sums of them must stay exact enough

_SHAPES: Final = {  # state array -> dtype, shape of one series
    "scalars": (np.float64, (kernel.SCALARS,)),
    "profile": (np.float32, (kernel.BINS,)),
    "visits": (np.uint8, (kernel.BINS,)),
    "mix": (np.float32, (2, kernel.LEVELS)),
    "tails": (np.float32, (kernel.CHANNELS, kernel.EDGES)),
    "totals": (np.float32, (kernel.TOTAL_EDGES,)),
    "peaks": (np.float64, (kernel.PEAKS,)),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """n rows: score in [0, 1]; contributions f8[n, 4] by channel, which sum to it; expected value; rows and hours seen before;
    `lasting`: in [0, 1], how far the short trend is from the season, 0.9 at ten times its usual size; `streak`: rows in a row
    outside their season on the same side."""

    code: Codes
    score: Floats
    channels: Floats
    expected: Floats
    rows: Floats
    hours: Floats
    lasting: Floats
    streak: Floats


@compiled_locked
def _rows(code: Array, at: Array, x: Array, state: tuple[Array, ...], out: Array) -> None:
    """`out` f8[n, 10]: evidence, four channels, expected, size of the trend, rows and hours seen before, streak."""
    scalars, profile, visits, mix, tails, totals, peaks = state
    for i in range(code.size):
        k = code[i]
        if k < 0 or not np.isfinite(x[i]):
            continue
        s = scalars[k]
        out[i, 7] = s[kernel.N]
        out[i, 8] = (s[kernel.LAST_AT] - s[kernel.FIRST_AT]) / kernel.HOUR_MS
        kernel.surprise(s, profile[k], visits[k], mix[k], tails[k], at[i], x[i], out[i, 1:7])
        out[i, 0] = kernel.judge(totals[k], peaks[k], out[i, 1] + out[i, 2] + out[i, 3] + out[i, 4])
        out[i, 9] = abs(s[kernel.STREAK])


class Sensor(Model):
    """The model of `series` and of the sensor topics.

    >>> calm = pl.DataFrame({"device_id": ["d"] * 400, "value": [20.0 + i % 5 for i in range(400)],
    ...                      "occurred_at": [i * 300_000 for i in range(400)]})
    >>> model = Sensor()
    >>> float(model.score_many(calm).max()) < 0.8
    True
    >>> float(model.score_many(calm[-1:].with_columns(value=90.0))[0]) > 0.9
    True
    """

    name: ClassVar[str] = "sensor"
    zh: ClassVar[str] = "传感器在线异常检测"
    version: ClassVar[str] = "1"
    takes: ClassVar[Literal["series", "subject"]] = "series"
    advances: ClassVar[bool] = True

    def __init__(self) -> None:
        self._keys = KeyTable(MOST_SERIES)
        self._state: Arrays = {n: np.zeros((0, *shape), dtype) for n, (dtype, shape) in _SHAPES.items()}

    def __len__(self) -> int:
        return len(self._keys)

    def judge(self, x: pl.DataFrame) -> Judged:
        """Score n rows in their order, and take each in. Rows without a finite value get 0 and change nothing."""
        columns = [column(x, name, pl.String) for name in KEY]
        code = self._keys.codes(columns)
        self._reserve(len(self._keys))
        at = column(x, "occurred_at", pl.Int64).fill_null(0).to_numpy()
        raw = column(x, "value", pl.Float64).fill_null(np.nan).to_numpy()
        value = np.clip(np.where(np.isfinite(raw), raw, np.nan), -MOST, MOST)
        out = np.zeros((len(x), 10))
        _rows(code, at, value, tuple(self._state[name] for name in _SHAPES), out)
        score = 1.0 - np.exp(-out[:, 0] / SCALE)
        lasting = 1.0 - np.exp(-np.maximum(out[:, 6] - USUAL, 0.0) / SCALE)
        shares = out[:, 1:5] / np.maximum(out[:, 1:5].sum(1, keepdims=True), 1e-12)
        return Judged(code, score, shares * score[:, None], out[:, 5], out[:, 7], out[:, 8], lasting, out[:, 9])

    def score_many(self, x: pl.DataFrame) -> Floats:
        """Scores of n rows, each from the earlier rows of its series and itself."""
        return self.judge(x).score

    def learn_many(self, x: pl.DataFrame, y: Floats | None = None) -> None:
        """Take rows in without asking for scores; labels mean nothing here."""
        self.judge(x)

    def explain(self, x: pl.DataFrame) -> list[dict[str, float]]:
        """Each channel's part of the score; the parts sum to it."""
        rows = self.copy().judge(x).channels.tolist()
        return [dict(zip(CHANNELS, row, strict=True)) for row in rows]

    def snapshot(self) -> Arrays:
        """Digests of the series and their state, in order of first sight."""
        n = len(self._keys)
        return self._keys.snapshot() | {name: array[:n].copy() for name, array in self._state.items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot."""
        keys = KeyTable(MOST_SERIES)
        keys.restore(arrays)
        state = {name: taken(arrays, name, dtype, (len(keys), *shape)) for name, (dtype, shape) in _SHAPES.items()}
        if (state["tails"] < 0).any() or (state["totals"] < 0).any() or (state["visits"] > kernel.MOST_VISITS).any():
            raise BadSnapshot("counts out of range")
        if np.abs(state["scalars"]).max(initial=0) > 1e300 or (state["peaks"] < 0).any():  # noqa: PLR2004
            raise BadSnapshot("scalars out of range")
        self._keys, self._state = keys, state

    def _reserve(self, need: int) -> None:
        have = len(self._state["scalars"])
        if need <= have:
            return
        room = max(need, 2 * have, 64)
        for name, array in self._state.items():
            more = np.zeros((room, *array.shape[1:]), array.dtype)
            more[:have] = array
            self._state[name] = more
