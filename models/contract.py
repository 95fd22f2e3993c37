"""The one contract of all models, and the registry that finds them: a model is a file in this package.

>>> sorted(discover())
['sensor', 'visit', 'visit-river']
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

import models

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Arrays = dict[str, Array]


class BadSnapshot(ValueError):  # noqa: N818 - it names what is wrong with the input
    """A snapshot that is refused as a whole: the model keeps the state it had."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"bad-snapshot: {detail}")


class Model(ABC):
    """What every model promises. Inputs are never mutated; column order means nothing; columns may appear and vanish; a null,
    NaN or infinite value counts as missing; the same calls give the same results, however the rows are cut into batches.

    `advances` True (series models): `score_many` takes each row in as it scores it, so that a score rests on the earlier rows
    and this one. False (subject models): `score_many` changes nothing, `learn_many` does.
    """

    name: ClassVar[str]
    zh: ClassVar[str]
    version: ClassVar[str]
    takes: ClassVar[Literal["series", "subject"]]
    advances: ClassVar[bool]

    @abstractmethod
    def score_many(self, x: pl.DataFrame) -> Floats:
        """n rows -> n scores in [0, 1], higher is riskier."""

    @abstractmethod
    def learn_many(self, x: pl.DataFrame, y: Floats | None = None) -> None:
        """Take in n rows, with labels 0 or 1 where the model is supervised (a NaN label teaches nothing)."""

    @abstractmethod
    def explain(self, x: pl.DataFrame) -> list[dict[str, float]]:
        """One mapping a row: feature -> contribution to the score as it would be now. Changes nothing."""

    @abstractmethod
    def snapshot(self) -> Arrays:
        """The whole state as copies of arrays (booleans, integers, floats)."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot, and then nothing has changed."""

    def copy(self) -> Self:
        """Another model in the same state."""
        twin = type(self)()
        twin.restore(self.snapshot())
        return twin


@cache
def discover() -> dict[str, type[Model]]:
    """Name -> class of every model in this package. Raises ValueError when two share a name."""
    found: dict[str, type[Model]] = {}
    for info in pkgutil.iter_modules(models.__path__):
        module = importlib.import_module(f"models.{info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Model) and not inspect.isabstract(kind) and kind.__module__ == module.__name__:
                if kind.name in found:
                    raise ValueError(f"two models are called {kind.name}")
                found[kind.name] = kind
    return found


def make(name: str) -> Model:
    """A fresh model by name. Raises KeyError."""
    return discover()[name]()


def taken(arrays: Mapping[str, Array], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    """A checked copy of one array of a snapshot; -1 in `shape` stands for any length. Raises BadSnapshot.

    >>> taken({"n": np.array([1, 2])}, "n", np.int64, (-1,)).tolist()
    [1, 2]
    """
    if name not in arrays:
        raise BadSnapshot(f"{name} is missing")
    array = np.asarray(arrays[name])
    if array.dtype != np.dtype(dtype):
        raise BadSnapshot(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        raise BadSnapshot(f"{name} has shape {array.shape}, not {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadSnapshot(f"{name} is not finite")
    return array.copy()
