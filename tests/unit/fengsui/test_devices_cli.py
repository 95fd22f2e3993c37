"""What `fengsui devices add` makes of its options. Nothing is written."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from connectors.devices.device import parse
from fengsui.cli import devices, main

LINE = ["devices", "add", "gat1400:33020300001190000001", "--subject", "site:1", "--sector", "fire"]
Entries = Mapping[str, tuple[dict[str, Any], int | None]]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> list[Entries]:
    found: list[Entries] = []
    monkeypatch.setattr(devices, "_put", found.append)
    return found


def run(*options: str) -> int:
    try:
        main([*LINE, *options])
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_what_counts_and_for_how_long(put: list[Entries]) -> None:
    """Minutes of minute data, seconds of an episode (0: none), whose clock counts; what is not said is not written."""
    assert run("--interval-minutes", "5", "--episode-seconds", "0", "--clock", "gateway") == 0
    assert run() == 0
    (given, _), (bare, _) = (next(iter(entries.values())) for entries in put)
    assert given == bare | {"interval_minutes": 5, "episode_seconds": 0, "clock": "gateway"}
    assert bare == {"subject": "site:1", "sector": "fire"}
    assert parse(LINE[2], json.dumps(given)).clock == "gateway"


@pytest.mark.parametrize("options", [("--clock", "moon"), ("--episode-seconds", "x"), ("--interval-minutes", "")])
def test_wrong_options(options: tuple[str, str], put: list[Entries]) -> None:
    """Refused with exit code 2, nothing written."""
    assert run(*options) == 2
    assert not put
