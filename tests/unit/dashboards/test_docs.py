"""Pages and files made from code are current."""

from pathlib import Path

import pytest

from fengsui import docs
from topics.catalogue import TOPICS
from topics.reasons import REASONS


@pytest.mark.parametrize("path", sorted(docs.made()), ids=str)
def test_made_files_are_current(path: Path) -> None:
    """Otherwise: python -m fengsui.docs"""
    assert (docs.ROOT / path).read_text("utf-8") == docs.made()[path]


def test_pages_name_everything() -> None:
    """Each topic with its fields, each reason, the metrics of every room that has any."""
    page = docs.topics_page()
    for topic in TOPICS.values():
        assert f"| `{topic.name}` |" in page
        for field in topic.schema.fields:
            assert f"| `{field.name}` | {field.zh} |" in page
    assert all(f"| `{code}` |" in docs.reasons_page() for code in REASONS)
    rooms = {metric.module.partition(".")[0] for metric in docs.metrics()}
    assert {"connectors", "streams"} <= rooms
    assert "| `fengsui_archive_rows_total` | 计数 counter | `topic` |" in docs.metrics_page()
