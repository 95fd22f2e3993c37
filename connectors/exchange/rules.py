"""The dirty-data rules of batch exchange: each has a name, both texts, its source and what follows from it.

`mend`: cleaned and counted. `warn`: kept, counted, listed in the report. `refuse`: a dead letter with a named reason of
`topics/reasons.py`, listed. `skip`: nothing is sent, counted and listed.

>>> RULES["fine-contradicts"].zh
'处罚内容与罚款金额不一致'
>>> RULES["bad-uscc"].consequence
'refuse'
"""

from dataclasses import dataclass
from typing import Final, Literal

from topics.reasons import REASONS

Consequence = Literal["mend", "warn", "refuse", "skip"]
OURS: Final = "本项目 ours"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule: Chinese and English text, where it comes from, its consequence."""

    code: str
    zh: str
    en: str
    source: str
    consequence: Consequence


def _reason(code: str, source: str, consequence: Consequence = "refuse") -> Rule:
    reason = REASONS[code]
    return Rule(code, reason.zh, reason.en, source, consequence)


_ALL: Final = (
    Rule(
        "empty-word",
        "“undefined”“null”“无”等视为空",
        "“undefined”, “null”, 无 and the like are empty",
        "1.4 [S]，仅 only undefined",
        "mend",
    ),
    Rule("full-width", "全角字符转为半角", "full-width characters become half-width", OURS, "mend"),
    Rule("code-blank", "证件号码中的空格去除", "blanks within a code are taken out", OURS, "mend"),
    Rule(
        "code-prefix",
        "去除“统一社会信用代码：”等前缀",
        "a printed prefix before a code is taken off",
        "1.4 [S]",
        "mend",
    ),
    Rule("code-suffix", "去除“(1/1)”后缀", "the suffix “(1/1)” is taken off", "1.4 [S]", "mend"),
    Rule("code-case", "证件号码小写转大写", "lower case in a code becomes upper case", "1.4 [S]", "mend"),
    Rule("person-id-15", "15 位身份证号升为 18 位", "a person id of 15 digits becomes one of 18", "GB 11643", "mend"),
    Rule("date-form", "日期统一格式", "a date in another form (slashes, 8 digits, 年月日, Excel serial)", OURS, "mend"),
    Rule(
        "number-form",
        "金额去除千分位、货币符号",
        "separators and currency signs are taken out of an amount",
        OURS,
        "mend",
    ),
    Rule("ten-thousand", "金额由万元折算为元", "an amount in 万元 becomes yuan", "1.4 [S]", "mend"),
    Rule(
        "text-masked",
        "正文中的身份证号、手机号已遮盖",
        "person ids and mobile numbers within texts are masked",
        OURS,
        "mend",
    ),
    Rule(
        "missing-required",
        "缺少应填字段",
        "a field that the exchange asks for is empty",
        "1.1 1.2 [S], 1.4 [M]",
        "warn",
    ),
    Rule("missing-fine", "种类含罚款而未填罚款金额", "a fine without its amount", "1.4 [M]", "warn"),
    Rule("missing-confiscated", "种类含没收而未填没收金额", "a confiscation without its amount", "1.4 [M]", "warn"),
    Rule(
        "missing-licence",
        "种类含暂扣或吊销而未填证照名称",
        "a suspension or revocation without its licence",
        "1.4 [M]",
        "warn",
    ),
    Rule("missing-id-type", "自然人未填证件类型", "a natural person without the type of the id", "1.4 [M]", "warn"),
    Rule(
        "fine-contradicts",
        "处罚内容与罚款金额不一致",
        "the text says another fine than CF_NR_FK*10000",
        "1.4 [S]",
        "warn",
    ),
    Rule(
        "fine-in-yuan",
        "罚款金额疑以元填报，按处罚内容取值",
        "the fine was given in yuan, as the text shows; the text's is taken",
        OURS,
        "warn",
    ),
    Rule("bad-amount", "金额无法识别，按空处理", "an amount is no number of at least 0; left empty", OURS, "warn"),
    Rule("bad-date", "日期无法识别，按空处理", "a date that does not read; left empty", OURS, "warn"),
    Rule(
        "unknown-penalty", "处罚种类无法识别，按其他处理", "no known type of penalty; taken as 07 (other)", OURS, "warn"
    ),
    Rule(
        "unknown-complaint", "诉求类型无法识别，按原文保留", "no known type of complaint; kept as it is", OURS, "warn"
    ),
    Rule(
        "unknown-operation",
        "操作标识不是 i、u、d，按新增处理",
        "cd_operation is not i, u or d; taken as i",
        "1.1",
        "warn",
    ),
    Rule(
        "update-untimed",
        "更新记录未填 cd_time",
        "an update without cd_time: several cannot be told apart",
        OURS,
        "warn",
    ),
    Rule(
        "person-check", "身份证号校验不通过", "a person id fails GB 11643; the subject is still its token", OURS, "warn"
    ),
    Rule(
        "item-code",
        "监管事项编码不是 14 位数字，按空处理",
        "an item code is not 14 digits; left empty",
        "1.1 1.2 [S]",
        "warn",
    ),
    Rule(
        "item-list-code",
        "检查实施清单编码有误（前 18 位为信用代码，第 19 位为 1 至 5）",
        "not a credit code and a level 1 to 5",
        "1.1 [S]",
        "warn",
    ),
    Rule("bad-area", "行政区划代码有误，按空处理", "the area code is not of GB/T 2260; left empty", "1.1", "warn"),
    Rule("few-officers", "检查人员少于 2 人", "fewer than two officers", "1.9", "warn"),
    Rule("submitted-early", "报送时间不晚于检查时间", "submitted not after the inspection", "1.1 [S]", "warn"),
    Rule("closed-early", "结案日期不晚于立案时间", "closed not after it was filed", "1.2 [S]", "warn"),
    Rule("submitted-unclosed", "报送时间不晚于结案日期", "submitted not after the case was closed", "1.2 [S]", "warn"),
    Rule(
        "ticket-order",
        "派单、签收、办结时间先后有误",
        "sent, signed or finished before what comes before it",
        OURS,
        "warn",
    ),
    Rule(
        "subject-licence",
        "无统一社会信用代码，以其他证号为对象",
        "no credit code: another code is the subject",
        OURS,
        "warn",
    ),
    Rule("subject-name", "无证号，以区划和名称为对象", "no code: area and name are the subject", OURS, "warn"),
    _reason("missing-field", "1.1 1.2 1.4 1.6"),
    _reason("no-subject", OURS),
    _reason("bad-time", OURS),
    _reason("bad-person-id", OURS),
    _reason("bad-mapping", OURS),
    _reason("bad-utf8", OURS),
    _reason("bad-json", OURS),
    _reason("bad-uscc", "1.1 1.4 [S]"),
    _reason("bad-subject", OURS),
    _reason("unknown-sector", OURS),
    _reason("time-too-old", OURS),
    _reason("time-in-future", OURS),
    _reason("not-finite", OURS),
    _reason("too-large", OURS),
    _reason("duplicate-record", "1.4 [S]"),
    _reason("deleted-at-source", "1.1 1.4 [S]", "skip"),
)

RULES: Final[dict[str, Rule]] = {rule.code: rule for rule in _ALL}


def table() -> str:
    """The rules as a table in Markdown."""
    words = {"mend": "修正 mend", "warn": "提示 warn", "refuse": "拒绝 refuse", "skip": "跳过 skip"}
    lines = ["| 规则 rule | 含义 | meaning | 依据 source | 处置 |", "|---|---|---|---|---|"]
    lines += [f"| `{r.code}` | {r.zh} | {r.en} | {r.source} | {words[r.consequence]} |" for r in RULES.values()]
    return "\n".join(lines) + "\n"
