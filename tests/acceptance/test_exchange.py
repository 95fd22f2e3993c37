"""Batch exchange onto a real broker: a killed process goes on where the acknowledgements ended."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tenacity

from fengsui.settings import Settings
from tests.acceptance.gateway_helpers import make_topics, records
from tests.unit.connectors.exchange.tables import House, Row, rows_of

pytestmark = pytest.mark.broker
ROWS, CHUNK = 60_000, 5_000


def table() -> list[Row]:
    """Good rows, a hundred without a date, a hundred with a fine that contradicts."""
    rows = rows_of("penalty", ROWS)
    for i in range(0, ROWS, ROWS // 100):
        rows[i]["CF_JDRQ"] = None
        rows[i + 1]["CF_NR_FK"] = "0.3"
    return rows


def start(settings: Settings, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "FENGSUI_KAFKA": settings.kafka,
        "FENGSUI_TOPIC_PREFIX": settings.topic_prefix,
        "FENGSUI_DATA_DIR": str(settings.data_dir),
    }
    command = [sys.executable, "-m", "fengsui", "exchange", *words, "--json"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@tenacity.retry(
    wait=tenacity.wait_fixed(0.005),
    stop=tenacity.stop_after_delay(60),
    retry=tenacity.retry_if_result(lambda line: not line),
)
def acknowledged(progress: Path) -> int:
    """The last acknowledged line, as soon as there is one."""
    return int(json.loads(progress.read_text())["line"]) if progress.exists() else 0


def test_killed_in_the_middle(settings: Settings, tmp_path: Path) -> None:
    """Killed with SIGKILL and run again, nothing is lost, at most one chunk is twice on the topic, with the same ids, and
    report and counts are those of a run that was not killed."""
    make_topics(settings)
    path, report = House(tmp_path).csv(table()), tmp_path / "r.csv"
    progress = tmp_path / "r.csv.progress.json"
    process = start(settings, "penalty", str(path), "--report", str(report))
    line = acknowledged(progress)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < line < ROWS
    again = finished(start(settings, "penalty", str(path), "--report", str(report)))
    assert again["from_line"] >= line
    assert (again["read"], again["sent"]) == (ROWS, ROWS - 100)
    assert (again["refused"], again["warned"]) == ({"missing-field": 100}, {"fine-contradicts": 100})
    events = records(settings, "events.penalty")
    times = Counter(event["event_id"] for event in events)
    assert len(times) == ROWS - 100
    assert sum(times.values()) - len(times) <= CHUNK
    assert len(report.read_text("utf-8-sig").splitlines()) == 201
    assert len(records(settings, "rejected")) >= 100
    once_more = finished(start(settings, "penalty", str(path), "--report", str(report)))
    assert once_more["finished_before"]
    assert len(records(settings, "events.penalty")) == len(events)
