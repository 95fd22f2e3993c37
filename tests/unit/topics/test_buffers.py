"""Columns as arrays: what comes from Arrow's buffers is what polars says, for any length, offset, chunking and nulls."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.topics.samples import record
from topics.buffers import SMALL, constant, different, filled, missing, once, select, text_bytes, truths
from topics.columns import encode_frame
from topics.events import KINDS


def shapes(series: pl.Series) -> list[pl.Series]:
    """The same values as they may lie in memory: whole, sliced, in two chunks, filtered."""
    kept = pl.Series(np.arange(len(series)) % 3 > 0)
    return [series, series[1:], series[3:11], pl.concat([series, series], rechunk=False), series.filter(kept)]


@given(st.lists(st.none() | st.booleans(), max_size=70))
@settings(max_examples=150, deadline=None)
def test_truths_and_filled(values: list[bool | None]) -> None:
    """Bit by bit what `fill_null(False)` and `is_not_null` give; and an array of one's own."""
    for series in shapes(pl.Series(values, dtype=pl.Boolean)):
        assert truths(series).tolist() == series.fill_null(False).to_list()
        assert filled(series).tolist() == series.is_not_null().to_list()
        truths(series)[:] = True
        assert truths(series).tolist() == series.fill_null(False).to_list()


@given(st.lists(st.none() | st.text(max_size=20), max_size=40))
@settings(max_examples=150, deadline=None)
def test_texts(values: list[str | None]) -> None:
    """Each text's bytes lie between its offsets; null is the empty text."""
    for series in shapes(pl.Series(values, dtype=pl.String)):
        data, offsets = text_bytes(series)
        found = [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]
        assert found == series.fill_null("").to_list()
        assert filled(series).tolist() == series.is_not_null().to_list()
        assert different(series) == set(series.to_list())


def test_a_bare_null_is_never_true() -> None:
    """NULL as a whole condition has a type of its own."""
    assert truths(pl.select(x=pl.repeat(None, 3)).to_series()).tolist() == [False] * 3


@pytest.mark.parametrize("n", [0, 1, 5])
def test_one_value_repeated(n: int) -> None:
    """Of the right name, type and length, none included."""
    series = constant(missing("region", pl.String), n)
    assert (series.name, series.dtype == pl.String, series.to_list()) == ("region", True, [None] * n)


@pytest.mark.parametrize("n", [3, SMALL + 1])
def test_small_and_large_frames_answer_alike(n: int) -> None:
    """Whether the expressions run in this thread or in others."""
    frame = pl.DataFrame({"x": np.arange(n), "t": [str(i % 7) for i in range(n)]})
    asked = [(pl.col("x") * 2).alias("y"), (pl.col("t") == "3").alias("z")]
    assert select(frame, asked).equals(frame.select(asked))
    assert different(frame["t"]) == {str(i % 7) for i in range(n)}
    assert sorted(once(frame["t"]).to_list()) == sorted(different(frame["t"]))


@pytest.mark.parametrize("kind", KINDS)
def test_few_records_and_many_have_the_same_bytes(kind: str) -> None:
    """A frame is encoded to what its rows are encoded to alone, with optional columns there, empty, or absent."""
    schema = KINDS[kind].schema
    rows = [record(kind, event_id=f"e{i}", region=None if i % 2 else "320102") for i in range(20)]
    frame = pl.DataFrame(rows, schema=schema.columns, orient="row")
    for some in (frame, frame.drop("person"), frame[3:17]):
        assert encode_frame(schema, some) == [
            value for i in range(len(some)) for value in encode_frame(schema, some[i : i + 1])
        ]
    assert encode_frame(schema, frame[:0]) == []


def test_a_required_field_without_a_value_is_refused() -> None:
    """However many records there are."""
    schema = KINDS["iot"].schema
    frame = pl.DataFrame([record("iot")] * 20, schema=schema.columns, orient="row")
    for some in (frame, frame[:2]):
        with pytest.raises(ValueError, match="source has no value"):
            encode_frame(schema, some.drop("source"))
        with pytest.raises(ValueError, match="source has no value"):
            encode_frame(schema, some.with_columns(source=pl.lit(None, pl.String)))
