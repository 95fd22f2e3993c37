"""What the analyses of cameras call their findings -> the labels that rules know.

A device's own table (`labels` of its register entry) wins over this one. Names are looked up whole, then inside longer texts
(3号灶台未戴厨师帽告警), the longest first; a text that says that nothing was found is no finding.

>>> label_of(["604", "3号灶台 未戴厨师帽 告警"]), label_of(["未发现老鼠"]), label_of(["604"], {"604": "no_mask"})
('no_hat', None, 'no_mask')
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

_LABELS: Final[dict[str, str]] = {
    "no_hat": "未戴厨师帽|未佩戴厨师帽|没戴厨师帽|无厨师帽|未戴工作帽|未戴帽|未戴帽子"
    "|no hat|without hat|no chef hat",
    "no_mask": "未戴口罩|未佩戴口罩|没戴口罩|无口罩|口罩未佩戴"
    "|no mask|without mask|no face mask",
    "no_gloves": "未戴手套|未佩戴手套|无手套"
    "|no gloves|no glove|without gloves",
    "no_uniform": "未穿工作服|未穿厨师服|未着工装|未穿工装|无工作服"
    "|no uniform|no work clothes|without uniform",
    "no_helmet": "未戴安全帽|未佩戴安全帽|无安全帽"
    "|no helmet|no hard hat|without helmet",
    "smoking": "抽烟|吸烟"
    "|smoking|smoke cigarette",
    "phone_use": "打电话|玩手机|接打电话|使用手机|看手机"
    "|phone|phone use|calling|phoning|playing phone",
    "floor_water": "地面积水|地面有积水|地面湿滑"
    "|floor water|water on floor|wet floor",
    "trash_open": "垃圾桶未盖|垃圾桶未加盖|垃圾桶开盖|垃圾桶未关闭"
    "|bin open|trash open|trash uncovered|uncovered bin|bin uncovered",
    "misplaced": "违规置物|违规放置|物品违规摆放"
    "|misplaced|misplaced objects|improper storage",
    "rat": "老鼠|有老鼠|鼠患|鼠类"
    "|rat|mouse|rodent|rats|mice",
    "cockroach": "蟑螂|有蟑螂"
    "|cockroach|roach",
    "camera_blocked": "视频遮挡|镜头遮挡|画面遮挡|摄像头遮挡|遮挡告警"
    "|camera blocked|video blocked|occlusion|video tampering",
    "camera_shifted": "视频不正|视频模糊|画面模糊|镜头偏移|场景变更"
    "|camera shifted|video blurred|defocus|scene change",
    "motion": "移动检测|移动侦测"
    "|motion|motion detection",
    "fire": "明火|烟火|火焰|火灾|起火"
    "|fire|flame|open fire",
    "smoke": "烟雾|冒烟|浓烟"
    "|smoke|smoke detection",
    "intrusion": "人员闯入|区域入侵|人员入侵|入侵|闯入|周界入侵|越界"
    "|intrusion|trespass|line crossing|region entrance",
    "exit_blocked": "消防通道占用|消防通道堵塞|占用消防通道|通道占用|安全出口堵塞|疏散通道堵塞"
    "|exit blocked|fire lane occupied",
    "exit_locked": "安全出口锁闭|安全出口上锁|疏散门上锁"
    "|exit locked",
    "minor": "未成年人|疑似未成年人"
    "|minor|underage",
    "absence": "离岗|人员离岗|脱岗"
    "|absence|leave post|off duty",
    "crowd": "人员聚集|人群聚集"
    "|crowd|gathering",
    "fall": "人员摔倒|人员跌倒|跌倒|摔倒"
    "|fall|fall down",
    "fight": "打架|打架斗殴"
    "|fight|fighting",
}  # fmt: skip
_SHORTEST: Final = 2  # characters of a name that is looked for inside a text
# Texts that name a finding and mean something else: none was found, it is over, or a thing is named after it.
_DENIED: Final = re.compile(
    r"未发现|未见|未检测到|没有|不存在|解除|消除|恢复|无异常|正常|故障|离线|缺失|缺少|标识|标志|测试"
)
_AROUND: Final = frozenset(("alarm", "alert", "event", "detected", "detection", "warning", "found", "ai"))
_BETWEEN: Final = re.compile(r"[\s_\-/·:：,，。.]+")
_ASCII: Final = re.compile(r"[\x00-\x7f]+")
_LONGEST_TEXT: Final = 500


def _plain(text: str) -> str:
    return _BETWEEN.sub(" ", text.casefold()).strip()


NAMES: Final[dict[str, str]] = {
    _plain(name): label for label, names in _LABELS.items() for name in (label, *names.split("|"))
}
_INSIDE: Final = sorted(
    (name for name in NAMES if not _ASCII.fullmatch(name) and len(name) >= _SHORTEST),
    key=lambda name: (-len(name), name),
)


def label_of(texts: Iterable[str], own: Mapping[str, str] | None = None) -> str | None:
    """The label of the first text that names a finding: by the device's own table first, whatever text it is in."""
    given = [text for text in texts if text]
    for text in given if own else ():
        if own is not None and text in own:
            return own[text]
    return next((label for label in map(known, given) if label is not None), None)


def known(text: str) -> str | None:
    """The label of a text by the common names.

    >>> known("NO_MASK"), known("Alarm: rat detected"), known("蒸汽"), known("未佩戴口罩"), known("烟雾探测器故障")
    ('no_mask', 'rat', None, 'no_mask', None)
    """
    return _known(text[:_LONGEST_TEXT])  # cut before it is remembered: a device may send a megabyte


@lru_cache(10_000)
def _known(text: str) -> str | None:
    plain = _plain(text)
    bare = " ".join(word for word in plain.split() if word not in _AROUND)  # not inside English: fire extinguisher
    if bare in NAMES:
        return NAMES[bare]
    if _DENIED.search(plain):
        return None
    tight = plain.replace(" ", "")
    inside = next((name for name in _INSIDE if name in tight), None)
    return NAMES[inside] if inside is not None else None
