"""`fengsui decode`: one JSON object a line for each frame or error, from a file or as a pipe brings it."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.protocols import hj212
from connectors.protocols.sm4 import seal
from fengsui.cli import main
from fengsui.cli.gateway import gat1400_bodies, gb26875_frames, hj212_frames

HEADER = {"QN": "20240520210700000", "ST": 31, "CN": 2051, "PW": 1, "MN": "A1", "Flag": 9}
AREA = "DataTime=20240520210600;a01011-Rtd=1.35"
FRAME = hj212.encode(HEADER, AREA)
FIRE = bytes.fromhex("4040020001000500090207150504030201000b0a09080706090002150108040009020715c52323")
FACE = {"FaceListObject": {"FaceObject": [{"FaceID": "1"}]}}


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    main(["decode", *words])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("protocol", "good", "bad", "reason"),
    [
        ("hj212", FRAME, FRAME.replace(b"1.35", b"1.36"), "bad-crc"),
        ("gb26875", FIRE, FIRE[:-3] + b"\x00##", "bad-checksum"),
        ("gat1400", json.dumps(FACE).encode() + b"\n", b"{}\n", "unknown-envelope"),
    ],
)
def test_a_bad_frame_never_ends_it(
    protocol: str, good: bytes, bad: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What follows it is printed too."""
    path = tmp_path / "frames"
    path.write_bytes(good + bad + good)
    found = lines(capsys, protocol, str(path))
    assert [one["ok"] for one in found] == [True, False, True]
    assert found[1]["reason"] == reason


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`-`, or no file, is standard input."""
    for words in (["hj212", "-"], ["hj212"]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(FRAME)))
        assert [one["factors"] for one in lines(capsys, *words)] == [{"a01011": {"Rtd": "1.35"}}]


def test_frames_are_told_when_they_are_complete() -> None:
    """A pipe that stays open need not end first."""
    for frames, data in ((hj212_frames, FRAME), (gb26875_frames, FIRE)):
        told = frames(iter([data + data[:9], data[9:], b""]))
        assert [next(told)["ok"], next(told)["ok"]] == [True, True]


def test_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard's example key without an option; a key of one's own by `--sm4-key` or from the environment."""
    path = tmp_path / "frames"
    path.write_bytes(FRAME.replace(AREA.encode(), seal(AREA.encode(), b"0123456789abcdef")))
    assert lines(capsys, "hj212", str(path))[0]["reason"] == "bad-key"
    (opened,) = lines(capsys, "hj212", str(path), "--sm4-key", b"0123456789abcdef".hex())
    assert (opened["encrypted"], opened["cp"]) == (True, {"DataTime": "20240520210600"})
    monkeypatch.setenv("FENGSUI_SM4_KEY", b"0123456789abcdef".hex())
    assert lines(capsys, "hj212", str(path)) == [opened]


@pytest.mark.parametrize(
    "words", [["nonsense"], ["hj212", "/no/such/file"], ["hj212", "--sm4-key", "12"], ["hj212", "--sm4-key", "x" * 32]]
)
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line, no traceback."""
    with pytest.raises(SystemExit) as left:
        main(["decode", *words])
    assert left.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_bodies_in_an_array() -> None:
    """Several bodies as one JSON array, and what is none of them."""
    answers = list(gat1400_bodies([json.dumps([FACE, 5, FACE]).encode()]))
    assert [answer["ok"] for answer in answers] == [True, False, True]
