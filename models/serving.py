"""Which model serves which sector, read from `serving.yaml`.

>>> servings = load()
>>> len({s.sector for s in servings}), [s.model for s in servings if s.sector == "fire"]
(13, ['sensor', 'visit'])
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from models.contract import discover
from topics.codes import DEPARTMENTS, SECTORS, SEVERITIES


@dataclass(frozen=True, slots=True)
class Serving:
    """One model in one sector: when its score becomes a clue, for whom, and in which words."""

    sector: str
    model: str
    department: str
    title: str
    threshold: float
    severity: Mapping[str, float]
    quiet_hours: float
    explain: str
    lift: float = 1.0
    min_examples: int = 0
    min_rows: int = 0
    min_hours: float = 0.0
    persist: int = 1

    def __post_init__(self) -> None:
        unknown = [c for c, t in ((self.sector, SECTORS), (self.department, DEPARTMENTS)) if c not in t]
        unknown += [c for c in self.severity if c not in SEVERITIES] + [self.model] * (self.model not in discover())
        if unknown:
            raise ValueError(f"serving of {self.model} in {self.sector}: unknown {', '.join(unknown)}")
        if not 0 < self.threshold <= 1 or not self.severity or self.quiet_hours < 0:
            raise ValueError(
                f"serving of {self.model} in {self.sector}: threshold, severity or quiet_hours out of range"
            )

    def band(self, score: float) -> str:
        """The gravest severity whose lower bound the score reaches; the mildest one named where it reaches none.

        >>> load()[0].band(0.8)
        'yellow'
        """
        ranked = sorted(self.severity, key=lambda code: SEVERITIES[code].rank)
        return next((code for code in reversed(ranked) if score >= self.severity[code]), ranked[0])


def load(text: str | None = None) -> list[Serving]:
    """The servings of a YAML text (default: the file beside this module). Raises ValueError on one that does not fit."""
    data: Any = yaml.safe_load(
        text if text is not None else files("models").joinpath("serving.yaml").read_text("utf-8")
    )
    try:
        return [
            Serving(
                sector=sector, model=name, department=own["department"], **(data["models"][name] | own.get(name, {}))
            )
            for sector, own in data["sectors"].items()
            for name in own["serve"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"serving: {error}") from error
