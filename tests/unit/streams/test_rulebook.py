"""Control records are anybody's bytes: none of them stops a task, and what was in force stays so."""

import json
from typing import Any

import numpy as np
import pytest

from rules import Judge, parse_filter, parse_rule
from rules.model import Rule
from streams.rulebook import Rulebook
from streams.snapshots import Assembler, publish
from streams.stage import ControlRecord, Outbox
from tests.acceptance.rules import HOT, MANY
from topics.records import BLOB, ENTRY, RULE, TICK
from topics.wire import encode

GOOD = encode(RULE, {"rule_id": "test-hot", "version": "1", "text": HOT, "actor": "a", "published_at": 1})
BAD = [b"", b"\0", b"nonsense", GOOD[:20], encode(TICK, {"at": 1}), GOOD.replace(b"when:", b"wenn:")]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(("topic", "key"), [("rules", b"test-hot"), ("lists", b"revoked/x"), ("rules", b"\xff\xfe")])
def test_a_bad_record_changes_nothing(topic: str, key: bytes, value: bytes) -> None:
    """Neither rules nor lists."""
    book = Rulebook()
    assert book.obey("rules", [ControlRecord(0, b"test-hot", GOOD)])
    assert not book.obey(topic, [ControlRecord(1, key, value)])
    assert [rule.id for rule in book.rules] == ["test-hot"]
    assert book.lists == {}


def test_a_rule_under_another_key_is_refused() -> None:
    """Its deletion would be a tombstone under its own id, and miss it."""
    book = Rulebook()
    assert not book.obey("rules", [ControlRecord(0, b"another", GOOD)])
    assert book.rules == []


def test_a_rule_that_does_not_compile_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are in force."""
    replace = Judge.replace

    def failing(self: Judge, rules: list[Rule], lists: Any, filters: Any = ()) -> None:
        if any(rule.id == "test-hot" for rule in rules):
            raise RuntimeError("does not compile")
        replace(self, rules, lists, filters)

    monkeypatch.setattr(Judge, "replace", failing)
    book, judge = Rulebook(), Judge([], scope="subject", lateness={})
    book._rules = {rule.id: rule for rule in (parse_rule(HOT, "t"), parse_rule(MANY, "t"))}
    book.put_in_force(judge, "subject")
    assert [rule.id for rule in book.rules] == ["test-many"]
    assert len(judge._rules) == 1


def test_a_filter_that_does_not_compile_takes_no_rule_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out, and the rules it is about are in force."""
    replace = Judge.replace

    def failing(self: Judge, rules: list[Rule], lists: Any, filters: Any = ()) -> None:
        if any(one.hides(rule.id, rule.sector) for rule in rules for one in filters):
            raise RuntimeError("does not compile")
        replace(self, rules, lists, filters)

    monkeypatch.setattr(Judge, "replace", failing)
    book, judge = Rulebook(), Judge([], scope="subject", lateness={})
    book._rules = {rule.id: rule for rule in (parse_rule(HOT, "t"), parse_rule(MANY, "t"))}
    text = "id: for-repair\nrules: [test-hot]\nuntil: 2027-01-01\nreason: r\nowner: o\n"
    book._filters = {"for-repair": parse_filter(text, "t")}
    book.put_in_force(judge, "subject")
    assert [rule.id for rule in book.rules] == ["test-hot", "test-many"]
    assert book.filters == []


def test_lists_grow_and_shrink() -> None:
    """An entry stays until its tombstone."""
    book = Rulebook()
    entry = encode(ENTRY, {"key": "x", "body": "{}", "updated_at": 1, "source": "t"} | _more())
    book.obey("lists", [ControlRecord(0, b"revoked/x", entry), ControlRecord(1, b"revoked/y", entry)])
    book.obey("lists", [ControlRecord(2, b"revoked/x", None)])
    assert book.lists == {"revoked": {"y": None}}


def _more() -> dict[str, Any]:
    given = {"key", "body", "updated_at", "source"}
    return {f.name: 1 if f.type == "long" else "t" for f in ENTRY.fields if f.required and f.name not in given}


def parts(seq: int, count: int) -> list[ControlRecord]:
    out = Outbox()
    publish(out, "fire", "visit", str(seq), seq, {"w": np.random.default_rng(seq).normal(size=count * 60_000)})
    return [ControlRecord(i, key, value) for i, (key, value, _) in enumerate(out.records["models"])]


def test_a_snapshot_is_given_out_with_its_last_part_however_the_records_come() -> None:
    """Parts of one transaction may come in several calls; bad records between them are passed over."""
    assembler, records = Assembler(), parts(1, 3)
    assert len(records) > 1
    found = []
    for record in records:
        found += list(assembler.take([record, ControlRecord(9, b"x", b"nonsense")]))
    assert [(sector, model, version) for sector, model, version, _ in found] == [("fire", "visit", "1")]


def test_what_compaction_left_of_an_older_snapshot_is_not_kept_nor_mixed_in() -> None:
    """A shorter newer snapshot leaves the last parts of a longer older one behind."""
    assembler, old, new = Assembler(), parts(1, 3), parts(2, 1)
    found = list(assembler.take([*old[len(new) :], *new]))
    assert [version for _, _, version, _ in found] == ["2"]
    assert assembler._parts == {}


def test_a_snapshot_that_is_corrupt_is_passed_over() -> None:
    """Its learner's next one is taken."""
    blob = {
        "name": "fire/visit",
        "part": 0,
        "parts": 1,
        "meta": json.dumps({"seq": 1, "version": "1"}),
        "body": b"corrupt",
    }
    records = [ControlRecord(0, b"fire/visit/0", encode(BLOB, blob)), *parts(2, 1)]
    assert [version for _, _, version, _ in Assembler().take(records)] == ["2"]
