"""`fengsui series` and `fengsui prequential`: score a CSV file in one honest pass, nothing read ahead."""

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import polars as pl
from cyclopts import Parameter

from fengsui.cli.common import Wrong, say, say_json

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]
SCORE: Final = "score"
DELIMITERS: Final = ",;\t|"
MILLISECONDS_FROM: Final = 1e11  # a number above this is milliseconds since 1970, below it seconds
TIME_FORMATS: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H.%M.%S", "%Y%m%d%H%M%S", "%Y/%m/%d")
TRUE: Final = ("1", "true", "yes", "y", "是", "fail", "不合格")
FALSE: Final = ("0", "false", "no", "n", "否", "pass", "合格")


def series(
    file: Path,
    *,
    time: Annotated[str, Parameter(name="--time")],
    values: Annotated[str, Parameter(name="--values")],
    out: Annotated[Path, Parameter(name="--out")],
    json: Json = False,
) -> None:
    """Score a sensor series, or a group of sensors, in one pass: unsupervised, each score from the earlier rows and its own.

    Args:
        file: CSV, also .gz.
        time: The column with the time.
        values: The column with the readings, or several, comma separated, that get one score together.
        out: Where to write: the input's rows in order with a column `score` in [0, 1].
    """
    from models.group import score_group

    frame = _read(file)
    names = _names(values)
    _present(frame, [time, *names])
    at = _times(frame[time])
    columns = [_numbers(frame[name]) for name in names]
    scores = score_group(at.to_numpy(), pl.DataFrame(columns).to_numpy())
    _write(frame, scores, out)
    summary = {"rows": len(frame), "columns": len(names), "highest": max(scores.tolist(), default=0.0), "out": str(out)}
    say_json(summary) if json else say(f"已评分 {len(frame)} 行 (rows scored) -> {out}")


def prequential(
    file: Path,
    *,
    time: Annotated[str, Parameter(name="--time")],
    entity: Annotated[str, Parameter(name="--entity")],
    label: Annotated[str, Parameter(name="--label")],
    delay: Annotated[float, Parameter(name="--delay")],
    out: Annotated[Path, Parameter(name="--out")],
    drop: Annotated[str, Parameter(name="--drop")] = "",
    model: Annotated[str, Parameter(name="--model")] = "visit",
    json: Json = False,
) -> None:
    """Test-then-learn on a table: each row is scored before its label, which becomes known `delay` days later.

    Args:
        file: CSV, also .gz.
        time: The column with the time of the row.
        entity: The column that says whom the row is about.
        label: The column with the outcome: a number (above 0 is bad), true/false, yes/no, fail/pass; empty is unknown.
        delay: Days until a label is known.
        out: Where to write: the input's rows in order with a column `score` in [0, 1].
        drop: Columns that are no features, comma separated: above all other outcomes of that same row.
        model: Which model learns: visit or visit-river.
    """
    from models.contract import Model, discover, make
    from models.linear import Linear
    from models.prequential import auc, table
    from models.prequential import prequential as run

    if not issubclass(discover().get(model, Model), Linear):
        raise Wrong(f"no such model for subjects: {model[:40]}")
    frame = _read(file)
    dropped = _names(drop)
    _present(frame, [time, entity, label, *dropped])
    if delay < 0:
        raise Wrong(f"--delay is {delay:g}, less than no time at all")
    bad = _labels(frame[label])
    data = table(frame, _times(frame[time]), _entities(frame[entity]), bad, {time, entity, label, *dropped})
    scores = run(data, delay, make(model))
    _write(frame, scores, out)
    area = auc(data.label, scores)
    summary: dict[str, Any] = {
        "rows": len(frame),
        "labelled": int(bad.is_not_null().sum()),
        "positives": int(bad.sum() or 0),
    }
    summary |= {"auc": None if area != area else round(area, 6), "out": str(out)}  # noqa: PLR0124 - NaN: one class only
    say_json(summary) if json else say(
        f"{summary['rows']} 行, 不良 {summary['positives']}, AUC {summary['auc']} -> {out}"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _read(file: Path) -> pl.DataFrame:
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            head = stream.readline(1_000_000).decode("utf-8", "replace")
        delimiter = max(DELIMITERS, key=head.count)
        return pl.read_csv(
            file,
            separator=delimiter,
            infer_schema_length=None,
            encoding="utf8-lossy",
            null_values=["", "NA", "NaN", "null"],
        )
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise Wrong(f"{file}: {error}".splitlines()[0][:300]) from error


def _present(frame: pl.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise Wrong(f"no such column: {', '.join(missing)[:200]} (there are {', '.join(frame.columns)[:400]})")


def _times(column: pl.Series) -> pl.Series:
    """Times in ms. Raises Wrong where a row has none."""
    if column.dtype.is_numeric():
        at = column.cast(pl.Float64)
        factor = 1.0 if (at.abs().max() or 0) > MILLISECONDS_FROM else 1000.0  # type: ignore[operator]
        at = (at * factor).fill_nan(None).cast(pl.Int64, strict=False)
    else:
        at = _parsed(column.cast(pl.String).str.strip_chars())
    if at.null_count():
        row = int(at.is_null().arg_max() or 0)
        raise Wrong(f"row {row + 1}: {column.name} is no time: {str(column[row])[:60]!r}")
    return at


def _parsed(text: pl.Series) -> pl.Series:
    try:
        at = text.str.to_datetime(time_unit="ms", strict=False, time_zone="UTC")
    except pl.exceptions.PolarsError:  # none of the formats it knows
        at = pl.Series(text.name, [None] * len(text), pl.Datetime("ms", "UTC"))
    best = at
    for pattern in TIME_FORMATS if at.null_count() else ():
        at = text.str.to_datetime(pattern, time_unit="ms", strict=False, time_zone="UTC")
        best = at if at.null_count() < best.null_count() else best
    return best.dt.epoch("ms")


def _numbers(column: pl.Series) -> pl.Series:
    """Readings; what is no number is missing (a decimal comma is read). Raises Wrong on a column without one number."""
    text = column if column.dtype.is_numeric() else column.cast(pl.String).str.replace(",", ".", literal=True)
    numbers = text.cast(pl.Float64, strict=False)
    if len(numbers) and numbers.null_count() == len(numbers):
        raise Wrong(f"column {column.name} has no numbers")
    return numbers


def _entities(column: pl.Series) -> pl.Series:
    """Whom each row is about; a row that does not say is about somebody of its own."""
    nobody = pl.Series([f"\0{i}" for i in range(len(column))], dtype=pl.String)
    return column.cast(pl.String).zip_with(column.is_not_null(), nobody)


def _labels(column: pl.Series) -> pl.Series:
    """0.0, 1.0 or null. Raises Wrong on a text that is neither."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return (column.cast(pl.Float64).fill_nan(None) > 0).cast(pl.Float64)
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    known = text.is_in([*TRUE, *FALSE]) | text.is_null()
    if not known.fill_null(True).all():
        row = int((~known).arg_max() or 0)
        raise Wrong(f"row {row + 1}: label {column.name} is neither good nor bad: {str(column[row])[:60]!r}")
    return text.is_in(list(TRUE)).cast(pl.Float64)


def _write(frame: pl.DataFrame, scores: Iterable[float], out: Path) -> None:
    """The input's rows with the score last; an input column of that name is kept as `input_score`."""
    taken = {SCORE: f"input_{SCORE}"} if SCORE in frame.columns else {}
    try:
        frame.rename(taken).with_columns(pl.Series(SCORE, scores)).write_csv(out)
    except OSError as error:
        raise Wrong(f"{out}: {error}") from error
