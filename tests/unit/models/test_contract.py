"""What `models.contract.Model` promises, run on every model that discovery finds."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.contract import Array, Arrays, BadSnapshot, Floats, Model, discover, make
from tests.unit.models import makers
from topics.arrays import pack, unpack

NAMES = sorted(discover())
ROWS = 400


def data(model: Model, seed: int = 1, n: int = ROWS) -> tuple[pl.DataFrame, Floats | None]:
    return (makers.series(seed, n), None) if model.takes == "series" else makers.subjects(seed, n)


def run(model: Model, frame: pl.DataFrame, labels: Floats | None, cuts: list[int]) -> Floats:
    """Score, then learn where learning is another step, chunk by chunk."""
    out = []
    for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True):
        if model.advances:
            out.append(model.score_many(frame[a:b]))
        else:
            model.learn_many(frame[a:b], labels[a:b] if labels is not None else None)
    return np.concatenate(out) if out else model.score_many(frame)


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return make(request.param)


def same(a: Arrays, b: Arrays) -> bool:
    return list(a) == list(b) and all(a[k].tobytes() == b[k].tobytes() and a[k].shape == b[k].shape for k in a)


def test_inputs_are_not_mutated(model: Model) -> None:
    """Frames and labels are the same after scoring, learning and explaining."""
    frame, labels = data(model)
    before, y = frame.clone(), None if labels is None else labels.copy()
    model.learn_many(frame, labels)
    model.score_many(frame)
    model.explain(frame[:5])
    assert_frame_equal(frame, before)
    assert labels is None or (labels == y).all()


def test_scores_are_in_range_and_move(model: Model) -> None:
    """Every score is finite and in [0, 1], and they are not all the same."""
    frame, labels = data(model)
    scores = run(model, frame, labels, [])
    assert scores.shape == (ROWS,)
    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert np.ptp(scores) > 0.2


def test_column_order_means_nothing(model: Model) -> None:
    """Reversed columns give the same scores and the same state."""
    frame, labels = data(model)
    other = make(model.name)
    assert (run(model, frame, labels, []) == run(other, frame[:, ::-1], labels, [])).all()
    assert same(model.snapshot(), other.snapshot())


def test_runs_repeat_exactly(model: Model) -> None:
    """The same rows give the same bits."""
    frame, labels = data(model)
    other = make(model.name)
    assert (run(model, frame, labels, []) == run(other, frame, labels, [])).all()


@pytest.mark.parametrize("cuts", [[1], [31, 32, 33], [7, 150, 151, 399], list(range(5, 400, 5))])
def test_cutting_a_batch_changes_nothing(model: Model, cuts: list[int]) -> None:
    """However the rows are cut into batches, scores and state are the same to the last bit."""
    frame, labels = data(model)
    other = make(model.name)
    assert (run(model, frame, labels, []) == run(other, frame, labels, cuts)).all()
    assert same(model.snapshot(), other.snapshot())


@pytest.mark.parametrize("at", [0, 1, 40, 250])
def test_a_snapshot_at_any_point_changes_nothing(model: Model, at: int) -> None:
    """Through bytes and back in mid-run, the rest goes on as if nothing had happened."""
    frame, labels = data(model)
    run(model, frame[:at], None if labels is None else labels[:at], [])
    other = make(model.name)
    other.restore(unpack(pack(model.snapshot())))
    rest, y = frame[at:], None if labels is None else labels[at:]
    assert (run(model, rest, y, []) == run(other, rest, y, [])).all()
    assert same(model.snapshot(), other.snapshot())


def test_a_snapshot_is_a_copy(model: Model) -> None:
    """Going on after a snapshot does not change the snapshot."""
    frame, labels = data(model)
    run(model, frame[:200], None if labels is None else labels[:200], [])
    taken = model.snapshot()
    kept = {name: array.copy() for name, array in taken.items()}
    run(model, frame[200:], None if labels is None else labels[200:], [])
    assert same(taken, kept)
    assert not same(taken, model.snapshot())


def test_columns_may_appear_and_vanish(model: Model) -> None:
    """A column that comes, goes, or was never there is missing, not an error."""
    frame, labels = data(model)
    more = frame.with_columns(pl.lit(1.5).alias("new"), pl.lit("x").alias("newer"))
    y = None if labels is None else labels[:200]
    model.learn_many(more[:200], y)
    for name in frame.columns:
        model.learn_many(frame.drop(name)[:200], y)
        assert np.isfinite(model.score_many(frame.drop(name)[:10])).all()
    assert model.score_many(pl.DataFrame({"nothing": [1.0, 2.0]})).shape == (2,)


def test_missing_values_are_tolerated(model: Model) -> None:
    """Null, NaN and infinite numbers, and empty frames, give finite scores."""
    frame, labels = data(model)
    for value in (None, float("nan"), float("inf"), -float("inf"), 1e308):
        odd = frame.with_columns(pl.lit(value, pl.Float64).alias(name) for name in ("value", "days", "complaints"))
        model.learn_many(odd, labels)
        assert np.isfinite(model.score_many(odd)).all()
    assert model.score_many(frame[:0]).shape == (0,)
    model.learn_many(frame[:0], None if labels is None else labels[:0])
    other = make(model.name)
    other.restore(model.snapshot())


def test_explanations_name_what_moved_the_score(model: Model) -> None:
    """One mapping a row, finite, and explaining changes nothing."""
    frame, labels = data(model)
    run(model, frame, labels, [])
    before = model.snapshot()
    rows = model.explain(frame[:20])
    assert len(rows) == 20
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert any(row for row in rows)
    assert same(before, model.snapshot())


def _hostile(arrays: Arrays) -> list[Arrays]:
    """Every array left out, of another dtype, of another shape, and full of NaN or Python objects."""
    out: list[Arrays] = []
    for name, array in arrays.items():
        rest: Arrays = {k: v for k, v in arrays.items() if k != name}
        wrong: list[Array] = [array[None], array.astype(np.complex128), np.array([None], dtype=object)]
        if array.dtype.kind == "f" and array.size:
            wrong += [np.full_like(array, np.nan), np.full_like(array, np.inf)]
        out += [rest, *(rest | {name: w} for w in wrong)]
    return out


def test_hostile_snapshots_are_refused(model: Model) -> None:
    """Anything but a right snapshot is BadSnapshot, and the state stays as it was."""
    frame, labels = data(model)
    run(model, frame, labels, [])
    before = model.snapshot()
    for arrays in _hostile(before):
        with pytest.raises(BadSnapshot, match="bad-snapshot: "):
            model.restore(arrays)
        assert same(before, model.snapshot())
