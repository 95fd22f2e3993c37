"""Supervised: will the subject's next visit go badly? scikit-learn's SGDClassifier (log loss), learnt online.

Serving needs only the arrays (a dot product); the scikit-learn object is rebuilt from them where learning goes on, and
scikit-learn is loaded there only: it takes 70 MB.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from models.contract import Array, Arrays, BadSnapshot, Floats, taken
from models.linear import Linear

ALPHA: Final = 1e-2  # L2
ETA, POWER = 0.1, 0.25  # learning rate of example t: ETA / t ** POWER
CLASSES: Final = np.array([0.0, 1.0])


class Visit(Linear):
    """The default model on subjects.

    >>> import polars as pl
    >>> x = pl.DataFrame({"complaints": [0.0, 3.0] * 64})
    >>> model = Visit()
    >>> model.learn_many(x, np.array([0.0, 1.0] * 64))
    >>> low, high = model.score_many(pl.DataFrame({"complaints": [0.0, 3.0]}))
    >>> bool(low < 0.4 < 0.6 < high)
    True
    """

    name: ClassVar[str] = "visit"
    zh: ClassVar[str] = "下次检查风险预测"
    version: ClassVar[str] = "1"

    def __init__(self) -> None:
        super().__init__()
        self._sgd: Any = None  # made when it learns
        self._steps = 0.0

    def _fit(self, z: Floats, y: Floats, weight: Floats) -> None:
        if self._sgd is None:
            self._sgd = self._made()
        self._sgd.partial_fit(z, y, classes=CLASSES, sample_weight=weight)
        self.weights, self.bias = self._sgd.coef_[0].copy(), float(self._sgd.intercept_[0])
        self._steps = float(self._sgd.t_)

    def _widened(self, more: int) -> None:
        self._sgd = None

    def _own(self) -> Arrays:
        return {"steps": np.array([self._steps])}

    def _take_own(self, arrays: Mapping[str, Array], columns: int) -> dict[str, Array]:
        steps = taken(arrays, "steps", np.float64, (1,))
        if steps[0] < 0:
            raise BadSnapshot("steps out of range")
        return {"steps": steps}

    def _rebuild(self, own: dict[str, Array]) -> None:
        self._sgd, self._steps = None, float(own["steps"][0])

    def _made(self) -> Any:
        """scikit-learn's object as it stood after these steps."""
        from sklearn.linear_model import SGDClassifier

        sgd = SGDClassifier(
            loss="log_loss",
            alpha=ALPHA,
            learning_rate="invscaling",
            eta0=ETA,
            power_t=POWER,
            shuffle=False,  # rows are learnt in the order of the log
            random_state=0,
        )
        if self._steps > 0:
            sgd.classes_, sgd.t_ = CLASSES.copy(), self._steps
            sgd.coef_, sgd.intercept_ = self.weights[None, :].copy(), np.array([self.bias])
            sgd.n_features_in_ = len(self.weights)
        return sgd
