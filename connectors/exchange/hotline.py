"""12345 tickets (domain 1.6; no official schema was found) -> rows of the event `complaint`.

>>> complaint_type("投诉"), complaint_type("表扬"), category("疑似食物中毒"), category("路灯")
('complaint', None, 'food-poisoning', '路灯')
"""

from typing import Final

import polars as pl

from connectors.exchange.parties import party
from connectors.exchange.privacy import tokens
from connectors.exchange.table import Table, never

_TYPES: Final = (
    ("举报", "report"),
    ("投诉", "complaint"),
    ("咨询", "consult"),
    ("求助", "help"),
    ("求决", "help"),
    ("建议", "suggestion"),
)
_OWN: Final = ("consult", "help", "complaint", "report", "suggestion")
# The categories that rules read; the first word that the hotline's own category holds.
_CATEGORIES: Final = (
    ("食物中毒", "food-poisoning"),
    ("异物", "foreign-matter"),
    ("欠薪", "wage-arrears"),
    ("拖欠工资", "wage-arrears"),
    ("预付", "prepaid-card"),
    ("强迫购物", "forced-shopping"),
    ("强制购物", "forced-shopping"),
    ("食堂", "canteen"),
    ("非法行医", "illegal-practice"),
    ("医疗收费", "medical-fee"),
    ("骗保", "insurance-fraud"),
    ("电梯", "elevator"),
    ("消防通道", "exit-blocked"),
    ("安全隐患", "safety-hazard"),
    ("异味", "odour"),
    ("恶臭", "odour"),
    ("污水", "sewage"),
    ("卫生", "hygiene"),
    ("产品质量", "quality"),
    ("商品质量", "quality"),
)
_CHANNELS: Final = {
    "12345热线": "12345",
    "电话": "12345",
    "热线": "12345",
    "12345": "12345",
    "信件": "letter",
    "来信": "letter",
}
_DEFAULT_CHANNEL: Final = "12345"
_UNSAID: Final = "其他"
_USCC_CHARS: Final = 18
_TOKEN_CHARS: Final = 8
_NO_PERSON: Final = ("object_code", "complaint_type")


def complaint_type(text: str) -> str | None:
    """The type's code; None where it is none of the five."""
    return text if text in _OWN else next((code for word, code in _TYPES if word in text), None)


def category(text: str) -> str:
    """The code that rules read, or the hotline's own word."""
    return next((code for word, code in _CATEGORIES if word in text), text)


def complaints(table: Table) -> dict[str, pl.Series]:
    """The event's columns but those of every form."""
    table.needed("ticket_no")
    subject, region = _subject(table)
    raised, accepted = table.date("raised_at"), table.date("accepted_at")
    at = pl.select(pl.coalesce(raised, accepted)).to_series()
    untold = table["raised_at"].is_null() & table["accepted_at"].is_null()
    table.find("missing-field", "accepted_at", untold)
    table.find("bad-time", "accepted_at", at.is_null() & ~untold)
    _order(table, accepted)
    table.asked()
    kinds = table.per_value(table["complaint_type"], complaint_type)
    table.find("unknown-complaint", "complaint_type", kinds.is_null(), table["complaint_type"])
    return {
        "key": table["ticket_no"],
        "subject": subject,
        "subject_name": table.text("object_name"),
        "region": region,
        "sector": table.sector("handler"),
        "occurred_at": at,
        "complaint_type": pl.select(pl.coalesce(kinds, table["complaint_type"], pl.lit(_UNSAID))).to_series(),
        "channel": table.per_value(table["channel"], lambda text: _CHANNELS.get(text, text)).fill_null(
            _DEFAULT_CHANNEL
        ),
        "title": table.text("title"),
        "text": table.text("content"),
        "category": table.per_value(table["category"], category),
        "urgency": table["urgency"],
        "ticket_no": table["ticket_no"],
        "complainant": _complainant(table),
        "accepted_at": accepted,
        "handler": table["handler"],
        "repeat_of": table["repeat_of"],
    }


def _subject(table: Table) -> tuple[pl.Series, pl.Series]:
    """By code; without one, by area and name, so that tickets about one place meet."""
    code, name = table["object_code"], table.text("object_name")
    region = table.region("area_number")
    looks = code.str.len_chars() == _USCC_CHARS
    uscc = pl.select(pl.when(looks).then(code)).to_series()
    who = party(table, never(len(code)), _NO_PERSON, uscc, code)
    plain = name.str.normalize("NFKC").str.replace_all(r"[\s:]+", "")
    place = pl.select(pl.when(plain != "").then("site:" + region.fill_null("000000") + "_" + plain)).to_series()
    table.find("subject-name", "object_name", who.subject.is_null() & place.is_not_null())
    subject = pl.select(pl.coalesce(who.subject, place)).to_series()
    table.find("no-subject", "object_name", subject.is_null())
    return subject, region


def _complainant(table: Table) -> pl.Series:
    """The first character of the name, and a token of the phone (or name): tells people apart, names nobody."""
    name, phone = table["complainant"], table["phone"]
    who = tokens(pl.select(pl.coalesce(phone, name)).to_series(), table.terms.key).str.head(_TOKEN_CHARS)
    return name.str.head(1).fill_null("") + "**#" + who


def _order(table: Table, accepted: pl.Series) -> None:
    """Accepted, sent, signed, finished: each not before what came before it; a date alone counts to its end."""
    earlier = accepted
    for code in ("sent_at", "signed_at", "finished_at"):
        at, late = table.date(code), table.date(code, late=True)
        table.find("ticket-order", code, late < earlier)
        earlier = pl.select(pl.max_horizontal(earlier, at)).to_series()
