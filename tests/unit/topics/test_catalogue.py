"""The catalogue: numbers are unique, what must lie together has the same partitions, no column has two types."""

import re

import pytest

from topics.catalogue import CONTROLS, DAY, PROGRESS_STAGES, SCHEMAS, TICKS, TOPICS, partitions
from topics.codes import DEPARTMENTS, FEEDBACKS, SECTORS, SEVERITIES
from topics.events import ENVELOPE, KINDS, all_columns
from topics.fields import Schema

LONGEST_WINDOW = 32 * DAY


def test_schema_numbers_are_unique_and_fit_the_wire() -> None:
    """A number names one schema; ids fit four bytes."""
    by_number: dict[int, Schema] = {}
    for topic in TOPICS.values():
        assert by_number.setdefault(topic.schema.number, topic.schema) is topic.schema
        assert 0 < topic.schema.id() < 2**31
    assert by_number == SCHEMAS
    assert len({schema.name for schema in SCHEMAS.values()}) == len(SCHEMAS)


@pytest.mark.parametrize("count", [1, 4, 7])
def test_topics_that_are_joined_by_key_have_the_same_partitions(count: int) -> None:
    """All event topics; clues with commands, clue log and warnings; control topics have one partition."""
    together = [name for name in TOPICS if name.startswith(("events.", "warnings.", "clue", "commands"))]
    assert {partitions(name, count) for name in together} == {count}
    assert {partitions(name, count) for name in CONTROLS} == {1}
    assert partitions("progress", count) == partitions("checkpoints", count) == count * len(PROGRESS_STAGES)


def test_replayed_topics_outlive_the_longest_window() -> None:
    """Silent replay reads events back as far as windows reach."""
    for name in (*(kind.topic for kind in KINDS.values()), "rekeyed", *TICKS.values()):
        assert TOPICS[name].retention_ms > LONGEST_WINDOW


def test_every_topic_carries_log_append_time() -> None:
    """One order of time for every reader; and what is compacted is not deleted by time."""
    for topic in TOPICS.values():
        assert topic.config["message.timestamp.type"] == "LogAppendTime"
        assert ("retention.ms" in topic.config) == (topic.cleanup == "delete")
        assert int(topic.config["max.message.bytes"]) > topic.max_bytes


def test_names_are_ascii_and_texts_chinese() -> None:
    """Topics and codes travel anywhere; people read Chinese first."""
    codes = [*SECTORS.values(), *DEPARTMENTS.values(), *SEVERITIES.values(), *FEEDBACKS.values()]
    for name in [*TOPICS, *(code.code for code in codes), *KINDS]:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
    for text in [*(t.zh for t in TOPICS.values()), *(c.zh for c in codes), *(k.zh for k in KINDS.values())]:
        assert re.search(r"[\u4e00-\u9fff]", text)
    assert len(SECTORS) == 13


def test_one_name_has_one_type_in_every_kind() -> None:
    """A rule reads a column across kinds; required columns of the envelope come first in each."""
    columns = all_columns()
    for kind in KINDS.values():
        assert kind.schema.fields[: len(ENVELOPE)] == ENVELOPE
        assert kind.schema.columns.items() <= columns.items()
        assert not any(name.startswith("_") for name in kind.schema.columns)
        assert len(kind.schema.columns) == len(kind.schema.fields)
