"""What the online linear models share: columns by name, scaling online, blocks of examples, scores and explanations.

Examples are learnt in blocks of a fixed size, counted from the first one on: half a block waits in the state. So what is learnt
does not depend on how the examples were cut into batches, to the last bit.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
import polars as pl

from models.contract import Array, Arrays, BadSnapshot, Floats, Model, taken
from models.encode import HASHED, encode
from topics.arrays import BadArrays, pack_texts, texts_of

BLOCK: Final = 32
MOST_COLUMNS: Final = 4096
CLIP: Final = 4.0  # scaled values beyond this teach and score like this
LEAST_STD: Final = 1e-6


def sigmoid(x: Floats) -> Floats:
    """Log-odds -> probability, without overflow.

    >>> sigmoid(np.array([-1e9, 0.0])).round(9).tolist()
    [0.0, 0.5]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0))), np.float64)


class Linear(Model):
    """A logistic score over named columns: weights f8[d] and a bias, learnt by `_fit`. A missing value scores as the mean."""

    takes: ClassVar[Literal["series", "subject"]] = "subject"
    advances: ClassVar[bool] = False

    def __init__(self) -> None:
        self.names: list[str] = []
        self.weights: Floats = np.zeros(0)
        self.bias = 0.0
        self.examples = 0
        self._count, self._mean, self._m2 = np.zeros(0), np.zeros(0), np.zeros(0)
        self._waiting: Floats = np.zeros((0, 0))
        self._waiting_y: Floats = np.zeros((0, 2))  # label, weight

    @property
    def room(self) -> int:
        """How many more examples the block takes until it is learnt."""
        return BLOCK - len(self._waiting)

    @abstractmethod
    def _fit(self, z: Floats, y: Floats, weight: Floats) -> None:
        """Learn one block: z f8[BLOCK, d] scaled, y f8[BLOCK] 0 or 1; sets `weights` and `bias`."""

    @abstractmethod
    def _widened(self, more: int) -> None:
        """`more` columns were added with weight 0."""

    @abstractmethod
    def _own(self) -> Arrays:
        """State of the learning algorithm beyond weights and bias."""

    @abstractmethod
    def _take_own(self, arrays: Mapping[str, Array], columns: int) -> dict[str, Array]:
        """Checked arrays of `_own`. Raises BadSnapshot, changes nothing."""

    @abstractmethod
    def _rebuild(self, own: dict[str, Array]) -> None:
        """Build the learning algorithm anew from weights, bias and `_own`."""

    def score_many(self, x: pl.DataFrame) -> Floats:
        """n rows -> probabilities. The sum runs over the model's columns in their order, row by row the same."""
        return self.score_columns(encode(x), len(x))

    def score_columns(self, columns: Mapping[str, Floats], n: int) -> Floats:
        """The same for columns of `encode`: n rows, NaN missing."""
        total = np.full(n, self.bias)
        for _, part in self.parts(columns):
            total += part
        return sigmoid(total)

    def parts(self, columns: Mapping[str, Floats]) -> list[tuple[str, Floats]]:
        """Per column with weight: (name, its part of each row's log-odds f8[n])."""
        return [
            (name, self._scaled(columns[name], j) * self.weights[j])
            for j, name in enumerate(self.names)
            if name in columns and self.weights[j] != 0.0
        ]

    def explain(self, x: pl.DataFrame) -> list[dict[str, float]]:
        """Log-odds by feature, against an average row; a hashed text counts under its column's own name."""
        rows: list[dict[str, float]] = [{} for _ in range(len(x))]
        for name, part in self.parts(encode(x)):
            label = name.split(HASHED)[0]
            for row, value in zip(rows, part.tolist(), strict=True):
                row[label] = row.get(label, 0.0) + value
        return rows

    def learn_many(self, x: pl.DataFrame, y: Floats | None = None, weight: Floats | None = None) -> None:
        """Learn n examples; rows whose label is NaN are left out. Without labels nothing is learnt."""
        if y is None or len(x) == 0:
            return
        weight = np.ones(len(x)) if weight is None else weight
        columns = encode(x)
        self._widen([name for name in columns if name not in set(self.names)])
        rows = np.full((len(x), len(self.names)), np.nan)
        for j, name in enumerate(self.names):
            if name in columns:
                rows[:, j] = columns[name]
        known = np.isfinite(y)
        self._waiting = np.concatenate([self._waiting, rows[known]])
        self._waiting_y = np.concatenate([self._waiting_y, np.column_stack([y, weight])[known]])
        while len(self._waiting) >= BLOCK:
            block, labels = self._waiting[:BLOCK], self._waiting_y[:BLOCK]
            self._waiting, self._waiting_y = self._waiting[BLOCK:].copy(), self._waiting_y[BLOCK:].copy()
            self._learn_block(block, labels)

    def _learn_block(self, block: Floats, labels: Floats) -> None:
        known = np.isfinite(block)
        n = known.sum(0)
        mean = np.where(known, block, 0.0).sum(0) / np.maximum(n, 1)
        m2 = (np.where(known, block - mean, 0.0) ** 2).sum(0)
        total = self._count + n
        step = np.where(n > 0, mean - self._mean, 0.0)
        self._m2 += m2 + step**2 * self._count * n / np.maximum(total, 1)
        self._mean = self._mean + step * n / np.maximum(total, 1)
        self._count = total
        z = np.column_stack([self._scaled(block[:, j], j) for j in range(len(self.names))])
        self._fit(np.ascontiguousarray(z), labels[:, 0], labels[:, 1])
        self.examples += len(block)

    def _scaled(self, column: Floats, j: int) -> Floats:
        std = np.sqrt(self._m2[j] / max(self._count[j], 1.0))
        if HASHED in self.names[j] or std < LEAST_STD:
            std = 1.0
        z = np.clip((column - self._mean[j]) / std, -CLIP, CLIP)
        return np.where(np.isfinite(z), z, 0.0)

    def _widen(self, new: list[str]) -> None:
        new = new[: MOST_COLUMNS - len(self.names)]
        if not new:
            return
        self.names += new
        zeros = np.zeros(len(new))
        self.weights = np.concatenate([self.weights, zeros])
        self._count, self._mean, self._m2 = (np.concatenate([a, zeros]) for a in (self._count, self._mean, self._m2))
        self._waiting = np.hstack([self._waiting, np.full((len(self._waiting), len(new)), np.nan)])
        self._widened(len(new))

    def snapshot(self) -> Arrays:
        """Names, weights, scaling, waiting examples, and what the algorithm adds."""
        names, ends = pack_texts(self.names)
        known = np.isfinite(self._waiting)
        shared: Arrays = {
            "names": names,
            "name_ends": ends,
            "weights": self.weights.copy(),
            "bias": np.array([self.bias]),
            "examples": np.array([self.examples]),
            "scaling": np.stack([self._count, self._mean, self._m2]),
            "waiting": np.where(known, self._waiting, 0.0),
            "waiting_known": known,
            "waiting_y": self._waiting_y.copy(),
        }
        return shared | self._own()

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot."""
        names = _names(arrays)
        d = len(names)
        weights, scaling = taken(arrays, "weights", np.float64, (d,)), taken(arrays, "scaling", np.float64, (3, d))
        bias, examples = taken(arrays, "bias", np.float64, (1,)), taken(arrays, "examples", np.int64, (1,))
        waiting_y = taken(arrays, "waiting_y", np.float64, (-1, 2))
        waiting = taken(arrays, "waiting", np.float64, (len(waiting_y), d))
        known = taken(arrays, "waiting_known", np.bool_, (len(waiting_y), d))
        if len(waiting_y) >= BLOCK or examples[0] < 0 or (scaling[[0, 2]] < 0).any():
            raise BadSnapshot("counts out of range")
        own = self._take_own(arrays, d)
        self.names, self.weights, self.bias, self.examples = names, weights, float(bias[0]), int(examples[0])
        self._count, self._mean, self._m2 = scaling.copy()
        self._waiting, self._waiting_y = np.where(known, waiting, np.nan), waiting_y
        self._rebuild(own)


def _names(arrays: Mapping[str, Array]) -> list[str]:
    try:
        names = texts_of(taken(arrays, "names", np.uint8, (-1,)), taken(arrays, "name_ends", np.int64, (-1,)))
    except BadArrays as error:
        raise BadSnapshot(str(error)) from error
    if len(set(names)) != len(names) or len(names) > MOST_COLUMNS:
        raise BadSnapshot("names repeat or are too many")
    return names
