"""Text keys to codes: like a dict, under any mix of new, known, unknown, null and freed keys."""

import os
import subprocess
import sys
from itertools import pairwise
from random import Random

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.keytable import KeyTable, TextColumn, siphash

KEYS = [None, "", "a", "b", "uscc:91350100M000100Y43", "site:1", "烽燧", "x" * 300, *(f"k{i}" for i in range(120))]


@given(st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=80), max_size=12), st.randoms())
@settings(max_examples=120, deadline=None)
def test_like_a_dict(batches: list[list[tuple[str | None, bool]]], random: Random) -> None:
    """Codes of live keys are stable and distinct; unknown keys are made only where asked; freed keys are forgotten."""
    table, known = KeyTable(), {}
    for rows in batches:
        keys = TextColumn.of(pl.Series([key for key, _ in rows], dtype=pl.String))
        codes = table.codes(keys, np.array([create for _, create in rows], np.bool_))
        for (key, create), code in zip(rows, codes.tolist(), strict=True):
            if key is not None and create:
                known.setdefault(key, code)
            assert code == (-1 if key is None else known.get(key, -1))
        assert len(set(known.values())) == len(known) == table.live
        assert all(code < table.capacity for code in known.values())
        data, offsets = table.texts(np.array(list(known.values()), np.int64))
        assert [bytes(data[a:b]).decode() for a, b in pairwise(offsets)] == list(known)
        gone = [key for key in known if random.random() < 0.3]
        table.free(np.array([known.pop(key) for key in gone], np.int64))
        assert sorted(table.in_use().tolist()) == sorted(known.values())


def test_churn_does_not_grow() -> None:
    """A million keys, of which few live at a time, need no more room than the living."""
    table, ones = KeyTable(), np.ones(1_000, np.bool_)
    for i in range(200):
        codes = table.codes(TextColumn.of(pl.Series([f"batch{i}-{n}" for n in range(1_000)])), ones)
        table.free(codes)
    assert (table.live, table.capacity) == (0, 1_024)


def test_siphash_is_pythons() -> None:
    """SipHash-1-3 with a zero key is what CPython computes under PYTHONHASHSEED=0."""
    texts = [b"a", b"12345678", b"site:1", "烽燧".encode(), b"uscc:91350100M000100Y43", bytes(range(256))]
    code = f"print([hash(t) & (2**63 - 1) for t in {texts!r}], __import__('sys').hash_info.algorithm)"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    zero = np.uint64(0)
    ours = [int(siphash(np.frombuffer(t, np.uint8), 0, len(t), zero, zero)) for t in texts]
    assert told.split() == [*str(ours).split(), "siphash13"]


def test_codes_do_not_depend_on_the_seed() -> None:
    """Two tables with different secrets give the same codes: results cannot leak or depend on them."""
    keys = TextColumn.of(pl.Series([f"k{i % 500}" for i in range(2_000)]))
    ones = np.ones(2_000, np.bool_)
    assert (KeyTable((1, 2)).codes(keys, ones) == KeyTable((3, 4)).codes(keys, ones)).all()


def test_sliced_and_chunked_columns() -> None:
    """A slice, and a column of several chunks, give their own rows."""
    whole = pl.Series(["skip", "a", None, "烽"])
    pieces = pl.concat([whole[1:3], pl.Series(["b"])], rechunk=False)
    table = KeyTable()
    assert table.codes(TextColumn.of(pieces), np.ones(3, np.bool_)).tolist() == [0, -1, 1]
    assert table.codes(TextColumn.of(whole[1:]), np.ones(3, np.bool_)).tolist() == [0, -1, 2]
