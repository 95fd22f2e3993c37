"""Compile (or load from numba's cache) every kernel of the models, before a worker joins its group.

>>> warm_up()
"""

from typing import Final

import numpy as np
import polars as pl

from models.clues import Episodes
from models.panel import Panel
from models.serving import load

_MANY: Final = 5_000  # keys: more than any table begins with


def warm_up() -> None:
    """Run each kernel once on two rows. Some ten seconds when the cache is cold, a tenth of one when it is warm."""
    row = {
        "event_id": "",
        "sector": "fire",
        "subject": "site:0",
        "subject_name": None,
        "region": None,
        "occurred_at": 0,
    }
    panel = Panel(load())
    panel.observe("iot", pl.DataFrame([row | {"device_id": "", "metric": "", "value": 0.0, "flag": None}] * 2), "", 0)
    panel.observe("inspection", pl.DataFrame([row | {"result": "pass"}] * 2), "", 0)
    names = pl.Series([str(i) for i in range(_MANY)])
    Episodes().opened([names], np.zeros(_MANY, np.int64), 0)
