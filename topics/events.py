"""The kinds of event and their fields. A new kind is one entry here: schema, topic, columns, docs and checks follow.

Field names follow the exchanged records where one exists (domain 1.1 to 1.6). One name has one type in every kind, so that a
rule may read it across kinds. Times are milliseconds since 1970 UTC.

>>> KINDS["iot"].schema.columns["value"]
Float64
>>> [k for k in KINDS if KINDS[k].zh == "投诉举报"]
['complaint']
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from topics.fields import Field, Schema

ENVELOPE: tuple[Field, ...] = (
    Field("event_id", "string", "事件编号", "unique per subject; repeats within 24 h are dropped", required=True),
    Field("kind", "string", "事件种类", "code of the kind", required=True),
    Field("sector", "string", "重点领域", "code of the key sector", required=True),
    Field("subject", "string", "监管对象", "scheme:id, for example uscc:91350100M000100Y43", required=True),
    Field("subject_name", "string", "监管对象名称"),
    Field("region", "string", "行政区划代码", "GB/T 2260, six digits"),
    Field("occurred_at", "long", "发生时间", "ms UTC, when it happened", required=True),
    Field("observed_at", "long", "采集时间", "ms UTC, when the source saw it", required=True),
    Field("source", "string", "来源", "gateway or system", required=True),
    Field("item_code", "string", "监管事项编码", "14 digits of the item catalogue"),
    Field(
        "person",
        "string",
        "责任人标识",
        "person:id of the legal representative or party; masked outside its department",
    ),
    Field("chain", "string", "连锁或集团标识", "chain:id"),
)

_PARTY = (
    Field("party_name", "string", "行政相对人名称", "administrative_cp"),
    Field("party_type", "string", "行政相对人性质", "administrative_cp_na"),
    Field("party_id_type", "string", "行政相对人证件类型", "administrative_cp_ce_type"),
    Field("party_id", "string", "行政相对人编码", "administrative_cp_ui_code"),
)
_OFFICE = (
    Field("institution", "string", "实施机构"),
    Field("institution_code", "string", "实施机构编码"),
    Field("entrusted", "string", "受委托部门"),
    Field("address", "string", "经营地址"),
    Field("submitted_at", "long", "报送时间", "ms UTC, later than the act itself"),
)

_INSPECTION = (
    Field(
        "result",
        "string",
        "检查结果",
        "pass, fail, fixed-on-site, transferred, or the reporter's own text",
        required=True,
    ),
    Field("action_name", "string", "检查行为名称", "check_action_name"),
    Field("action_code", "string", "检查行为编号", "check_action_code"),
    Field("item_list_code", "string", "检查实施清单编码", "supervise_item_check_icode"),
    *_PARTY,
    Field("check_form", "string", "检查形式"),
    Field("check_type", "string", "检查类别"),
    Field("check_mode", "string", "检查方式"),
    Field("plan_id", "string", "双随机一公开计划编号"),
    Field("officers", "string", "检查人员", "names, comma separated; at least two by law"),
    Field("officer_codes", "string", "执法证号", "comma separated"),
    Field("violations", "long", "问题数", "violations found on this visit"),
    Field("critical_violations", "long", "严重问题数"),
    Field("text", "string", "情况说明"),
    *_OFFICE,
)

_PENALTY = (
    Field("penalty_type", "string", "处罚种类", "01 警告 02 罚款 … (domain 1.4), comma separated", required=True),
    Field("action_name", "string", "处罚行为名称"),
    Field("action_code", "string", "处罚行为编号"),
    Field("case_source", "string", "案件来源"),
    Field("check_code", "string", "检查行为编号", "the inspection it follows from"),
    *_PARTY,
    Field("facts", "string", "违法事实"),
    Field("basis", "string", "处罚依据"),
    Field("procedure", "string", "处罚程序", "01 简易 02 一般"),
    Field("hearing", "boolean", "是否听证"),
    Field("criminal", "boolean", "是否涉刑案件"),
    Field("major", "boolean", "是否重大案件"),
    Field("document_no", "string", "处罚文书号"),
    Field("decided_at", "long", "处罚决定日期", "ms UTC"),
    Field("fine", "double", "罚款金额", "yuan (exchanged records give 万元)"),
    Field("confiscated", "double", "没收金额", "yuan"),
    Field("result", "string", "处罚结果"),
    Field("filed_at", "long", "立案时间", "ms UTC, before closed_at"),
    Field("closed_at", "long", "结案日期", "ms UTC, before submitted_at"),
    *_OFFICE,
)

_COMPLAINT = (
    Field("complaint_type", "string", "诉求类型", "consult, help, complaint, report, suggestion", required=True),
    Field("channel", "string", "来源渠道", "12345, app, letter …"),
    Field("title", "string", "诉求标题"),
    Field("text", "string", "诉求内容"),
    Field("category", "string", "问题类别", "what it is about, as the hotline classifies it"),
    Field("urgency", "string", "紧急程度"),
    Field("ticket_no", "string", "工单编号"),
    Field("complainant", "string", "诉求人", "masked"),
    Field("accepted_at", "long", "受理时间", "ms UTC"),
    Field("handler", "string", "承办单位"),
    Field("repeat_of", "string", "重复诉求单号"),
)

_IOT = (
    Field("device_id", "string", "设备编号", required=True),
    Field("metric", "string", "监测指标", "standard name, for example cold_store_temp", required=True),
    Field("value", "double", "测量值", required=True),
    Field("unit", "string", "单位"),
    Field("flag", "string", "数据标记", "N normal, M maintenance, C calibration, D fault … (HJ 212)"),
)

_VIDEO = (
    Field("device_id", "string", "摄像机编号", required=True),
    Field("label", "string", "识别结果", "rat, no_mask, no_hat, smoking, fire, smoke …", required=True),
    Field("confidence", "double", "置信度", "0 to 1"),
    Field("picture", "string", "图片地址"),
    Field("sha256", "string", "图片摘要", "hex; evidence fixed at the source"),
)

_OPINION = (
    Field("channel", "string", "渠道", "site, forum, review, third-party", required=True),
    Field("text", "string", "内容", required=True),
    Field("url", "string", "网址"),
    Field("category", "string", "问题类别"),
    Field("sentiment", "double", "情感倾向", "-1 to 1"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event: code, names, schema. Its topic is `events.<code>`."""

    code: str
    zh: str
    en: str
    schema: Schema

    @property
    def topic(self) -> str:
        """Topic name without prefix."""
        return f"events.{self.code}"


def _kind(number: int, code: str, zh: str, en: str, own: tuple[Field, ...]) -> Kind:
    return Kind(code, zh, en, Schema(code.title().replace("-", ""), number, f"{zh} {en}", ENVELOPE + own))


# Cause before effect, where two records arrived in the same moment: people tell, then someone comes, then someone pays.
ORDER: Final = ("opinion", "complaint", "iot", "video", "inspection", "penalty")

KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        _kind(1, "inspection", "行政检查", "inspection", _INSPECTION),
        _kind(2, "penalty", "行政处罚", "penalty", _PENALTY),
        _kind(3, "complaint", "投诉举报", "complaint", _COMPLAINT),
        _kind(4, "iot", "物联感知", "sensor reading", _IOT),
        _kind(5, "video", "视频识别", "camera event", _VIDEO),
        _kind(6, "opinion", "互联网及第三方", "internet and third parties", _OPINION),
    )
}

EVENT_TOPICS: tuple[str, ...] = tuple(kind.topic for kind in KINDS.values())


def all_columns() -> dict[str, type[pl.DataType]]:
    """Every column that any kind has -> type. Raises ValueError when two kinds disagree on a type."""
    columns: dict[str, type[pl.DataType]] = {}
    for kind in KINDS.values():
        for name, dtype in kind.schema.columns.items():
            if columns.setdefault(name, dtype) is not dtype:
                raise ValueError(f"{name} has two types")
    return columns
