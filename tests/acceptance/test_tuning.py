"""The walk-through of docs/tuning.md at a running engine, command by command: a noisy rule is found, swept, shadowed, compared
and published, and its precision rises."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.archive.verify import verify
from connectors.view import DeskClient, command
from fengsui.cli import main
from fengsui.settings import Settings
from tests.acceptance.house import House, open_house, reading

pytestmark = pytest.mark.broker
PAGE = Path(__file__).parents[2] / "docs" / "tuning.md"
_PARTS = re.compile(r"^```(\w+)\n(.*?)^```|^<!-- (.*?) -->", re.MULTILINE | re.DOTALL)
_OF_A_DAY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|\b[0-9a-f]{12}\b|\S*…")
HOUR = 3_600_000
# What stores are like: (how many, ℃, whether something is really wrong). Doors stand open at 6.5 and 7.5.
STORES = ((16, 6.5, False), (8, 7.5, False), (4, 9.5, True), (4, 10.5, True), (40, 4.0, False))


def stores() -> Iterator[tuple[int, float, bool]]:
    """Number, temperature and truth of each store."""
    number = 0
    for count, value, wrong in STORES:
        for _ in range(count):
            yield number, value, wrong
            number += 1


class Town:
    """Its stores, read once a minute, and the department that goes there."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._heard: set[str] = set()
        self._weeks = 0
        self._begin = reading(0, 0.0)["occurred_at"] - 80 * HOUR
        self._wrong = {reading(number, 0.0)["subject"]: wrong for number, _, wrong in stores()}

    def week(self) -> None:
        """Ten readings of each store, a day after the last ones; what comes of it is looked into, and all of it archived."""
        self._weeks += 1
        start = self._begin + self._weeks * 24 * HOUR
        times = [start + minute * 60_000 for minute in range(10)]
        self.house.send([reading(n, value, occurred_at=at, observed_at=at) for at in times for n, value, _ in stores()])
        self.house.settle()
        self._look_into()
        self.house.settle()
        settings = self.house.settings
        assert verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=60).ok

    def _look_into(self) -> None:
        """Claim, handle, and say what was found."""
        fresh = [clue for clue in self.house.records("clues") if clue["clue_id"] not in self._heard]
        self._heard |= {clue["clue_id"] for clue in fresh}
        settings = self.house.settings
        with DeskClient(
            settings.kafka_client(), prefix=settings.topic_prefix, redis_url=settings.redis_url.get_secret_value()
        ) as desk:
            for verb in ("claim", "handle", "feedback"):
                answers = desk.post_many([self._command(verb, clue) for clue in fresh], 60)
                assert all(answer["accepted"] for answer in answers), answers

    def _command(self, verb: str, clue: dict[str, Any]) -> dict[str, Any]:
        verdict = "confirmed" if self._wrong[clue["subject"]] else "false-alarm"
        given = {"claim": {}, "handle": {"note": "已核查"}, "feedback": {"verdict": verdict, "text": "已核查"}}[verb]
        return command(verb, clue["clue_id"], given, actor="li", department=clue["department"])


def parts() -> list[tuple[str, str]]:
    """What the page consists of, in order: (yaml, sh, text or traffic; its text)."""
    return [(m[1] or "traffic", m[2] or m[3]) for m in _PARTS.finditer(PAGE.read_text("utf-8"))]


def run(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the lines of a block print; each must succeed."""
    for line in text.splitlines():
        if line.startswith("fengsui "):
            main(shlex.split(line)[1:])
        else:
            subprocess.run(["/bin/sh", "-c", line], check=True)
    return capsys.readouterr().out


def facts(text: str) -> list[list[str]]:
    """The words and figures of each line, without those that depend on the day."""
    return [_OF_A_DAY.sub(" ", line).split() for line in text.splitlines()]


def test_the_page_does_what_it_says(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of the page succeeds, what it shows of their output is in it, and precision rises from a quarter to one."""
    given = settings.model_copy(update={"archive_dir": tmp_path / "archive", "archive_flush_seconds": 0.5})
    for name, value in {
        "KAFKA": given.kafka, "TOPIC_PREFIX": given.topic_prefix, "DATA_DIR": str(given.data_dir),
        "ARCHIVE_DIR": str(given.archive_dir), "REDIS_URL": given.redis_url.get_secret_value(),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"FENGSUI_{name}", value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk").mkdir()
    out, shown, weeks = "", 0, 0
    with open_house(given, []) as house:
        town = Town(house)
        for what, text in parts():
            if what == "yaml":
                (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text, "utf-8")
            elif what == "traffic":
                town.week()
                weeks += 1
            elif what == "sh":
                out = run(text, capsys)
            elif what == "text":
                shown += 1
                printed = facts(out)
                for line in facts(text):
                    assert any(all(word in one for word in line) for one in printed), f"{line} is not in\n{out}"
        main(["rules", "history", "store-warm", "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["versions"]
    assert [(v["clues"], v["precision"]) for v in found] == [(64, 0.25), (8, 1.0)]
    assert (shown, weeks) == (5, 3)
    assert (tmp_path / "sweep.html").stat().st_size > 1_000
