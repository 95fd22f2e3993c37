"""What the detect stage holds per task: the sensor detector, the subject profiles, the served models, their episodes.

panel = Panel(serving.load())
observed = panel.observe("inspection", frame, "events.inspection", 3)   # -> clues, examples
panel.apply("food-drug", "visit", arrays, version)                      # a snapshot from the sector's learner
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from models.clues import Episodes, Opening, clue, frame_of, main_parts, quiet_ms, row_of
from models.contract import Array, Arrays, BadSnapshot, Floats, make
from models.keys import Codes
from models.linear import Linear, sigmoid
from models.outcomes import column
from models.profile import FEATURES, KINDS, Profile, Walked
from models.sensor import CHANNELS, KEY, Judged, Sensor
from models.serving import Serving
from topics.arrays import BadArrays, pack_texts, texts_of
from topics.buffers import constant, different, select, truths

EXAMPLES: Final[dict[str, type[pl.DataType]]] = {
    "sector": pl.String,
    "model": pl.String,
    "label": pl.Float64,
    "weight": pl.Float64,
    "features": pl.String,  # JSON: feature -> value or null
}
NAMES: Final = list(FEATURES)
_NO_EXAMPLES: Final = pl.DataFrame(schema=EXAMPLES)
_AS_JSON: Final = [pl.struct(NAMES).struct.json_encode()]
Raised = tuple[int, Serving, Opening]  # row, who serves, what the clue says


@dataclass(frozen=True, slots=True)
class Observed:
    """`clues`: columns of `topics.records.CLUE`; `examples`: columns of EXAMPLES, in row order."""

    clues: pl.DataFrame
    examples: pl.DataFrame


@dataclass(slots=True)
class _Served:
    """A learnt model as it serves one sector; without a snapshot (version "0") it is silent."""

    serving: Serving
    model: Linear
    version: str = "0"

    @property
    def ready(self) -> bool:
        return self.version != "0" and self.model.examples >= self.serving.min_examples


class Panel:
    """All models of one task. A function of the rows it has observed and the snapshots applied between them: how rows are
    cut into batches changes nothing."""

    def __init__(self, serving: Sequence[Serving]) -> None:
        self._watched = {s.sector: s for s in serving if s.model == Sensor.name}
        self._served: dict[tuple[str, str], _Served] = {}
        for s in serving:
            model = make(s.model)
            if isinstance(model, Linear):
                self._served[(s.sector, s.model)] = _Served(s, model)
        self._sensor, self._profile, self._episodes = Sensor(), Profile(), Episodes()

    def observe(self, kind: str, frame: pl.DataFrame, topic: str, partition: int) -> Observed:
        """Take in n rows of one kind in arrival order: the clues they raise and the labelled examples they complete."""
        raised: list[Raised] = []
        examples = _NO_EXAMPLES.clone()
        if len(frame) and kind == "iot" and self._watched:
            raised = self._sense(frame)
        elif len(frame) and kind in KINDS and self._served:
            walked = self._profile.walk(kind, frame)
            raised = self._foresee(frame, walked)
            examples = self._examples(frame, walked)
        if not raised:
            return Observed(frame_of([]), examples)
        raised.sort(key=lambda one: one[0])
        events = frame[[row for row, _, _ in raised]].to_dicts()
        clues = [clue(s, o, event, topic, partition) for event, (_, s, o) in zip(events, raised, strict=True)]
        return Observed(frame_of(clues), examples)

    def apply(self, sector: str, model: str, arrays: Mapping[str, Array], version: str) -> None:
        """Serve the sector with a new snapshot. Raises BadSnapshot (the old one goes on serving). Others are not ours."""
        served = self._served.get((sector, model))
        if served is not None:
            served.model.restore(arrays)
            served.version = version

    def sizes(self) -> dict[str, int]:
        """How much state there is: for metrics."""
        return {"series": len(self._sensor), "subjects": len(self._profile), "episodes": len(self._episodes)}

    def versions(self) -> dict[tuple[str, str], str]:
        """(sector, model) -> version served; "0" while none was applied."""
        return {key: served.version for key, served in self._served.items()}

    def snapshot(self) -> Arrays:
        """The whole state; names are `part/array`, for a served model `served/<sector>/<model>/array`."""
        parts = {"sensor": self._sensor.snapshot(), "profile": self._profile.snapshot()}
        parts["episodes"] = self._episodes.snapshot()
        for (sector, name), served in self._served.items():
            parts[f"served/{sector}/{name}"] = served.model.snapshot() | {"version": pack_texts([served.version])[0]}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. A model that serves no longer is left out, one that is new starts silent. Raises
        BadSnapshot, and then nothing has changed."""
        sensor, profile, episodes = Sensor(), Profile(), Episodes()
        sensor.restore(_part(arrays, "sensor"))
        profile.restore(_part(arrays, "profile"))
        episodes.restore(_part(arrays, "episodes"))
        fresh: dict[tuple[str, str], _Served] = {}
        for (sector, name), old in self._served.items():
            part = _part(arrays, f"served/{sector}/{name}")
            fresh[(sector, name)] = _restored(old, part)
        self._sensor, self._profile, self._episodes, self._served = sensor, profile, episodes, fresh

    def _sense(self, frame: pl.DataFrame) -> list[Raised]:
        sector = frame["sector"]
        watched = ~truths(column(frame, "flag", pl.String) != "N")  # HJ 212: no maintenance, calibration, fault
        if not different(sector) <= self._watched.keys():
            watched &= truths(sector.is_in(list(self._watched)))
        rows = np.flatnonzero(watched)
        judged = self._sensor.judge(frame if rows.size == len(frame) else frame[rows])
        out: list[Raised] = []
        if judged.lasting.max(initial=0.0) < min(serving.threshold for serving in self._watched.values()):
            return out
        for serving in self._watched.values():
            at = np.flatnonzero(_alarms(serving, judged))
            at = at[truths(sector[rows[at]] == serving.sector)] if len(at) else at
            if len(at) == 0:
                continue
            alarmed = frame[rows[at]]
            key = alarmed.select(pl.concat_str(KEY, separator="/", ignore_nulls=True)).to_series()
            opened = self._opened(serving, key, alarmed["occurred_at"])
            for k, event in zip(opened.tolist(), alarmed[opened].to_dicts(), strict=True):
                out.append((int(rows[int(at[k])]), serving, _sensed(key[k], judged, int(at[k]), event)))
        return out

    def _foresee(self, frame: pl.DataFrame, walked: Walked) -> list[Raised]:
        """What the learnt models say, of the sectors that are there."""
        ready = [served for served in self._served.values() if served.ready]
        here = different(frame["sector"]) - {None} if ready else ()
        rows = {sector: np.flatnonzero(truths(frame["sector"] == sector)) for sector in here}
        return [
            one
            for served in ready
            if served.serving.sector in rows
            for one in self._foreseen(served, frame, walked, rows[served.serving.sector])
        ]

    def _foreseen(self, served: _Served, frame: pl.DataFrame, walked: Walked, rows: Codes) -> list[Raised]:
        serving = served.serving
        after = walked.after[rows]
        score = served.model.score_columns({name: after[:, j] for j, name in enumerate(NAMES)}, len(rows))
        usual = sigmoid(walked.after[rows, NAMES.index("sector_share")])
        at = np.flatnonzero(score >= np.maximum(serving.threshold, np.minimum(serving.lift * usual, 1.0)))
        if len(at) == 0:
            return []
        subject = frame["subject"][rows[at]]
        opened = self._opened(serving, subject, frame["occurred_at"][rows[at]])
        if len(opened) == 0:
            return []
        at = at[opened]
        features = walked.after[rows[at]]
        parts = served.model.explain(_features(features))
        version = f"{served.model.version}.{served.version}"
        return [
            (
                int(rows[i]),
                serving,
                Opening(key, float(score[i]), version, row_of(NAMES, x), _words(float(usual[i]), part)),
            )
            for i, key, x, part in zip(at, subject[opened], features, parts, strict=True)
        ]

    def _opened(self, serving: Serving, key: pl.Series, at: pl.Series) -> Codes:
        """Which of n alarms in order open an episode of their key, as positions."""
        whose = constant(pl.Series([f"{serving.model}/{serving.sector}"]), len(key))
        return np.flatnonzero(self._episodes.opened([whose, key], at.to_numpy(), quiet_ms(serving)))

    def _examples(self, frame: pl.DataFrame, walked: Walked) -> pl.DataFrame:
        labelled = np.flatnonzero(np.isfinite(walked.label))
        if labelled.size == 0:
            return _NO_EXAMPLES.clone()
        learnt: dict[str, list[str]] = {}
        for sector, model in self._served:
            learnt.setdefault(sector, []).append(model)
        sectors = frame["sector"][labelled].to_list()
        pairs = [(i, model) for i, sector in enumerate(sectors) for model in learnt.get(sector, ())]
        mine = [i for i, _ in pairs]
        texts = select(_features(walked.before[labelled], nan_to_null=True), _AS_JSON).to_series()
        return pl.DataFrame(
            [
                pl.Series("sector", [sectors[i] for i in mine], pl.String),
                pl.Series("model", [model for _, model in pairs], pl.String),
                pl.Series("label", walked.label[labelled][mine], pl.Float64),
                pl.Series("weight", np.ones(len(mine)), pl.Float64),
                texts[mine].alias("features"),
            ]
        )


def _features(rows: Floats, nan_to_null: bool = False) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(name, rows[:, j], nan_to_null=nan_to_null) for j, name in enumerate(NAMES)])


def _alarms(serving: Serving, judged: Judged) -> Array:
    """n rows -> bool[n]: high, lasting, and of a series known long enough."""
    known = (judged.rows >= serving.min_rows) & (judged.hours >= serving.min_hours)
    return np.asarray(known & (judged.lasting >= serving.threshold) & (judged.streak >= serving.persist))


def _sensed(key: str, judged: Judged, i: int, event: Mapping[str, Any]) -> Opening:
    parts = dict(zip(CHANNELS, judged.channels[i].tolist(), strict=True))
    value, expected = float(event["value"]), float(judged.expected[i])
    words = {"device_id": event.get("device_id") or "", "metric": event.get("metric") or "", "value": value}
    words |= {"expected": expected, "main": main_parts(parts, CHANNELS)}
    return Opening(
        key, float(judged.lasting[i]), Sensor.version, {"value": value, "expected": expected, **parts}, words
    )


def _words(usual: float, parts: Mapping[str, float]) -> dict[str, Any]:
    return {"usual": usual, "main": main_parts(parts, FEATURES)}


def _part(arrays: Mapping[str, Array], part: str) -> dict[str, Array]:
    return {name[len(part) + 1 :]: array for name, array in arrays.items() if name.rpartition("/")[0] == part}


def _restored(old: _Served, part: dict[str, Array]) -> _Served:
    fresh = _Served(old.serving, type(old.model)())
    if part:
        fresh.model.restore(part)
        raw = part.get("version", np.zeros(0, np.uint8))
        try:
            fresh.version = texts_of(raw, np.array([raw.size], np.int64))[0]
        except BadArrays as error:
            raise BadSnapshot(str(error)) from error
    return fresh
