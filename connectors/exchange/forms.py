"""The forms of batch exchange: which columns a table has, under which headings, what they hold, and which must be filled.

>>> heading("罚款金额（万元）*"), FORMS["penalty"].match(["处罚机关", "CF_WSH", "备忘"])
('罚款金额', ({'CF_WSH': 'CF_WSH', '处罚机关': 'CF_CFJG'}, ['备忘']))
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

Holds = Literal["text", "code", "number", "date", "amount", "word"]
_BRACKETS: Final = re.compile(r"\([^()]*\)$")


class FormError(ValueError):
    """The table's headings do not fit the form; one line that says why."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its code, other headings, what it holds (`code`: identifier of a party; `number`: of a document; `word`: an
    entry of a list), whether the exchange asks for it, whether it is personal data."""

    code: str
    names: tuple[str, ...]
    holds: Holds = "text"
    asked: bool = False
    personal: bool = False

    @property
    def zh(self) -> str:
        """What people call it."""
        return self.names[0]


@dataclass(frozen=True)
class Form:
    """A kind of table: code, names, the kind of event that it becomes, columns; `needed`: those without which no row makes sense;
    `keys`: those that identify a row (the order in which a database is read); `persons`: where persons' ids stand (id, its type,
    whether an untyped one is a person's)."""

    code: str
    zh: str
    en: str
    kind: str
    columns: tuple[Column, ...]
    needed: tuple[str, ...]
    keys: tuple[str, ...]
    persons: tuple[tuple[str, str, bool], ...] = ()

    @cached_property
    def by_code(self) -> dict[str, Column]:
        """Column by its code."""
        return {column.code: column for column in self.columns}

    @cached_property
    def _headings(self) -> dict[str, str]:
        return {heading(name): c.code for c in reversed(self.columns) for name in (*reversed(c.names), c.code)}

    def column_of(self, name: str) -> str | None:
        """The column that a heading means."""
        whole = heading(name, brackets=True)
        return self._headings.get(whole) or self._headings.get(heading(name))

    def match(self, names: list[str]) -> tuple[dict[str, str], list[str]]:
        """Headings -> (heading: column code), and the headings that mean nothing here. Several may mean one column: the one that
        it names first comes first."""
        found = {name: code for name in names if (code := self.column_of(name)) is not None}
        ranked = sorted(found, key=lambda name: self._rank(name, found[name]))
        return {name: found[name] for name in ranked}, [name for name in names if name not in found]

    def _rank(self, name: str, code: str) -> int:
        known = [heading(one, brackets=True) for one in (code, *self.by_code[code].names)]
        plain = [one for one in (heading(name, brackets=True), heading(name)) if one in known]
        return known.index(plain[0]) if plain else len(known)

    def require(self, found: dict[str, str]) -> None:
        """Raises FormError when a column is not there without which no row makes sense."""
        absent = [self.by_code[code] for code in self.needed if code not in found.values()]
        if absent:
            names = "、".join(f"{column.zh}({column.code})" for column in absent)
            raise FormError(f"缺少必需的列 columns that must be there are not: {names}")


def heading(name: str, *, brackets: bool = False) -> str:
    """A heading without width, case, blanks, stars, and what stands in brackets at its end."""
    plain = re.sub(r"[\s*﻿]+", "", unicodedata.normalize("NFKC", name)).lower()
    return plain if brackets else _BRACKETS.sub("", plain) or plain


_TRANSPORT: Final = (
    Column("cd_id", ("交换编号",), "number"),
    Column("cd_time", ("交换时间",), "date"),
    Column("cd_source", ("交换来源",), "word"),
    Column("cd_batch", ("交换批次号",), "number"),
    Column("cd_operation", ("操作标识", "操作类型"), "word"),
    Column("sector", ("重点领域", "领域"), "word"),
)

_INSPECTION: Final = (
    Column("record_unique_identity", ("记录唯一标识",), "number"),
    Column("plan_id", ("双随机一公开计划id", "双随机一公开计划编号"), "number"),
    Column("supervise_item_implement_code", ("监管事项目录编码",), "number", asked=True),
    Column("supervise_item_check_icode", ("监管事项检查实施清单编码", "检查实施清单编码"), "code", asked=True),
    Column("check_action_name", ("检查行为名称",), asked=True),
    Column("check_action_code", ("检查行为编号",), "number"),
    Column("implement_institution", ("实施机构", "实施机构名称")),
    Column("implement_institution_code", ("实施机构编码",), "code"),
    Column("entrust_dept", ("受委托部门",)),
    Column("supervise_object", ("监管对象", "监管对象名称"), asked=True),
    Column("administrative_cp", ("行政相对人名称",), asked=True),
    Column("administrative_cp_na", ("行政相对人性质",), "word", asked=True),
    Column("administrative_cp_ce_type", ("行政相对人证件类型",), "word", asked=True),
    Column("administrative_cp_ui_code", ("行政相对人编码", "行政相对人证件号码", "统一社会信用代码"), "code"),
    Column("address_registered", ("注册地址",)),
    Column("address_operating", ("经营地址",)),
    Column("area_number", ("行政区划代码",), "number", asked=True),
    Column("check_form", ("检查形式",), "word", asked=True),
    Column("check_type", ("检查类别",), "word", asked=True),
    Column("check_mode", ("检查方式",), "word"),
    Column("check_result", ("检查结果",)),
    Column("check_date", ("检查时间", "检查日期"), "date"),
    Column("check_personnel", ("检查人员",), asked=True, personal=True),
    Column("check_personnel_code", ("执法证号", "检查人员执法证号"), personal=True),
    Column("submitted_date", ("报送时间",), "date"),
    *_TRANSPORT,
)

_PENALTY: Final = (
    Column("CF_XDR_MC", ("行政相对人名称",), asked=True),
    Column("CF_XDR_LB", ("行政相对人类别",), "word", asked=True),
    Column("CF_XDR_SHXYM", ("行政相对人代码_1", "统一社会信用代码", "行政相对人统一社会信用代码"), "code"),
    Column("CF_XDR_GSZC", ("行政相对人代码_2", "工商登记码", "工商注册号"), "code"),
    Column("CF_XDR_ZZJG", ("行政相对人代码_3", "组织机构代码"), "code"),
    Column("CF_XDR_SWDJ", ("行政相对人代码_4", "税务登记号"), "code"),
    Column("CF_XDR_SYDW", ("行政相对人代码_5", "事业单位证书号"), "code"),
    Column("CF_XDR_SHZZ", ("行政相对人代码_6", "社会组织登记证号"), "code"),
    Column("CF_FRDB", ("法定代表人", "法定代表人姓名"), asked=True, personal=True),
    Column("CF_FR_ZJLX", ("法定代表人证件类型", "法人证件类型"), "word"),
    Column("CF_FR_ZJHM", ("法定代表人证件号码", "法人证件号码"), "code"),
    Column("CF_XDR_ZJLX", ("证件类型", "自然人证件类型", "行政相对人证件类型"), "word"),
    Column("CF_XDR_ZJHM", ("证件号码", "自然人证件号码", "行政相对人编码", "行政相对人证件号码"), "code"),
    Column("CF_WSH", ("行政处罚决定书文号", "处罚文书号", "处罚决定书文号", "决定书文号"), "number"),
    Column("CF_WFXW", ("违法行为类型", "处罚行为名称"), asked=True),
    Column("CF_SY", ("违法事实",), asked=True),
    Column("CF_YJ", ("处罚依据", "行政处罚依据"), asked=True),
    Column("CF_CFLB", ("处罚类别", "处罚种类"), "word"),
    Column("CF_NR", ("处罚内容", "处罚结果"), asked=True),
    Column("CF_NR_FK", ("罚款金额(万元)", "罚款金额"), "amount"),
    Column("CF_NR_WFFF", ("没收违法所得、没收非法财物的金额(万元)", "没收金额(万元)", "没收金额"), "amount"),
    Column("CF_NR_ZKDX", ("暂扣或吊销证照名称及编号", "暂扣或吊销证照")),
    Column("CF_JDRQ", ("处罚决定日期", "作出行政处罚决定日期", "决定日期"), "date"),
    Column("CF_YXQ", ("处罚有效期",), "date"),
    Column("CF_GSJZQ", ("公示截止期",), "date", asked=True),
    Column("CF_CFJG", ("处罚机关", "实施机构"), asked=True),
    Column("CF_CFJGDM", ("处罚机关统一社会信用代码", "处罚机关代码", "实施机构编码"), "code", asked=True),
    Column("CF_SJLY", ("数据来源单位",), asked=True),
    Column("CF_SJLYDM", ("数据来源单位统一社会信用代码", "数据来源单位代码"), "code", asked=True),
    Column("BZ", ("备注",)),
    # Fields of 1.2 that the same systems export beside them.
    Column("supervise_item_code", ("监管事项目录编码", "supervise_item_implement_code"), "number"),
    Column("check_action_code", ("检查行为编号",), "number"),
    Column("case_source", ("案件来源",), "word"),
    Column("area_number", ("行政区划代码",), "number"),
    Column("filed_date", ("处罚立案时间", "立案时间", "立案日期"), "date"),
    Column("closed_date", ("结案日期", "结案时间"), "date"),
    Column("submitted_date", ("报送时间",), "date"),
    *_TRANSPORT,
)

_PENALTY_ZJ: Final = (
    Column("punish_case_code", ("案件编号", "处罚行为编号"), "number"),
    Column("punish_type", ("处罚种类代码",), "word"),
    Column("case_process_type", ("处罚程序", "案件程序类型"), "word"),
    Column("admin_cp_type", ("行政相对人性质",), "word"),
    Column("publicstatus", ("公示状态",), "word"),
    Column("iscancelcase", ("是否撤案",), "word"),
    *_PENALTY,
)

_HOTLINE: Final = (
    Column("ticket_no", ("工单编号", "工单号", "complaintNum", "complaintCode", "letter_no"), "number"),
    Column("channel", ("来源渠道", "诉求来源"), "word"),
    Column("complaint_type", ("诉求类型", "工单类型", "complaintTypeName", "complaintType"), "word"),
    Column("urgency", ("紧急程度",), "word"),
    Column("title", ("诉求标题", "工单标题", "complaintTitle")),
    Column("content", ("诉求内容", "工单内容", "complaintContent", "complaintDetail")),
    Column("category", ("问题类别", "问题分类", "诉求分类", "problemName"), "word"),
    Column("complainant", ("诉求人", "来电人", "投诉人"), personal=True),
    Column("phone", ("联系电话", "来电号码"), "code", personal=True),
    Column("object_name", ("被诉对象", "被投诉对象", "complaintObject"), asked=True),
    Column(
        "object_code",
        ("被诉对象统一社会信用代码", "被诉对象证件号码", "统一社会信用代码", "complaintObjectCertCode"),
        "code",
    ),
    Column("area_number", ("事发地区划", "事发地行政区划代码", "行政区划代码"), "number"),
    Column("address", ("事发地址", "事发地点")),
    Column("raised_at", ("诉求时间", "来电时间", "complaintTime", "disputeDate"), "date"),
    Column("accepted_at", ("受理时间", "received_at"), "date"),
    Column("sent_at", ("派单时间",), "date"),
    Column("signed_at", ("签收时间",), "date"),
    Column("handler", ("承办单位", "current_unit"), asked=True),
    Column("finished_at", ("办结时间",), "date"),
    Column("repeat_of", ("重复诉求单号", "joinComplaintId"), "number"),
    *_TRANSPORT,
)

_PENALTY_PERSONS: Final = (("CF_XDR_ZJHM", "CF_XDR_ZJLX", True), ("CF_FR_ZJHM", "CF_FR_ZJLX", True))

FORMS: Final[dict[str, Form]] = {
    form.code: form
    for form in (
        Form("hotline", "12345 工单", "hotline tickets", "complaint", _HOTLINE, ("ticket_no",), ("ticket_no",)),
        Form(
            "inspection",
            "行政检查记录",
            "inspection records",
            "inspection",
            _INSPECTION,
            ("check_action_code", "administrative_cp_ui_code", "check_result", "check_date"),
            ("check_action_code",),
            (("administrative_cp_ui_code", "administrative_cp_ce_type", False),),
        ),
        Form(
            "penalty",
            "双公示行政处罚",
            "published penalties",
            "penalty",
            _PENALTY,
            ("CF_WSH", "CF_JDRQ"),
            ("CF_WSH", "CF_XDR_SHXYM", "CF_XDR_ZJHM"),
            _PENALTY_PERSONS,
        ),
        Form(
            "penalty-zj",
            "双公示行政处罚（浙江）",
            "published penalties, Zhejiang",
            "penalty",
            _PENALTY_ZJ,
            ("punish_case_code", "CF_JDRQ"),
            ("punish_case_code", "CF_XDR_SHXYM", "CF_XDR_ZJHM"),
            _PENALTY_PERSONS,
        ),
    )
}
