"""行政检查 records (domain 1.1) -> rows of the event `inspection`.

>>> officers('["张三","李四"]'), officers("张三、 李四；王五"), officers("张三 李四")
('张三,李四', '张三,李四,王五', '张三,李四')
"""

import re
from typing import Final

import polars as pl

from connectors.exchange.cleaning import ID_CARD
from connectors.exchange.parties import USCC_TYPES, credit_codes, ids_ok, party
from connectors.exchange.table import Table
from topics.identifiers import uscc_ok

_RESULTS: Final = {
    "pass": ("合格", "符合", "通过", "正常", "未发现问题", "未见异常", "检查合格", "未发现违法行为"),
    "fail": (
        "不合格",
        "不符合",
        "不通过",
        "发现问题",
        "检查不合格",
        "限期整改",
        "责令改正",
        "责令限期改正",
        "发现违法行为",
    ),
    "fixed-on-site": ("当场改正", "现场改正", "当场整改", "现场整改", "已当场整改"),
    "transferred": ("移送", "移送司法机关", "移交", "移交其他部门", "立案", "立案查处"),
}
_CHECK_TYPES: Final = {
    "daily": ("日常检查", "日常监管", "日常监督检查"),
    "double-random": ("双随机", "双随机检查", "双随机抽查", "双随机一公开"),
    "special": ("专项检查", "专项整治"),
    "product-sampling": ("监督抽检", "抽检", "产品抽检", "监督抽查", "产品质量监督抽查"),
}
_RESULT_OF: Final = {text: code for code, texts in _RESULTS.items() for text in (code, *texts)}
_CHECK_TYPE_OF: Final = {text: code for code, texts in _CHECK_TYPES.items() for text in (code, *texts)}
_PERSON_TYPES: Final = (*ID_CARD, "护照", "港澳居民来往内地通行证", "台湾居民来往大陆通行证", "外国人永久居留身份证")
_FEWEST: Final = 2
_USCC_CHARS: Final = 18
_LEVELS: Final = ("1", "2", "3", "4", "5")
_ID: Final = ("administrative_cp_ui_code", "administrative_cp_ce_type")


def officers(text: str) -> str | None:
    """Names with commas between them."""
    names = [name for name in re.split(r"[\[\]\"',，、;；|\s]+", text) if name]
    return ",".join(names) or None


def inspections(table: Table) -> dict[str, pl.Series]:
    """The event's columns but those of every form."""
    table.needed(*table.form.needed)
    code, kind = (table[name] for name in _ID)
    is_code = pl.Series(uscc_ok(code))
    natural = kind.is_in(_PERSON_TYPES).fill_null(False) | (~is_code & pl.Series(ids_ok(code)))
    says_code = kind.is_in(USCC_TYPES).fill_null(False)
    # A code of 18 characters without its type is a credit code, right or wrong: what is wrong is refused by name.
    looks = code.str.len_chars() == _USCC_CHARS
    uscc = pl.select(pl.when(says_code | is_code | looks).then(code)).to_series()
    who = party(table, natural, _ID, uscc, code)
    checked, submitted = table.date("check_date", due=True), table.date("submitted_date")
    table.find("submitted-early", "submitted_date", table.date("submitted_date", late=True) <= checked)
    names = table.per_value(table["check_personnel"], officers)
    count = names.str.count_matches(",") + 1
    table.find("few-officers", "check_personnel", count < _FEWEST)
    table.asked()
    return {
        "key": table["check_action_code"],
        "subject": who.subject,
        "subject_name": pl.select(pl.coalesce(table["supervise_object"], table["administrative_cp"])).to_series(),
        "region": table.region("area_number", "implement_institution_code"),
        "sector": table.sector("implement_institution", "entrust_dept"),
        "occurred_at": checked,
        "item_code": table.item("supervise_item_implement_code"),
        "person": who.person,
        "result": table.per_value(table["check_result"], lambda text: _RESULT_OF.get(text, text)),
        "action_name": table.text("check_action_name"),
        "action_code": table["check_action_code"],
        "item_list_code": _list_code(table),
        "party_name": table["administrative_cp"],
        "party_type": table["administrative_cp_na"],
        "party_id_type": kind,
        "party_id": who.shown,
        "check_form": table["check_form"],
        "check_type": table.per_value(table["check_type"], lambda text: _CHECK_TYPE_OF.get(text, text)),
        "check_mode": table["check_mode"],
        "plan_id": table["plan_id"],
        "officers": names,
        "officer_codes": table.per_value(table["check_personnel_code"], officers),
        "institution": table["implement_institution"],
        "institution_code": table["implement_institution_code"],
        "entrusted": table["entrust_dept"],
        "address": pl.select(pl.coalesce(table["address_operating"], table["address_registered"])).to_series(),
        "submitted_at": submitted,
    }


def _list_code(table: Table) -> pl.Series:
    """Item list codes whose first 18 characters are a credit code and whose 19th is a level; the others null."""
    code = table["supervise_item_check_icode"]
    head = credit_codes(code.str.head(_USCC_CHARS)).is_not_null()
    good = head & code.str.slice(_USCC_CHARS, 1).is_in(_LEVELS).fill_null(False)
    table.find("item-list-code", "supervise_item_check_icode", code.is_not_null() & ~good)
    return pl.select(pl.when(good).then(code)).to_series()
