"""One learner a sector and model: takes labelled examples in the order of the log, and says when to publish a snapshot."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from models.contract import Array, Arrays, BadSnapshot, Floats, discover, make, taken
from models.linear import Linear
from models.panel import EXAMPLES
from models.prequential import auc
from models.profile import FEATURES

RECENT: Final = 5_000  # examples over which the prequential quality is told
FEEDBACK_WEIGHT: Final = 1.0
LABELS: Final = {"confirmed": 1.0, "false-alarm": 0.0}  # an unclear verdict teaches nothing
_FEATURES: Final = pl.Struct(dict.fromkeys(FEATURES, pl.Float64))


class Learner:
    """Learns examples with the columns of `models.panel.EXAMPLES`; rows of another sector or model are left out.

    Every example is scored before it is learnt; `quality()` tells how well that went.
    """

    def __init__(self, sector: str, model: str, every: int = 200) -> None:
        made = make(model)
        if not isinstance(made, Linear):
            raise ValueError(f"{model} does not learn from labels")
        self.sector, self.model, self._every = sector, model, every
        self._linear, self._taken, self._published = made, 0, 0
        self._recent: Floats = np.zeros((0, 2))  # label, score before learning

    @property
    def version(self) -> str:
        """Grows with what was learnt: the number of examples taken."""
        return str(self._taken)

    def should_publish(self) -> bool:
        """True once `every` examples came in since the last publication."""
        return self._taken - self._published >= self._every

    def published(self) -> None:
        """The snapshot as it stands has been published."""
        self._published = self._taken

    def learn(self, examples: pl.DataFrame) -> None:
        """Score, then learn, in row order; broken features count as missing."""
        mine = examples.filter((pl.col("sector") == self.sector) & (pl.col("model") == self.model))
        x = features_of(mine["features"])
        y, weight = mine["label"].to_numpy(), mine["weight"].to_numpy()
        start = 0
        while start < len(mine):  # up to the end of a block at a time, so that cutting batches changes no score
            end = min(start + self._linear.room, len(mine))
            scores = self._linear.score_many(x[start:end])
            self._recent = np.concatenate([self._recent, np.column_stack([y[start:end], scores])])[-RECENT:]
            self._linear.learn_many(x[start:end], y[start:end], weight[start:end])
            start = end
        self._taken += len(mine)

    def parameters(self) -> Arrays:
        """What a scorer needs: the model's snapshot, for `Panel.apply`."""
        return self._linear.snapshot()

    def quality(self) -> dict[str, float]:
        """Over the recent examples: their number, share of bad ones, AUC of the scores given before learning."""
        label, score = self._recent.T
        share = float(np.nanmean(label)) if len(label) else float("nan")
        return {"examples": float(self._taken), "recent": float(len(label)), "bad": share, "auc": auc(label, score)}

    def snapshot(self) -> Arrays:
        """The whole state."""
        own = {"counters": np.array([self._taken, self._published]), "recent": self._recent.copy()}
        return own | {f"model/{name}": array for name, array in self._linear.snapshot().items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot, and then nothing has changed."""
        counters, recent = taken(arrays, "counters", np.int64, (2,)), taken(arrays, "recent", np.float64, (-1, 2))
        if counters[1] < 0 or counters[0] < counters[1] or len(recent) > RECENT:
            raise BadSnapshot("counters out of range")
        self._linear.restore({name[6:]: array for name, array in arrays.items() if name.startswith("model/")})
        self._taken, self._published = (int(n) for n in counters)
        self._recent = recent


def features_of(features: pl.Series) -> pl.DataFrame:
    """n JSON texts -> n rows of the profile's features; what is absent or no number is null."""
    if len(features) == 0:
        return pl.DataFrame(schema=dict.fromkeys(FEATURES, pl.Float64))
    try:
        return features.str.json_decode(_FEATURES).struct.unnest().select(list(FEATURES))
    except pl.exceptions.PolarsError:  # one broken text spoils the column: take them one by one
        return pl.DataFrame([_row(text) for text in features.to_list()], schema=dict.fromkeys(FEATURES, pl.Float64))


def _row(text: str | None) -> dict[str, float | None]:
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError):
        data = {}
    data = data if isinstance(data, dict) else {}
    return {name: _number(data.get(name)) for name in FEATURES}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None  # noqa: PLR2004


def example_from_feedback(clue: Mapping[str, Any], verdict: str) -> dict[str, Any] | None:
    """A verdict on a model's clue as a row of EXAMPLES; None where it teaches nothing (unclear, a rule's clue, a model that
    does not learn from labels, or values that are not the model's features).

    >>> row = example_from_feedback({"origin": "model", "origin_id": "visit", "sector": "fire",
    ...                              "values": '{"visits": 1.1, "last_bad": null}'}, "confirmed")
    >>> row["label"], row["features"]
    (1.0, '{"visits": 1.1, "last_bad": null}')
    """
    kind = discover().get(str(clue.get("origin_id")))
    if verdict not in LABELS or clue.get("origin") != "model" or kind is None or not issubclass(kind, Linear):
        return None
    try:
        values = json.loads(clue.get("values") or "{}")
    except (TypeError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not set(values) & set(FEATURES):
        return None
    features = {name: value for name, value in values.items() if name in FEATURES}
    row = (clue["sector"], clue["origin_id"], LABELS[verdict], FEEDBACK_WEIGHT, json.dumps(features))
    return dict(zip(EXAMPLES, row, strict=True))
