"""Compile (or load from numba's cache) every kernel before the worker joins the group."""

import gc

import numpy as np
import polars as pl

from models.warm import warm_up as warm_up_models
from rules.warm import warm_up as warm_up_rules
from streams.fetched import unpacked
from streams.seen import Seen
from topics.checks import check
from topics.columns import decode_chunk
from topics.events import KINDS
from topics.keys import partitions_of
from topics.wire import encode

_EVENT = dict.fromkeys(("event_id", "kind", "sector", "source", "device_id", "metric"), "a") | {
    "subject": "uscc:1",
    "occurred_at": 0,
    "observed_at": 0,
    "value": 0.0,
}


def warm_up() -> None:
    """Run each kernel once on a little data. Seconds when the cache is cold, half a second when it is warm."""
    ids = pl.Series(["a", "b"])
    seen = Seen()
    seen.repeats(ids, np.array([1, 2], np.int64))
    Seen().restore(seen.snapshot())
    partitions_of(ids, 4)
    kind = KINDS["iot"]
    chunk = decode_chunk(kind, [encode(kind.schema, _EVENT)])
    check(kind, chunk.frame, 0)
    unpacked([], [], 0, None)
    warm_up_models()
    warm_up_rules()
    calm_collector()


def calm_collector() -> None:
    """A full collection walks every object of polars, numba and Faust: 0.1 s and more, several times a second at Python's
    defaults. What stands after warm-up stays for good and is left out; young garbage is still collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
