"""What cameras call their findings: the labels of the rules, a device's own table, and texts that are no finding."""

import doctest
import weakref
from pathlib import Path

import pytest
import yaml

from connectors.devices import labels
from connectors.devices.labels import NAMES, known, label_of

PACKS = Path(__file__).parents[3] / "rules" / "packs"


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(labels).failed == 0


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("未戴厨师帽", "no_hat"),
        ("3号灶台 未佩戴口罩 告警", "no_mask"),
        ("后厨抽烟", "smoking"),
        ("有老鼠", "rat"),
        ("消防通道占用报警", "exit_blocked"),
        ("人员闯入", "intrusion"),
        ("明火检测", "fire"),
        ("烟雾告警", "smoke"),
        ("视频遮挡", "camera_blocked"),
        ("NO-MASK", "no_mask"),
        ("trash_open", "trash_open"),
        ("Smoke detection alarm", "smoke"),
    ],
)
def test_names(text: str, label: str) -> None:
    """Names whole or inside longer texts, in either language."""
    assert known(text) == label


@pytest.mark.parametrize(
    "text",
    [
        *("", "4", "抓拍", "未发现老鼠", "烟雾探测器故障", "禁止吸烟标识缺失", "戴口罩", "口罩正常"),
        *("fire extinguisher missing", "minor defect", "x" * 9999),
    ],
)
def test_no_finding(text: str) -> None:
    """What names nothing, says that nothing was found, or names a thing that is called after it."""
    assert known(text) is None


def test_a_devices_own_names_win() -> None:
    """Whatever text they are in, before any common name; and only as they stand."""
    assert label_of(["老鼠", "604"], {"604": "no_mask"}) == "no_mask"
    assert label_of(["老鼠", "6040"], {"604": "no_mask"}) == "rat"
    assert label_of([], {"604": "no_mask"}) is None


def test_labels_of_the_packs_can_be_named() -> None:
    """Every label that a starter rule asks a camera for is one that the table knows."""
    wanted = set()
    for path in PACKS.rglob("*.yaml"):
        for test in (yaml.safe_load(path.read_text("utf-8")) or {}).get("tests") or []:
            wanted |= {
                event["label"] for event in test.get("events", []) if isinstance(event, dict) and "label" in event
            }
    assert wanted
    assert wanted - {"motion"} <= set(NAMES.values()), wanted - set(NAMES.values())


class _Text(str):
    """A text that can be asked whether it is still there."""

    __slots__ = ("__weakref__",)


def test_long_texts_are_not_kept() -> None:
    """What is remembered of a text is as long as what is looked at, and the label is found there."""
    text = _Text("有老鼠" + "长" * 1_000_000)
    kept = weakref.ref(text)
    assert known(text) == "rat"
    del text
    assert kept() is None
