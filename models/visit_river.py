"""Supervised like `visit`, by River: logistic regression with AdaGrad, guarded by Page-Hinkley on its own log loss.

When the loss drifts upwards (a campaign, a new standard, another inspection regime) the per-weight learning rates start anew,
so that the model follows; the weights stay as the starting point. River, which loads scikit-learn, is loaded where it learns:
it takes 70 MB.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from models.contract import Array, Arrays, BadSnapshot, Floats, taken
from models.linear import Linear

RATE: Final = 0.05
L2: Final = 1e-3
DELTA, THRESHOLD, LEAST = (
    0.02,
    40.0,
    500,
)  # Page-Hinkley: tolerated change, sum that means drift, examples before it may


class VisitRiver(Linear):
    """The other model on subjects; which one serves a sector stands in `serving.yaml`."""

    name: ClassVar[str] = "visit-river"
    zh: ClassVar[str] = "下次检查风险预测(自适应)"
    version: ClassVar[str] = "1"

    def __init__(self) -> None:
        super().__init__()
        self._logistic: Any  # River's objects, made when it learns; until then what they are made from
        self._guard: Any
        self._kept: dict[str, Array]
        self._rebuild({"squares": np.zeros(0), "guard": np.zeros(5), "steps": np.zeros(2, np.int64)})

    @property
    def drifts(self) -> int:
        """How often the loss has drifted upwards so far."""
        return self._drifts

    def _fit(self, z: Floats, y: Floats, weight: Floats) -> None:
        if self._logistic is None:
            self._make()
        for row, label, w in zip(z.tolist(), (y > 0).tolist(), weight.tolist(), strict=True):
            x = dict(enumerate(row))
            p = self._logistic.predict_proba_one(x)[label]
            self._logistic.learn_one(x, label, w)
            self._guard.update(-math.log(max(p, 1e-12)))
            if self._guard.drift_detected:
                self._drifts += 1
                self._logistic.optimizer.g2.clear()
        weights = self._logistic.weights
        self.weights = np.array([weights.get(j, 0.0) for j in range(z.shape[1])])
        self.bias = float(self._logistic.intercept)

    def _widened(self, more: int) -> None:
        """River's weights are by key: a new column has none yet."""

    def _own(self) -> Arrays:
        if self._logistic is None:
            more = len(self.names) - len(self._kept["squares"])
            return self._kept | {"squares": np.concatenate([self._kept["squares"], np.zeros(more)])}
        squares, guard, mean = self._logistic.optimizer.g2, self._guard, self._guard._x_mean
        low = guard._min_increase if mean.n else 0.0
        return {
            "squares": np.array([float(squares.get(j, 0.0)) for j in range(len(self.names))]),
            "guard": np.array([mean.n, mean.get(), guard._sum_increase, low, float(guard.drift_detected)]),
            "steps": np.array([self._logistic.optimizer.n_iterations, self._drifts]),
        }

    def _take_own(self, arrays: Mapping[str, Array], columns: int) -> dict[str, Array]:
        own = {
            "squares": taken(arrays, "squares", np.float64, (columns,)),
            "guard": taken(arrays, "guard", np.float64, (5,)),
            "steps": taken(arrays, "steps", np.int64, (2,)),
        }
        if (own["squares"] < 0).any() or own["guard"][0] < 0 or (own["steps"] < 0).any():
            raise BadSnapshot("counts out of range")
        return own

    def _rebuild(self, own: dict[str, Array]) -> None:
        self._kept, self._logistic, self._guard = own, None, None
        self._drifts = int(own["steps"][1])

    def _make(self) -> None:
        """River's objects as they stood."""
        from river import drift, linear_model, optim, stats
        from river.utils import VectorDict

        self._logistic = linear_model.LogisticRegression(optim.AdaGrad(RATE), l2=L2, intercept_lr=RATE / 5)
        self._logistic._weights = VectorDict({j: w for j, w in enumerate(self.weights.tolist()) if w != 0.0})
        self._logistic.intercept = self.bias
        self._logistic.optimizer.g2.update((j, g) for j, g in enumerate(self._kept["squares"].tolist()) if g > 0)
        self._logistic.optimizer.n_iterations = int(self._kept["steps"][0])
        self._guard = drift.PageHinkley(LEAST, DELTA, THRESHOLD, mode="up")
        n, mean, total, low, drifted = self._kept["guard"].tolist()
        if n:
            self._guard._x_mean = stats.Mean._from_state(int(n), mean)
            self._guard._sum_increase, self._guard._min_increase = total, low
            self._guard._drift_detected = drifted > 0
