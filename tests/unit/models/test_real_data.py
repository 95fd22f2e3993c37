"""Figures on open data, as docs/models.md tells them: floors well below today's values, so that a fall is noticed."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.contract import Floats
from models.group import score_group
from models.prequential import auc, prequential, table
from models.sensor import Sensor

DATA = Path(__file__).parents[4] / "shared" / "data"
OUTCOMES = {"Results", "pass_flag", "fail_flag", "criticalCount", "seriousCount", "minorCount"}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the open data in ../shared/data")


def test_chicago_prequential_auc() -> None:
    """Critical findings are predicted test-then-learn with labels a week late, without the inspector's identity."""
    frame = pl.read_csv(DATA / "chicago_food/inspections_model.csv.gz", try_parse_dates=True, infer_schema_length=None)
    drop = OUTCOMES | {"Inspection_ID", "Inspection_Date", "License", "criticalFound", "sanitarian", "Test"}
    at = frame["Inspection_Date"].cast(pl.Datetime("ms")).dt.epoch("ms")
    label = frame["criticalFound"].cast(pl.Float64)
    data = table(frame, at, frame["License"], label, drop)
    assert auc(data.label, prequential(data, 7.0)) > 0.60


def _nab(name: str) -> tuple[pl.DataFrame, list[tuple[int, int]]]:
    windows = json.loads((DATA / "nab/windows.json").read_text())[name]
    raw = pl.read_csv(DATA / "nab" / name)
    at = raw["timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms")
    frame = pl.DataFrame({"occurred_at": at.dt.epoch("ms"), "value": raw["value"].cast(pl.Float64)})
    spans = []
    for first, last in windows:
        inside = ((raw["timestamp"] >= first[:19]) & (raw["timestamp"] <= last[:19])).arg_true()
        spans.append((int(inside[0]), int(inside[-1])))
    return frame, spans


def test_nab_files_score_higher_inside_their_windows() -> None:
    """On the 31 open NAB files, half or more of the windows hold one of the ten highest scores of their file."""
    found = total = 0
    for name in json.loads((DATA / "nab/windows.json").read_text()):
        frame, spans = _nab(name)
        scores = Sensor().score_many(frame)
        scores[: min(int(0.15 * len(scores)), 750)] = 0
        top = np.argsort(-scores)[:10]
        found += sum(bool(((top >= a) & (top <= b)).any()) for a, b in spans)
        total += len(spans)
    assert total == 57
    assert found / total > 0.5


def test_skab_groups_are_told_apart() -> None:
    """Eight sensors as one group: faulty rows of SKAB valve1 outrank healthy ones, pooled over the files."""
    scores, labels = list[Floats](), list[Floats]()
    for path in sorted((DATA / "skab/valve1").glob("*.csv")):
        frame = pl.read_csv(path, separator=";", try_parse_dates=True)
        at = frame["datetime"].cast(pl.Datetime("ms")).dt.epoch("ms").to_numpy()
        values = frame.drop("datetime", "anomaly", "changepoint").to_numpy().astype(np.float64)
        scores.append(score_group(at, values)[400:])
        labels.append(frame["anomaly"].cast(pl.Float64).to_numpy()[400:])
    assert auc(np.concatenate(labels), np.concatenate(scores)) > 0.7
