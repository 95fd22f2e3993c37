"""Codes with their Chinese and English names: sectors, departments, severities. Codes are ASCII and never change.

Sources: the 13 key sectors of the source documents (`mission`), departments of the State Council's local counterparts.

>>> SECTORS["food-drug"].zh
'食品药品'
>>> SEVERITIES["red"].rank > SEVERITIES["blue"].rank
True
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a code list: ASCII code, Chinese name, English name, rank (higher is graver; 0 where none)."""

    code: str
    zh: str
    en: str
    rank: int = 0


def _table(*rows: Code) -> dict[str, Code]:
    return {row.code: row for row in rows}


SECTORS = _table(
    Code("market", "市场经营", "market operation"),
    Code("quality", "质量技术", "quality and technology"),
    Code("food-drug", "食品药品", "food and drugs"),
    Code("ecology", "生态环境", "ecology and environment"),
    Code("work-safety", "安全生产", "work safety"),
    Code("security-traffic", "治安交通", "public security and traffic"),
    Code("construction", "工程建设", "construction"),
    Code("health", "卫生健康", "health"),
    Code("medical-insurance", "医疗保障", "medical insurance"),
    Code("culture-tourism", "文化旅游", "culture and tourism"),
    Code("key-enterprise", "重点企业", "key enterprises"),
    Code("fire", "消防", "fire protection"),
    Code("school-canteen", "学校食堂", "school canteens"),
)

DEPARTMENTS = _table(
    Code("market-supervision", "市场监管", "market supervision"),
    Code("drug-supervision", "药品监管", "drug supervision"),
    Code("ecology-environment", "生态环境", "ecology and environment"),
    Code("emergency-management", "应急管理", "emergency management"),
    Code("public-security", "公安", "public security"),
    Code("transport", "交通运输", "transport"),
    Code("housing-construction", "住房城乡建设", "housing and construction"),
    Code("health-commission", "卫生健康", "health commission"),
    Code("medical-insurance", "医疗保障", "medical insurance"),
    Code("culture-tourism", "文化和旅游", "culture and tourism"),
    Code("fire-rescue", "消防救援", "fire and rescue"),
    Code("education", "教育", "education"),
    Code("urban-management", "城市管理", "urban management"),
    Code("coordinator", "监管协调中心", "supervision coordination centre"),
)

SEVERITIES = _table(
    Code("blue", "蓝", "blue", 1),
    Code("yellow", "黄", "yellow", 2),
    Code("orange", "橙", "orange", 3),
    Code("red", "红", "red", 4),
)

FEEDBACKS = _table(
    Code("confirmed", "属实", "confirmed"),
    Code("false-alarm", "误报", "false alarm"),
    Code("unclear", "待查", "unclear"),
)

SUBJECT_SCHEMES = ("uscc", "licence", "site", "person", "device", "vehicle")
