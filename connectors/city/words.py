"""The tables the city draws from: complaints and what is said, labels of cameras, ways of checking and punishing."""

from typing import Final

# category -> (title, what happened)
COMPLAINTS: Final[dict[str, tuple[str, str]]] = {
    "service": ("服务态度问题", "服务态度差,反映后无人处理"),
    "price": ("价格争议", "结账价格与标价不符,要求退还差价"),
    "quality": ("商品质量问题", "购买的商品存在质量问题,商家拒绝退换"),
    "false-advertising": ("虚假宣传", "宣传内容与实际不符"),
    "prepaid-card": ("预付卡退款难", "办理预付卡后门店停业,无法退款"),
    "foreign-matter": ("食品有异物", "就餐时发现食物中有异物"),
    "hygiene": ("后厨卫生差", "后厨卫生环境差,餐具不洁"),
    "food-poisoning": ("疑似食物中毒", "就餐后出现呕吐、腹泻症状"),
    "odour": ("异味扰民", "夜间有刺鼻气味,无法开窗"),
    "sewage": ("污水排放", "污水直排河道,水体发黑"),
    "noise": ("噪声扰民", "夜间施工噪声影响休息"),
    "safety-hazard": ("安全隐患", "现场堆放危险物品,存在安全隐患"),
    "bad-driving": ("违规驾驶", "车辆超速并随意变道"),
    "illegal-practice": ("涉嫌非法行医", "诊疗人员无法出示执业证书"),
    "medical-fee": ("医疗收费争议", "收费项目与实际诊疗不符"),
    "forced-shopping": ("强迫购物", "导游强制安排购物,不购物不发车"),
    "ticketing": ("退票纠纷", "门票无法退改"),
    "wage-arrears": ("拖欠工资", "单位拖欠工资,多次催要未果"),
    "exit-blocked": ("消防通道堵塞", "消防通道被杂物占用"),
    "elevator": ("电梯故障", "电梯频繁停运,存在安全隐患"),
    "canteen": ("食堂饭菜质量", "食堂饭菜变质,学生反映腹痛"),
}
COMMON_COMPLAINTS: Final = {"service": 4.0, "price": 2.0, "false-advertising": 1.0}
COMPLAINTS_BY_SECTOR: Final[dict[str, dict[str, float]]] = {
    "market": {"price": 3, "quality": 3, "false-advertising": 2, "prepaid-card": 1, "service": 2},
    "quality": {"elevator": 3, "quality": 3, "service": 2},
    "food-drug": {"foreign-matter": 3, "hygiene": 3, "price": 2, "service": 3, "food-poisoning": 0.25},
    "ecology": {"odour": 2, "sewage": 2, "noise": 2},
    "work-safety": {"safety-hazard": 3, "noise": 1},
    "security-traffic": {"bad-driving": 3, "service": 3, "price": 1},
    "construction": {"noise": 4, "safety-hazard": 2, "wage-arrears": 0.5},
    "health": {"service": 4, "medical-fee": 3, "illegal-practice": 0.1},
    "medical-insurance": {"medical-fee": 4, "service": 3},
    "culture-tourism": {"ticketing": 4, "service": 3, "forced-shopping": 0.4},
    "key-enterprise": {"service": 3, "wage-arrears": 0.3},
    "fire": {"exit-blocked": 4, "safety-hazard": 2},
    "school-canteen": {"canteen": 3, "service": 2},
}
COMPLAINT_TYPES: Final = {"consult": 0.28, "help": 0.22, "complaint": 0.36, "report": 0.10, "suggestion": 0.04}
CHANNELS: Final = {"12345": 0.6, "app": 0.25, "letter": 0.05, "12315": 0.10}
URGENCY: Final = {"普通": 0.93, "紧急": 0.07}

RESULTS: Final = {"pass": 0.82, "fixed-on-site": 0.11, "fail": 0.055, "transferred": 0.015}
CHECK_TYPES: Final = {"daily": 0.55, "double-random": 0.25, "special": 0.15, "product-sampling": 0.05}
CHECK_FORMS: Final = {"现场检查": 0.85, "非现场检查": 0.15}
PENALTIES: Final = {"01": 0.28, "02": 0.52, "01,02": 0.14, "02,03": 0.05, "05": 0.01}
PENALTY_FACTS: Final = (
    "未按规定公示经营信息",
    "未落实进货查验制度",
    "未按规定开展安全培训",
    "超范围经营",
    "未按规定保存记录",
)

LABELS_BY_SECTOR: Final[dict[str, dict[str, float]]] = {
    "food-drug": {"no_hat": 4, "no_mask": 4, "smoking": 1, "trash_open": 3, "floor_water": 3, "motion": 5, "rat": 0.1},
    "school-canteen": {"no_hat": 4, "no_mask": 3, "trash_open": 3, "floor_water": 3, "motion": 5, "rat": 0.1},
    "fire": {"exit_blocked": 1, "motion": 6, "smoke": 0.1, "camera_blurred": 1},
    "culture-tourism": {"motion": 6, "smoking": 2, "minor": 0.4, "camera_blurred": 1},
    "construction": {"no_helmet": 4, "motion": 6, "camera_blurred": 1},
}
OPINION_CHANNELS: Final = {"review": 0.5, "forum": 0.2, "site": 0.1, "third-party": 0.2}
OPINIONS: Final = (
    (0.8, "服务很好,下次还来"),
    (0.4, "总体不错,排队时间稍长"),
    (0.0, "一般,没有特别之处"),
    (-0.4, "体验一般,希望改进"),
    (-0.8, "非常失望,存在严重问题,希望有关部门关注"),
)
