"""What a judged chunk comes to: events for Kafka, dead letters, lines of the report, counts."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from connectors.exchange.events import Judged, judge
from connectors.exchange.forms import Form
from connectors.exchange.privacy import masked_text, shown
from connectors.exchange.progress import Tally
from connectors.exchange.report import Entry
from connectors.exchange.rules import RULES
from connectors.exchange.seen import Seen
from connectors.exchange.source import BadRow, Piece
from connectors.exchange.table import Terms
from connectors.producing import Pair, dead_letter
from topics.catalogue import EVENT_BYTES
from topics.columns import encode_frame
from topics.events import KINDS

STAGE: Final = "gateway-exchange"
_WORDS: Final = {"warn": "提示 warned", "refuse": "拒绝 refused", "skip": "跳过 skipped"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk up to a line: records to send, lines of the report, counts; `mark`: a digest of its last row."""

    upto: int
    mark: str
    pairs: list[Pair] = field(default_factory=list)
    letters: list[Pair] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Desk:
    """Prepares the chunks of one batch, in order. `found`: headings -> columns; None where every row has its own."""

    form: Form
    terms: Terms
    found: dict[str, str] | None
    _seen: Seen = field(default_factory=Seen)

    def prepare(self, piece: Piece, now: int) -> Prepared:
        """Judge a chunk at a time (ms UTC)."""
        found = self.form.match(piece.rows.columns)[0] if self.found is None else self.found
        rows = _by_code(piece.rows, found)
        if not rows.width:  # JSON whose rows have nothing that the form knows
            rows = pl.DataFrame({self.form.keys[0]: pl.repeat(None, piece.rows.height, dtype=pl.String, eager=True)})
        judged = judge(self.form, rows, self.terms, now)
        values, reason, column = self._sendable(judged)
        chunk = _Chunk(self.form, piece, rows, judged, reason, column, _names(found))
        subjects = judged.events["subject"].filter(reason == "").to_list()
        pairs: list[Pair] = [(subject.encode(), value) for subject, value in zip(subjects, values, strict=True)]
        entries = chunk.entries()
        entries += [_entry_of(bad) for bad in piece.bad]
        entries.sort(key=lambda entry: entry.line)
        letters = chunk.letters(now) + [_letter_of(bad, self.form, now) for bad in piece.bad]
        return Prepared(piece.upto, mark(piece), pairs, letters, entries, chunk.tally())

    def _sendable(self, judged: Judged) -> tuple[list[bytes], pl.Series, pl.Series]:
        """Wire values of the rows that go, and everybody's reason and column: too large and repeated ones found besides."""
        reason, column = judged.reason, judged.column
        good = reason == ""
        values = encode_frame(KINDS[self.form.kind].schema, judged.events.filter(good))
        at = good.arg_true()
        small = pl.Series([len(value) <= EVENT_BYTES for value in values], dtype=pl.Boolean)
        new = small.clone()
        if len(at):
            new = new.scatter(small.arg_true(), self._seen.take(judged.events["event_id"].gather(at.filter(small))))
        if not new.all():
            reason = reason.scatter(at.filter(~small), "too-large").scatter(at.filter(small & ~new), "duplicate-record")
            column = column.scatter(at.filter(small & ~new), self.form.keys[0])
        return [value for value, goes in zip(values, new.to_list(), strict=True) if goes], reason, column


def _by_code(rows: pl.DataFrame, found: dict[str, str]) -> pl.DataFrame:
    """Columns by code; of several that mean one, the first that is filled in a row."""
    headings: dict[str, list[str]] = {}
    for name, code in found.items():
        headings.setdefault(code, []).append(name)
    return rows.select(
        pl.col(names[0]).alias(code)
        if len(names) == 1
        else pl.coalesce(pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in names).alias(code)
        for code, names in headings.items()
    )


def _names(found: dict[str, str]) -> dict[str, str]:
    """The first heading of each column."""
    return {code: name for name, code in reversed(found.items())}


def mark(piece: Piece) -> str:
    """A digest of a chunk's last row."""
    last = piece.rows.row(-1) if piece.rows.height else ()
    return hashlib.sha256(json.dumps(last, default=str).encode()).hexdigest()[:16]


@dataclass(slots=True)
class _Chunk:
    """A judged chunk and what its rows said."""

    form: Form
    piece: Piece
    raw: pl.DataFrame
    judged: Judged
    reason: pl.Series
    column: pl.Series
    names: dict[str, str]
    _rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    def tally(self) -> Tally:
        """Counts of the chunk: mended values in all rows, warnings of rows that are kept."""
        kept = self.reason == ""
        made = Tally(self.piece.rows.height + len(self.piece.bad), int(kept.sum()))
        for one in self.judged.found:
            if RULES[one.rule].consequence == "mend":
                made.mended[one.rule] += int(one.rows.sum())
            elif RULES[one.rule].consequence == "warn":
                made.warned[one.rule] += int((one.rows & kept).sum())
        made.warned += Counter()  # takes out the zeros
        for code, count in self.reason.filter(~kept).value_counts().rows():
            (made.skipped if RULES[code].consequence == "skip" else made.refused)[code] += count
        made.refused.update(bad.reason for bad in self.piece.bad)
        return made

    def entries(self) -> list[Entry]:
        """A line for each warning of a kept row; one for each row that is not kept, with all that is wrong with it."""
        kept = self.reason == ""
        listed = []
        for one in self.judged.found:
            if RULES[one.rule].consequence == "warn":
                for i in (one.rows & kept).arg_true().to_list():
                    listed.append(self._entry(i, one.rule, one.column, [one.rule], one.values))
        for i in (~kept).arg_true().to_list():
            also = [o.rule for o in self.judged.found if RULES[o.rule].consequence == "refuse" and o.rows[i]]
            codes = list(dict.fromkeys([self.reason[i], *also]))
            listed.append(self._entry(i, self.reason[i], self.column[i] or self._column_of(i), codes))
        return listed

    def letters(self, now: int) -> list[Pair]:
        """Dead letters of refused rows, personal data masked."""
        made: list[Pair] = []
        for i in (self.reason != "").arg_true().to_list():
            if RULES[self.reason[i]].consequence == "refuse":
                row = {self.names.get(c, c): shown(self.form, self._row(i), c) for c, v in self._row(i).items() if v}
                value = json.dumps(
                    {"form": self.form.code, "line": self.piece.lines[i], "row": row}, ensure_ascii=False
                )
                made.append((None, dead_letter(self.reason[i], self.column[i], STAGE, value.encode(), at=now)))
        return made

    def _row(self, i: int) -> dict[str, Any]:
        return self._rows.setdefault(i, self.raw.row(i, named=True))

    def _column_of(self, i: int) -> str:
        """Where a reason of the common checks comes from."""
        about = {"bad-uscc": ("CF_XDR_SHXYM", "administrative_cp_ui_code", "object_code", "CF_XDR_ZJHM")}
        times = ("CF_JDRQ", "check_date", "raised_at", "accepted_at")
        codes = times if self.reason[i].startswith("time-") else about.get(self.reason[i], ())
        return next((code for code in codes if self._row(i).get(code)), "")

    def _entry(self, i: int, code: str, column: str, codes: list[str], values: pl.Series | None = None) -> Entry:
        value = shown(self.form, self._row(i), column) if values is None else masked_text(values[i] or "")
        rules = [RULES[one] for one in codes]
        line: int = self.piece.lines[i]
        name = self.names.get(column, self.form.by_code[column].zh if column else "")
        zh, en = "；".join(rule.zh for rule in rules), "; ".join(rule.en for rule in rules)
        return Entry(line, _WORDS[RULES[code].consequence], name, code, zh, en, value)


def _entry_of(bad: BadRow) -> Entry:
    rule = RULES[bad.reason]
    zh = f"{rule.zh}: {bad.detail}" if bad.detail else rule.zh
    return Entry(bad.line, _WORDS["refuse"], "", bad.reason, zh, rule.en, masked_text(bad.raw))


def _letter_of(bad: BadRow, form: Form, now: int) -> Pair:
    value = json.dumps({"form": form.code, "line": bad.line, "text": masked_text(bad.raw)}, ensure_ascii=False)
    return None, dead_letter(bad.reason, bad.detail, STAGE, value.encode(), at=now)
