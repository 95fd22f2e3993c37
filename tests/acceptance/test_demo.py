"""The commands that a newcomer runs first, as they run them: processes of their own, nothing prepared."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from topics.codes import SECTORS

pytestmark = pytest.mark.broker


def fengsui(*arguments: str, data: Path, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Run a command with a data directory of its own; embedded services."""
    environment = dict(os.environ) | {"FENGSUI_DATA_DIR": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "fengsui", *arguments],
        env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def last_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON object on the last line of stdout."""
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_demo_shows_the_whole_journey(tmp_path: Path) -> None:
    """Every stage has counts, every sector clues; stories are found; all clues claimed and fed back; the archive verified."""
    done = fengsui("demo", "--events", "8000", "--seed", "3", "--json", data=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    result = last_json(done)
    clues = sum(sum(row.values()) for row in result["clues"].values())
    assert set(result["clues"]) == set(SECTORS)
    assert all(sum(row.values()) > 0 for row in result["clues"].values())
    assert result["recall"] >= 0.9
    assert result["precision"] >= 0.9
    assert clues == result["claimed"] == result["fed_back"]
    assert result["rejected"] == result["rejected_expected"]
    assert result["archive_verified"]
    assert result["archived"] > result["events"]
    assert set(result["stages"]) >= {"gateways", "intake", "detect", "clues", "dispatch", "feedback", "learning"}
    intake, doors = result["stages"]["intake"], result["stages"]["doors"]
    # What a device sends again because an answer was late is a repetition more than the city planned.
    assert intake["accepted"] + intake["rejected"] + doors["folded"] <= result["events"]
    assert sum(intake.values()) + sum(doors.values()) >= result["events"]
    sent = result["stages"]["gateways"]
    assert sent.keys() == {"http", "mqtt", "hj212", "gb26875", "gat1400", "file", "kafka"}
    assert sum(sent.values()) == result["events"]


@pytest.mark.parametrize(("workload", "peer"), [("W1", "confluent-loop"), ("W2", "kafka-streams")])
def test_the_bench_compares_on_the_same_hits(workload: str, peer: str, tmp_path: Path) -> None:
    """A short run beside a peer: figures for both, and the same number of hits."""
    done = fengsui("bench", workload, "--peer", peer, "--events", "200000", "--rounds", "1", "--json", data=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    result = last_json(done)
    assert result["events_per_second"] > 0
    assert result["peer_events_per_second"] > 0
    [only] = result["rounds"]
    assert only["hits"] == only["peer_hits"] > 0


@pytest.mark.faults
def test_up_leaves_nothing_behind_when_it_is_stopped(tmp_path: Path) -> None:
    """SIGTERM ends `up` with its broker, its view and its workers; other commands found it by run.json while it ran."""
    environment = dict(os.environ) | {"FENGSUI_DATA_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "fengsui", "up"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
        assert up.stdout is not None
        assert "就绪" in up.stdout.readline()
        family = psutil.Process(up.pid).children(recursive=True)
        assert len(family) >= 3
        listed = fengsui("clues", "list", "--json", data=tmp_path, timeout=60)
        assert listed.returncode == 0, listed.stderr
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["demo", "--events", "many"],
        ["rules", "check", "/no/such/file"],
        ["decode", "cloudevents", "/no/f"],
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    """Never a traceback."""
    done = fengsui(*arguments, data=tmp_path, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr + done.stdout
