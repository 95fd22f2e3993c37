"""Laws of the models: cutting batches changes nothing, a restart equals no restart, nothing is read ahead."""

import itertools
from functools import cache

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.keys import KeyTable
from models.learner import Learner
from models.panel import Panel
from models.prequential import prequential, table
from models.rates import Rates
from models.serving import Serving
from topics.arrays import pack, unpack

DAY_MS = 86_400_000
COMMON = {"department": "fire-rescue", "title": "t", "quiet_hours": 24, "severity": {"blue": 0.0, "red": 0.9}}
SENSOR = Serving("fire", "sensor", threshold=0.3, min_rows=30, explain="{device_id}{metric}{value}{main}", **COMMON)  # type: ignore[arg-type]
VISIT = Serving("fire", "visit", threshold=0.5, explain="{subject_name}{score:.0%}{usual:.0%}{main}", **COMMON)  # type: ignore[arg-type]

Chunk = tuple[str, pl.DataFrame]


def events(seed: int, n: int) -> list[Chunk]:
    """n events of several kinds about three subjects, late ones among them, as runs of one kind."""
    rng = np.random.default_rng(seed)
    runs = rng.choice(["iot", "iot", "iot", "inspection", "inspection", "complaint", "penalty", "opinion", "video"], n)
    kinds = np.repeat(runs, rng.integers(1, 30, n))[:n]
    at = 1_700_000_000_000 + np.arange(n) * 3_600_000 - (rng.random(n) < 0.1) * 90 * 3_600_000
    frame = pl.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "sector": rng.choice(["fire", "food-drug"], n, p=[0.8, 0.2]),
            "subject": [f"site:{i}" for i in rng.integers(0, 3, n)],
            "subject_name": rng.choice(["甲", "乙"], n),
            "region": [("110101", None)[i] for i in rng.integers(0, 2, n)],
            "occurred_at": at,
            "result": rng.choice(["pass", "fail", "No Entry"], n),
            "violations": rng.integers(0, 5, n),
            "fine": rng.exponential(1000, n),
            "complaint_type": rng.choice(["complaint", "consult"], n),
            "sentiment": rng.uniform(-1, 1, n),
            "confidence": rng.uniform(0, 1, n),
            "device_id": ["d1"] * n,
            "metric": ["current"] * n,
            "value": rng.normal(0, 1, n) + 30 * (rng.random(n) < 0.05),
            "_offset": np.arange(n),
            "_ts": at + 1,
        }
    )
    where = [list(rows) for _, rows in itertools.groupby(range(n), key=lambda i: kinds[i])]
    return [(str(kinds[rows[0]]), frame[rows]) for rows in where]


def cut(chunks: list[Chunk], size: int) -> list[Chunk]:
    """The same rows in smaller batches."""
    return [(kind, frame[a : a + size]) for kind, frame in chunks for a in range(0, len(frame), size)]


@cache
def learnt() -> bytes:
    """Parameters of a visit model that has learnt something from other examples."""
    learner, panel = Learner("fire", "visit"), Panel([SENSOR, VISIT])
    for kind, frame in events(99, 600):
        learner.learn(panel.observe(kind, frame, f"events.{kind}", 0).examples)
    return pack(learner.parameters())


def trained() -> Panel:
    """A fresh panel that serves that model."""
    panel = Panel([SENSOR, VISIT])
    panel.apply("fire", "visit", unpack(learnt()), "7")
    return panel


def run(panel: Panel, chunks: list[Chunk]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All clues and all examples, in order."""
    seen = [panel.observe(kind, frame, f"events.{kind}", 3) for kind, frame in chunks]
    return pl.concat([o.clues for o in seen]), pl.concat([o.examples for o in seen])


def test_the_sample_raises_clues_and_examples() -> None:
    """The laws below are not true for want of anything happening."""
    clues, examples = run(trained(), events(1, 600))
    assert set(clues["origin_id"]) == {"sensor", "visit"}
    assert clues["clue_id"].is_unique().all()
    assert len(examples) > 20
    assert set(examples["label"]) == {0.0, 1.0}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_cutting_batches_changes_no_clue_and_no_example(seed: int, size: int) -> None:
    """Runs of one kind, cut smaller, give the same clues and examples, and leave the same state."""
    whole, parts = trained(), trained()
    chunks = events(seed, 300)
    for one, other in zip(run(whole, chunks), run(parts, cut(chunks, size)), strict=True):
        assert_frame_equal(one, other, check_exact=True)
    assert pack(whole.snapshot()) == pack(parts.snapshot())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 100))
def test_a_restart_equals_no_restart(seed: int, at: int) -> None:
    """A panel restored from bytes in mid-stream goes on like the one that never stopped."""
    panel, chunks = trained(), cut(events(seed, 300), 20)
    run(panel, [*chunks[:at], ("iot", chunks[0][1][:0])])
    other = Panel([SENSOR, VISIT])
    other.restore(unpack(pack(panel.snapshot())))
    rest = [*chunks[at:], ("iot", chunks[0][1][:0])]
    for one, two in zip(run(panel, rest), run(other, rest), strict=True):
        assert_frame_equal(one, two, check_exact=True)
    assert panel.versions() == other.versions()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_a_learner_does_not_see_how_examples_were_cut(seed: int, sizes: list[int]) -> None:
    """Parameters, version and quality are the same for one batch and for many, and through a restart."""
    _, examples = run(Panel([VISIT]), events(seed, 400))
    whole, parts = Learner("fire", "visit"), Learner("fire", "visit")
    whole.learn(examples)
    start = 0
    for size in [*sizes, len(examples)]:
        parts.learn(examples[start : start + size])
        start += size
        fresh = Learner("fire", "visit")
        fresh.restore(unpack(pack(parts.snapshot())))
        parts = fresh
    assert pack(whole.snapshot()) == pack(parts.snapshot())
    assert whole.version == parts.version


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 30))
def test_prequential_reads_nothing_ahead(seed: int, delay: float) -> None:
    """Labels that become known later than a row's time, and rows that happen later, cannot move its score."""
    rng = np.random.default_rng(seed)
    n, cutoff = 150, 35.0
    frame = pl.DataFrame(
        {
            "day": np.sort(rng.integers(0, 60, n)),
            "who": rng.integers(0, 20, n),
            "type": rng.choice(["a", "b", "c"], n),
            "size": rng.normal(size=n),
        }
    ).sample(fraction=1.0, shuffle=True, seed=seed)
    label = pl.Series("bad", (rng.random(n) < 0.3).astype(float))

    def scores(frame: pl.DataFrame, label: pl.Series) -> list[float]:
        at = frame["day"] * DAY_MS
        return list(prequential(table(frame, at, frame["who"], label, {"day", "who"}), delay))

    before = (frame["day"] <= cutoff).to_numpy()
    unknown = frame["day"].to_numpy() + delay > cutoff
    other = label.zip_with(pl.Series(~unknown), 1 - label)
    assert np.array_equal(np.array(scores(frame, label))[before], np.array(scores(frame, other))[before])
    assert np.array_equal(
        np.array(scores(frame, label))[before], scores(frame.filter(pl.Series(before)), label.filter(pl.Series(before)))
    )


@given(st.lists(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4) | st.none()), max_size=30), max_size=6))
def test_key_codes_equal_a_dictionary(batches: list[list[tuple[str, str | None]]]) -> None:
    """Codes count up in order of first sight, however the keys are cut between columns and batches, and through a restart."""
    table_, known = KeyTable(), dict[tuple[str, str], int]()
    for batch in batches:
        columns = [pl.Series([row[i] for row in batch], dtype=pl.String) for i in range(2)]
        want = [known.setdefault((a, b or ""), len(known)) for a, b in batch]
        assert table_.codes(columns).tolist() == want
        fresh = KeyTable()
        fresh.restore(table_.snapshot())
        table_ = fresh
    assert len(table_) == len(known)


@given(st.permutations(range(8)), st.integers(0, 100))
def test_decayed_shares_do_not_depend_on_order(order: list[int], seed: int) -> None:
    """Outcomes fed in any order give the same shares."""
    rng = np.random.default_rng(seed)
    code, label, day = rng.integers(0, 3, 8), rng.integers(0, 2, 8).astype(float), rng.uniform(0, 900, 8)
    one, other = Rates(100.0), Rates(100.0)
    one.add(code, label, day)
    for i in order:
        other.add(code[[i]], label[[i]], day[[i]])
    want, got = (r.share(np.arange(4), 1000.0, 0.2, 4.0) for r in (one, other))
    assert np.allclose(want, got, rtol=1e-9)
