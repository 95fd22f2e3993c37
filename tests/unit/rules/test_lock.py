"""The lock of a folder of rules: what changed in meaning, and ids that are never used again."""

import pytest

from rules.lock import Lock, LockError, behind, locked, read, text
from tests.unit.rules.build import rule
from tests.unit.rules.test_filters import exception


def test_numbers_grow_with_the_meaning_only() -> None:
    """A comment changes the file's hash, a threshold the version and its number."""
    first = locked({}, [rule()], [exception()])
    assert sorted(first) == ["filter:test-filter", "test-rule"]
    assert first["test-rule"].number == 1
    commented = locked(first, [rule(title="测试规则   # nothing but a comment")], [exception()])
    assert commented["test-rule"].version == first["test-rule"].version
    assert commented["test-rule"].number == 1
    assert commented["test-rule"].sha256 != first["test-rule"].sha256
    other = locked(commented, [rule(when='"value > 9"')], [exception(until="2027-02-01")])
    assert [other[key].number for key in sorted(other)] == [2, 2]
    back = locked(other, [rule()], [exception()])  # rolled back: the former version, a third number
    assert (back["test-rule"].version, back["test-rule"].number) == (first["test-rule"].version, 3)


def test_an_id_that_is_gone_is_not_used_again() -> None:
    """Clues, labels and episodes are known by it."""
    gone = locked(locked({}, [rule()]), [])
    assert gone["test-rule"].gone
    assert locked(gone, [])["test-rule"].gone
    with pytest.raises(LockError, match="take a new one"):
        locked(gone, [rule()])


def test_what_the_lock_does_not_know_is_said() -> None:
    """New, changed and vanished rules; not a comment."""
    lock = locked({}, [rule()])
    assert behind(lock, [rule()]) == []
    assert behind(lock, [rule(title="测试规则   # a comment")]) == []
    assert behind(lock, [rule(when='"value > 9"')]) == ["test-rule means something else than in rules.lock"]
    assert behind(lock, [rule(id="other-rule")], [exception()]) == [
        "other-rule is not in rules.lock",
        "filter:test-filter is not in rules.lock",
        "test-rule is in rules.lock and not here",
    ]
    assert behind(locked(lock, []), []) == []


def test_a_lock_is_written_line_by_line_and_read_back() -> None:
    """In order of id, whatever the order given."""
    lock: Lock = locked({}, [rule(id="rule-b"), rule(id="rule-a")], [exception()])
    assert read(text(lock)) == lock
    assert [line.split('"')[1] for line in text(lock).splitlines()[1:-1]] == ["filter:test-filter", "rule-a", "rule-b"]
    for broken in ("", "[]", '{"a": 1}', '{"a": {"version": "x"}}', "<<<<<<< HEAD"):
        with pytest.raises(LockError, match="cannot be read"):
            read(broken)
