"""Decayed rates of bad outcomes by value: smoothed shares that forget with a half-life, whatever order they are fed in.

>>> rates = Rates(half_life_days=365.0)
>>> rates.add(np.array([7, 7]), np.array([1.0, 0.0]), np.array([0.0, 365.0]))
>>> [round(float(v), 3) for v in (*rates.share(np.array([7, 8]), 365.0, prior=0.5, weight=1.0),)]
[0.4, 0.5]
"""

from typing import Final

import numpy as np

from models.contract import Floats
from models.keys import Codes

FARTHEST: Final = 900.0  # half-lives from the first time fed; beyond that weights stop growing


class Rates:
    """Weighted counts by code (any integers >= 0). Times in days."""

    def __init__(self, half_life_days: float) -> None:
        self._half_life = half_life_days
        self._origin: float | None = None
        self._bad, self._all = np.zeros(0), np.zeros(0)

    def add(self, code: Codes, label: Floats, day: Floats) -> None:
        """n outcomes: label 0 or 1, each at its own day. Codes below 0 are left out."""
        keep = code >= 0
        code, label, day = code[keep], label[keep], day[keep]
        if code.size == 0:
            return
        self._reserve(int(code.max()) + 1)
        weight = self._weight(day)
        np.add.at(self._bad, code, label * weight)
        np.add.at(self._all, code, weight)

    def share(self, code: Codes, day: Floats | float, prior: Floats | float, weight: float) -> Floats:
        """Smoothed share of bad outcomes by code at `day`: (bad + prior * weight) / (all + weight)."""
        bad, total = self.counts(code, day)
        return np.asarray((bad + prior * weight) / (total + weight), np.float64)

    def counts(self, code: Codes, day: Floats | float) -> tuple[Floats, Floats]:
        """Decayed counts by code at `day`: bad ones and all; zero for codes never fed."""
        self._reserve(int(code.max(initial=-1)) + 1)
        fade = 1.0 / self._weight(np.asarray(day, np.float64))
        at = np.maximum(code, 0)
        known = code >= 0
        if self._all.size == 0:
            return np.zeros(code.size), np.zeros(code.size)
        return self._bad[at] * fade * known, self._all[at] * fade * known

    def _weight(self, day: Floats) -> Floats:
        if self._origin is None:
            self._origin = float(np.min(day)) if day.size else 0.0
        return np.asarray(2.0 ** np.clip((day - self._origin) / self._half_life, -FARTHEST, FARTHEST), np.float64)

    def _reserve(self, need: int) -> None:
        if need > self._all.size:
            more = np.zeros(max(need, 2 * self._all.size))
            self._bad = np.concatenate([self._bad, more])[: more.size]
            self._all = np.concatenate([self._all, more])[: more.size]
