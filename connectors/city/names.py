"""Words for the city's names: invented prefectures and counties, trades by sector, given names. No real place or firm.

>>> county_names(3)
['东陵区', '东溪县', '东塬区']
"""

from typing import Final


def _words(text: str) -> list[str]:
    return text.split()


# Gansu (62), where the beacon towers stand, has no prefectures 40 to 69: the city's own are invented there.
PROVINCE: Final = "62"
FIRST_PREFECTURE: Final = 40
PREFECTURES: Final = _words(
    "烽州市 燧阳市 望台市 临燧市 云渠市 朔泉市 金柝市 白垣市 青塬市 玉垒市 沙洲市 碧渡市 长戍市 靖远台市 安堠市 凤墩市"
)
COUNTIES_PER_PREFECTURE: Final = 10
_COUNTY_FIRST: Final = "东西南北云白青玉金朔安靖长平清"
_COUNTY_SECOND: Final = "陵溪塬渡台泉垣川岭浦湾"

BRANDS: Final = _words(
    "润泽 恒丰 瑞祥 鼎盛 华茂 嘉和 永兴 天成 福源 广济 同信 明远 德隆 聚贤 金穗 绿洲 星海 长青 宏图 佳美 "
    "万顺 正源 泰和 景明 盛世 祥云 中联 新程 启航 博雅 康宁 安泰 锦程 海纳 汇通 百川 和顺 千禾 一品 稻香"
)
SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
GIVEN: Final = _words(
    "伟 芳 娜 敏 静 强 磊 洋 艳 勇 军 杰 娟 涛 明 超 霞 平 刚 桂英 建国 志强 晓东 丽华 文博 思远 子涵 雨桐 海燕 国庆"
)
STREETS: Final = _words("人民路 建设路 解放路 中山路 胜利街 文化街 工业大道 烽台路 渠岸路 迎宾大道 学府路 创新一路")

# What a sector's subjects are called after the brand.
TRADES: Final[dict[str, tuple[str, ...]]] = {
    "market": ("百货超市", "健身服务有限公司", "商贸有限公司", "美容美发店", "教育咨询有限公司", "建材经营部"),
    "quality": ("电梯维保有限公司", "物业服务有限公司", "锅炉设备有限公司", "电器制造有限公司"),
    "food-drug": ("餐饮管理有限公司", "食品有限公司", "大药房连锁店", "冷链物流有限公司", "火锅店", "面馆"),
    "ecology": ("污水处理有限公司", "热电有限公司", "环保能源有限公司", "印染有限公司"),
    "work-safety": ("化工有限公司", "气体有限公司", "粮食储备库", "冶金有限公司"),
    "security-traffic": ("客运有限公司", "物流运输有限公司", "危险品运输有限公司"),
    "construction": ("建筑工程有限公司", "市政工程有限公司", "房地产开发有限公司"),
    "health": ("综合门诊部", "社区卫生服务中心", "口腔诊所", "医院"),
    "medical-insurance": ("定点零售药店", "中医医院", "康复医院"),
    "culture-tourism": ("旅行社有限公司", "景区管理有限公司", "网络会所", "文化传媒有限公司"),
    "key-enterprise": ("集团股份有限公司", "装备制造有限公司", "新材料有限公司"),
    "fire": ("商业广场", "仓储有限公司", "大酒店", "养老服务中心"),
    "school-canteen": ("实验小学食堂", "中学食堂", "职业技术学院食堂", "幼儿园食堂"),
}
# Share of a sector among the city's subjects: mostly market entities, the regulated trades over-represented.
SHARES: Final[dict[str, float]] = {
    "market": 0.25,
    "quality": 0.08,
    "food-drug": 0.20,
    "ecology": 0.06,
    "work-safety": 0.07,
    "security-traffic": 0.06,
    "construction": 0.06,
    "health": 0.06,
    "medical-insurance": 0.03,
    "culture-tourism": 0.04,
    "key-enterprise": 0.03,
    "fire": 0.04,
    "school-canteen": 0.02,
}
SECTOR_DEPARTMENT: Final[dict[str, str]] = {
    "market": "market-supervision",
    "quality": "market-supervision",
    "food-drug": "market-supervision",
    "ecology": "ecology-environment",
    "work-safety": "emergency-management",
    "security-traffic": "transport",
    "construction": "housing-construction",
    "health": "health-commission",
    "medical-insurance": "medical-insurance",
    "culture-tourism": "culture-tourism",
    "key-enterprise": "coordinator",
    "fire": "fire-rescue",
    "school-canteen": "education",
}


def county_names(count: int) -> list[str]:
    """`count` (at most 160) different county and district names, in a fixed order."""
    names = [a + b for a in _COUNTY_FIRST for b in _COUNTY_SECOND]
    return [name + ("区" if i % 2 == 0 else "县") for i, name in enumerate(names[:count])]
