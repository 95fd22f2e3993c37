"""`fengsui series` and `fengsui prequential` on small files: rows in order, scores in range, bad input in one line."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fengsui.cli.common import Wrong
from fengsui.cli.score import prequential, series


def write(path: Path, frame: pl.DataFrame) -> Path:
    text = frame.write_csv()
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def visits(n: int = 400) -> pl.DataFrame:
    """Visits of forty shops over a year; ten shops mostly fail. `score` is what the inspector gave: an outcome."""
    rng = np.random.default_rng(4)
    shop = rng.integers(0, 40, n)
    bad = rng.random(n) < np.where(shop < 10, 0.8, 0.05)
    day = pl.Series(np.sort(rng.integers(0, 365, n)))
    return pl.DataFrame(
        {
            "date": _dates(day),
            "shop": [f"S{i}" for i in shop],
            "type": rng.choice(["cafe", "bar"], n),
            "score": np.where(bad, 60, 95),
            "bad": bad.astype(int),
        }
    )


def _dates(day: pl.Series) -> pl.Series:
    return (day.cast(pl.Int64) * 86_400_000 + 1_704_067_200_000).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d")


def test_series_scores_every_row_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The input's rows in order, a score in [0, 1] last; a jump is the highest; the last line of stdout is JSON."""
    values = np.sin(np.arange(900) / 20) + np.random.default_rng(0).normal(0, 0.1, 900)
    values[700] = 30
    at = pl.Series(np.arange(900) * 300_000 + 1_700_000_000_000).cast(pl.Datetime("ms"))
    frame = pl.DataFrame({"timestamp": at, "value": values})
    out = tmp_path / "scores.csv"
    series(write(tmp_path / "in.csv.gz", frame), time="timestamp", values="value", out=out, json=True)
    scores = pl.read_csv(out)
    assert scores.columns == ["timestamp", "value", "score"]
    assert np.allclose(scores["value"], values)
    assert scores["score"].is_between(0, 1).all()
    assert scores["score"].arg_max() == 700
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == 900


def test_series_reads_nothing_ahead(tmp_path: Path) -> None:
    """Whatever comes later, for one column and for several, the first rows' scores are the same."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"t": np.arange(600), "a": rng.normal(size=600), "b": rng.normal(size=600)})
    other = pl.concat([frame[:400], frame[400:].with_columns(a=pl.col("a") * 50, b=pl.lit(None, pl.Float64))])
    for values in ("a", "a,b"):
        got = []
        for i, data in enumerate((frame, other)):
            path = write(tmp_path / f"{i}.csv", data)
            series(path, time="t", values=values, out=tmp_path / "o.csv")
            got.append(pl.read_csv(tmp_path / "o.csv")["score"][:400].to_list())
        assert got[0] == got[1]


def test_a_group_of_sensors_notices_broken_company(tmp_path: Path) -> None:
    """Two sensors that always agree and suddenly do not, each within its own range: the score of the group rises."""
    rng = np.random.default_rng(2)
    both = rng.normal(size=1000)
    other = both + rng.normal(0, 0.1, 1000)
    other[800:] = rng.normal(size=200)
    frame = pl.DataFrame({"t": np.arange(1000), "a": both, "b": other})
    series(write(tmp_path / "g.csv", frame), time="t", values="a,b", out=tmp_path / "o.csv")
    scores = pl.read_csv(tmp_path / "o.csv")["score"].to_numpy()
    assert scores[820:].mean() > 2 * scores[200:800].mean()


def test_prequential_learns_who_is_risky(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Repeat offenders are found; the outcome column is dropped; an input column `score` keeps its values beside ours."""
    frame, out = visits(), tmp_path / "scores.csv"
    path = write(tmp_path / "v.csv", frame)
    prequential(path, time="date", entity="shop", label="bad", drop="score", delay=7, out=out, json=True)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["auc"] > 0.75
    assert said["rows"] == 400
    assert said["positives"] == frame["bad"].sum()
    scores = pl.read_csv(out)
    assert scores.columns == ["date", "shop", "type", "input_score", "bad", "score"]
    assert scores["shop"].to_list() == frame["shop"].to_list()
    assert scores["score"].is_between(0, 1).all()


def test_a_label_that_never_comes_teaches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a delay beyond the end of the table nothing is learnt: every score is the same as with all labels good."""
    path = write(tmp_path / "v.csv", visits())
    prequential(
        path, time="date", entity="shop", label="bad", drop="score", delay=9999, out=tmp_path / "o.csv", json=True
    )
    assert pl.read_csv(tmp_path / "o.csv")["score"].n_unique() == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["auc"] == 0.5


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        (b"t,v\n1,2\n", {"values": "w"}, "no such column: w"),
        (b"t,v\nyesterday,2\n", {}, "row 1: t is no time"),
        (b"t,v\n1,x\n", {}, "no numbers"),
        (b"", {}, "in.csv"),
        (b"\x1f\x8b\x08broken", {}, "in.csv"),
        (None, {}, "No such file"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, content: bytes | None, arguments: dict[str, str], reason: str) -> None:
    """Wrong use and bad files are answered with a reason of one line."""
    path = tmp_path / "in.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Wrong, match=reason) as caught:
        series(path, **{"time": "t", "values": "v", "out": tmp_path / "o.csv", **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_prequential_names_what_is_wrong(tmp_path: Path) -> None:
    """A label that is neither, a delay below nothing, a model that cannot learn: each named."""
    path = write(tmp_path / "v.csv", visits(20))
    common = {"time": "date", "entity": "shop", "out": tmp_path / "o.csv"}
    for more, reason in (
        ({"label": "type", "delay": 1.0}, "neither good nor bad"),
        ({"label": "bad", "delay": -1.0}, "--delay"),
        ({"label": "bad", "delay": 1.0, "model": "sensor"}, "no such model"),
        ({"label": "bad", "delay": 1.0, "drop": "nope"}, "no such column"),
    ):
        with pytest.raises(Wrong, match=reason):
            prequential(path, **{**common, **more})  # type: ignore[arg-type]
