"""What is known about each subject: decayed counts of inspections, penalties, complaints and more, as feature rows.

Each event gets two rows: `before` (what was known when it arrived: the features of an inspection's example) and `after`
(what is known now: the features to judge by). Cost: about 1 us an event and 130 bytes a subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from models import profile_kernel as kernel
from models.contract import Array, Arrays, BadSnapshot, Floats, taken
from models.keys import KeyTable, digests_of
from models.outcomes import SURE, bad_outcome, column, complains, negative
from topics.buffers import constant, truths

FEATURES: Final = {  # name -> Chinese, in the kernel's order
    "first_visit": "此前未检查",
    "visits": "近两年检查次数",
    "bad_share": "历史不合格率",
    "last_bad": "上次检查不合格",
    "since_visit": "距上次检查时间",
    "since_bad": "距上次不合格时间",
    "violations": "近一年问题数",
    "critical": "近一年严重问题数",
    "penalties": "近一年处罚次数",
    "fines": "近一年罚没金额",
    "complaints_30d": "近30天投诉举报",
    "complaints_365d": "近一年投诉举报",
    "since_complaint": "距上次投诉时间",
    "opinions_30d": "近30天负面舆情",
    "camera_30d": "近30天视频告警",
    "region_share": "所在地区不合格率",
    "sector_share": "本领域不合格率",
}
KINDS: Final = ("inspection", "penalty", "complaint", "opinion", "video")
DAY_MS: Final = 86_400_000
MOST_SUBJECTS: Final = 4_000_000
MOST_GROUPS: Final = 20_000  # sectors and regions: codes of lists, not free texts
_EVERYWHERE: Final = pl.Series(["*"])
FINE_UNIT: Final = 1_000.0  # yuan: fines differ by orders of magnitude


@dataclass(frozen=True, slots=True)
class Walked:
    """n events: feature rows before and after each (f8[n, 17], NaN missing), label f8[n] (NaN: no judged inspection)."""

    before: Floats
    after: Floats
    label: Floats


class Profile:
    """Profiles of the subjects of one task. How events are cut into batches changes nothing.

    >>> visits = pl.DataFrame({"subject": ["site:1"] * 2, "sector": ["fire"] * 2, "region": [None, None],
    ...                        "occurred_at": [0, 30 * DAY_MS], "result": ["fail", "pass"]})
    >>> walked = Profile().walk("inspection", visits)
    >>> walked.before[:, list(FEATURES).index("last_bad")].tolist(), walked.label.tolist()
    ([nan, 1.0], [1.0, 0.0])
    """

    def __init__(self) -> None:
        self._subjects, self._groups = KeyTable(MOST_SUBJECTS), KeyTable(MOST_GROUPS)
        self._sums, self._marks = np.zeros((0, kernel.SUMS)), np.zeros((0, kernel.MARKS))
        self._shares = np.zeros((0, 3))

    def __len__(self) -> int:
        return len(self._subjects)

    def walk(self, kind: str, frame: pl.DataFrame) -> Walked:
        """Take in n events of one kind, in arrival order."""
        n = len(frame)
        subject = self._subjects.codes([column(frame, "subject", pl.String)])
        sector_text, region_text = column(frame, "sector", pl.String), column(frame, "region", pl.String)
        whole = constant(_EVERYWHERE, n)
        nowhere = region_text.fill_null("-") if region_text.null_count() else region_text
        groups = np.empty((2 * n, 2), np.uint64)  # interleaved: codes in order of the rows, however these are cut
        groups[0::2], groups[1::2] = digests_of([sector_text, whole]), digests_of([sector_text, nowhere])
        sector, region = np.ascontiguousarray(self._groups.codes_of(groups).reshape(n, 2).T)
        self._sums, self._marks = (
            _room(self._sums, len(self._subjects)),
            _room(self._marks, len(self._subjects), np.nan),
        )
        self._shares = _room(self._shares, len(self._groups))
        at = column(frame, "occurred_at", pl.Int64)
        day = (at.fill_null(0) if at.null_count() else at).to_numpy() / DAY_MS
        label = (
            bad_outcome(frame).cast(pl.Float64).to_numpy(writable=True) if kind == "inspection" else np.full(n, np.nan)
        )
        before, after = np.empty((n, kernel.FEATURES)), np.empty((n, kernel.FEATURES))
        state = (self._sums, self._marks, self._shares)
        kernel.walk(subject, sector, region, day, _adds(kind, frame, label), label, *state, before, after)
        return Walked(before, after, label)

    def snapshot(self) -> Arrays:
        """Digests and state of subjects and groups."""
        n, g = len(self._subjects), len(self._groups)
        marks = self._marks[:n]
        return {
            "subjects": self._subjects.digests(),
            "groups": self._groups.digests(),
            "sums": self._sums[:n].copy(),
            "marks": np.nan_to_num(marks),
            "marked": ~np.isnan(marks),
            "shares": self._shares[:g].copy(),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state of a snapshot. Raises BadSnapshot, and then nothing has changed."""
        subjects, groups = KeyTable(MOST_SUBJECTS), KeyTable(MOST_GROUPS)
        subjects.restore({"digests": taken(arrays, "subjects", np.uint64, (-1, 2))})
        groups.restore({"digests": taken(arrays, "groups", np.uint64, (-1, 2))})
        n, g = len(subjects), len(groups)
        sums, shares = taken(arrays, "sums", np.float64, (n, kernel.SUMS)), taken(arrays, "shares", np.float64, (g, 3))
        marks = taken(arrays, "marks", np.float64, (n, kernel.MARKS))
        marked = taken(arrays, "marked", np.bool_, (n, kernel.MARKS))
        if (sums < 0).any() or (shares[:, :2] < 0).any() or (shares[:, 0] > shares[:, 1] * (1 + 1e-9)).any():
            raise BadSnapshot("counts out of range")
        self._subjects, self._groups, self._sums, self._shares = subjects, groups, sums, shares
        self._marks = np.where(marked, marks, np.nan)


def _adds(kind: str, frame: pl.DataFrame, label: Floats) -> Floats:
    """What each event adds to its subject's sums: f8[n, SUMS]. A kind that says nothing adds nothing."""
    out = np.zeros((len(frame), kernel.SUMS))
    if kind == "inspection":
        out[:, kernel.VISITS], out[:, kernel.BAD] = 1.0, np.nan_to_num(label)
        out[:, kernel.VIOLATIONS] = _amount(frame, "violations")
        out[:, kernel.CRITICAL] = _amount(frame, "critical_violations")
    elif kind == "penalty":
        out[:, kernel.PENALTIES] = 1.0
        out[:, kernel.FINES] = (_amount(frame, "fine") + _amount(frame, "confiscated")) / FINE_UNIT
    elif kind == "complaint":
        out[:, kernel.COMPLAINTS] = out[:, kernel.COMPLAINTS_YEAR] = complains(frame).to_numpy()
    elif kind == "opinion":
        out[:, kernel.OPINIONS] = negative(frame).to_numpy()
    elif kind == "video":
        out[:, kernel.CAMERA] = ~truths(column(frame, "confidence", pl.Float64) < SURE)  # unknown counts
    return out


def _amount(frame: pl.DataFrame, name: str) -> Floats:
    values = column(frame, name, pl.Float64).to_numpy()  # null is NaN, and then 0
    return np.asarray(np.clip(np.nan_to_num(values), 0.0, 1e9), np.float64)


def _room(array: Floats, need: int, fill: float = 0.0) -> Floats:
    if need <= len(array):
        return array
    more = np.full((max(need, 2 * len(array), 64), array.shape[1]), fill)
    more[: len(array)] = array
    return more
