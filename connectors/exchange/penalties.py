"""双公示 penalties (domain 1.4, with what 1.2 adds) -> rows of the event `penalty`.

>>> penalty_types("罚款；没收违法所得"), penalty_types("2、03"), penalty_types("训诫")
('02,03', '02,03', None)
"""

import re
from typing import Final

import polars as pl

from connectors.exchange.money import fines
from connectors.exchange.parties import USCC_TYPES, Party, credit_codes, party, token_of
from connectors.exchange.table import Table

_CODES: Final = re.compile(r"[0-9]{1,2}([,，;；、|/ ]+[0-9]{1,2})*")
_LAST_CODE: Final = 14
_TYPES: Final = (
    ("01", r"警告"),
    ("02", r"罚款"),
    ("03", r"没收违法所得|没收(?!非法财物|违法所得)"),
    ("04", r"停产|停业"),
    ("05", r"吊销"),
    ("06", r"拘留"),
    ("07", r"^其他"),
    ("08", r"通报批评"),
    ("09", r"没收非法财物|非法财物"),
    ("10", r"降低资质"),
    ("11", r"暂扣"),
    ("12", r"限制开展"),
    ("13", r"限制从业"),
    ("14", r"责令关闭"),
)
_OTHER: Final = "07"
_HALF_YUAN: Final = 0.5
_PROCEDURES: Final = {
    "1": "01",
    "简易": "01",
    "简易程序": "01",
    "2": "02",
    "一般": "02",
    "一般程序": "02",
    "普通程序": "02",
}
_GONE: Final = ("1", "2", "撤销", "删除")
_TRUE: Final = ("1", "是", "true", "TRUE", "True", "Y", "y")
_ID: Final = ("CF_XDR_ZJHM", "CF_XDR_ZJLX")


def penalty_types(text: str) -> str | None:
    """Codes of domain 1.4 in order, comma separated; None where the text names none."""
    if _CODES.fullmatch(text):
        codes = sorted({code.zfill(2) for code in re.findall(r"[0-9]+", text)})
        return ",".join(codes) if all(1 <= int(code) <= _LAST_CODE for code in codes) else None
    return ",".join(code for code, pattern in _TYPES if re.search(pattern, text)) or None


def penalties(table: Table) -> dict[str, pl.Series]:
    """The event's columns but those of every form."""
    case = table["punish_case_code"] if "punish_case_code" in table.frame.columns else table["CF_WSH"]
    table.needed(*table.form.needed)
    who = _party(table)
    kinds = _kinds(table)
    fine, confiscated = _amounts(table, kinds)
    decided = table.date("CF_JDRQ", due=True)
    filed, closed, submitted = _order(table)
    table.asked()
    return {
        "key": case + ":" + who.key,
        "subject": who.subject,
        "subject_name": table["CF_XDR_MC"],
        "region": table.region("area_number", "CF_CFJGDM"),
        "sector": table.sector("CF_CFJG", "CF_SJLY"),
        "occurred_at": decided,
        "item_code": table.item("supervise_item_code"),
        "person": who.person,
        "penalty_type": kinds,
        "action_name": table.text("CF_WFXW"),
        "action_code": table["punish_case_code"],
        "case_source": table["case_source"],
        "check_code": table["check_action_code"],
        "party_name": table["CF_XDR_MC"],
        "party_type": table["CF_XDR_LB"],
        "party_id_type": table["CF_XDR_ZJLX"],
        "party_id": who.shown,
        "facts": table.text("CF_SY"),
        "basis": table.text("CF_YJ"),
        "procedure": table.per_value(table["case_process_type"], lambda text: _PROCEDURES.get(text, text)),
        "document_no": table["CF_WSH"],
        "decided_at": decided,
        "fine": fine,
        "confiscated": confiscated,
        "result": table.text("CF_NR"),
        "filed_at": filed,
        "closed_at": closed,
        "institution": table["CF_CFJG"],
        "institution_code": table["CF_CFJGDM"],
        "submitted_at": submitted,
    }


def withdrawn(table: Table) -> pl.Series:
    """Zhejiang: where a record is withdrawn or deleted, or its case cancelled."""
    gone = table["publicstatus"].is_in(_GONE).fill_null(False)
    return gone | table["iscancelcase"].is_in(_TRUE).fill_null(False)


def _party(table: Table) -> Party:
    cert, kind = table["CF_XDR_ZJHM"], table["CF_XDR_ZJLX"]
    # 1.2 and Zhejiang have one number with its type: 001 is a credit code.
    one_number = pl.select(pl.when(kind.is_in(USCC_TYPES)).then(cert).otherwise(credit_codes(cert))).to_series()
    uscc = pl.select(pl.coalesce(table["CF_XDR_SHXYM"], one_number)).to_series()
    says_person = table["CF_XDR_LB"].str.contains("自然人").fill_null(False)
    says_person |= table["admin_cp_type"].is_in(("01", "自然人")).fill_null(False)
    natural = (says_person | uscc.is_null()) & cert.is_not_null() & ~kind.is_in(USCC_TYPES).fill_null(False)
    others = ("CF_XDR_GSZC", "CF_XDR_ZZJG", "CF_XDR_SWDJ", "CF_XDR_SYDW", "CF_XDR_SHZZ")
    who = party(table, natural, _ID, uscc, pl.select(pl.coalesce([table[code] for code in others])).to_series())
    table.find("no-subject", "CF_XDR_SHXYM", who.subject.is_null())
    boss = token_of(table, "CF_FR_ZJHM")
    return Party(who.subject, who.shown, pl.select(pl.coalesce(who.person, boss)).to_series(), who.key)


def _kinds(table: Table) -> pl.Series:
    said = pl.select(pl.coalesce(table["punish_type"], table["CF_CFLB"], table["CF_NR"])).to_series()
    kinds = table.per_value(said, penalty_types)
    table.find("unknown-penalty", "CF_CFLB", kinds.is_null(), said)
    return kinds.fill_null(_OTHER)


def _amounts(table: Table, kinds: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Fine and confiscated amount, in yuan; a fine that the text gives in another unit is taken from the text."""
    fine, confiscated = table.amount("CF_NR_FK"), table.amount("CF_NR_WFFF")
    fined, taken, held = kinds.str.contains("02"), kinds.str.contains("03|09"), kinds.str.contains("05|11")
    table.find("missing-fine", "CF_NR_FK", fined & table["CF_NR_FK"].is_null())
    table.find("missing-confiscated", "CF_NR_WFFF", taken & table["CF_NR_WFFF"].is_null())
    table.find("missing-licence", "CF_NR_ZKDX", held & table["CF_NR_ZKDX"].is_null())
    told = fines(table["CF_NR"])
    other = ((fine - told).abs() > _HALF_YUAN).fill_null(False)
    in_yuan = other & ((fine / 10_000 - told).abs() <= _HALF_YUAN).fill_null(False)
    table.find("fine-in-yuan", "CF_NR_FK", in_yuan)
    table.find("fine-contradicts", "CF_NR_FK", other & ~in_yuan)
    return pl.select(pl.when(in_yuan).then(told).otherwise(fine)).to_series(), confiscated


def _order(table: Table) -> tuple[pl.Series, pl.Series, pl.Series]:
    filed, closed, submitted = (table.date(code) for code in ("filed_date", "closed_date", "submitted_date"))
    table.find("closed-early", "closed_date", table.date("closed_date", late=True) <= filed)
    table.find("submitted-unclosed", "submitted_date", table.date("submitted_date", late=True) <= closed)
    return filed, closed, submitted
