"""Every rule: what it takes to apply, that it is counted, and what follows from it."""

from typing import Any

import pytest

from connectors.exchange.rules import RULES
from tests.unit.connectors.exchange.tables import GOOD, ID_15, ID_18, KEYS, OFFICE, USCC, House, Row

NATURAL: Row = {
    "CF_XDR_LB": "自然人",
    "CF_XDR_MC": "张小明",
    "CF_XDR_SHXYM": None,
    "CF_XDR_ZJLX": "身份证",
    "CF_XDR_ZJHM": ID_18,
}
# Rule -> form, what is changed in a good row, and fields that the event then has (None: no event).
CASES: list[tuple[str, str, Row, dict[str, Any] | None]] = [
    (
        "empty-word",
        "penalty",
        {"CF_XDR_ZJLX": "undefined", "CF_NR_WFFF": "NULL", "CF_XDR_ZJHM": "无"},
        {"party_id_type": None},
    ),
    ("full-width", "penalty", {"CF_NR_FK": "０．２"}, {"fine": 2000.0}),
    ("code-blank", "penalty", {"CF_XDR_SHXYM": f"{USCC[:9]} {USCC[9:]}"}, {"subject": f"uscc:{USCC}"}),
    ("code-case", "penalty", {"CF_XDR_SHXYM": f'="{USCC.lower()}"'}, {"subject": f"uscc:{USCC}"}),
    ("code-prefix", "penalty", {"CF_XDR_SHXYM": f"统一社会信用代码：{USCC}"}, {"subject": f"uscc:{USCC}"}),
    ("code-suffix", "inspection", {"administrative_cp_ui_code": f"{USCC}(1/1)"}, {"subject": f"uscc:{USCC}"}),
    ("code-case", "hotline", {"被诉对象统一社会信用代码": USCC.lower()}, {"subject": f"uscc:{USCC}"}),
    ("person-id-15", "penalty", NATURAL | {"CF_XDR_ZJHM": ID_15}, {"party_id": "1101**********002X"}),
    ("date-form", "penalty", {"CF_JDRQ": "2026/3/1"}, {"decided_at": 1_772_294_400_000}),
    ("date-form", "penalty", {"CF_JDRQ": "20260301"}, {"decided_at": 1_772_294_400_000}),
    ("date-form", "penalty", {"CF_JDRQ": "2026年3月1日"}, {"decided_at": 1_772_294_400_000}),
    ("date-form", "penalty", {"CF_JDRQ": "46082"}, {"decided_at": 1_772_294_400_000}),
    ("date-form", "inspection", {"check_date": "2026-3-1T9:30"}, {"occurred_at": 1_772_328_600_000}),
    ("number-form", "penalty", {"CF_NR_FK": "¥0.2万元"}, {"fine": 2000.0}),
    ("number-form", "penalty", {"CF_NR_FK": "2,000元"}, {"fine": 2000.0}),
    ("ten-thousand", "penalty", {"CF_NR_FK": "0.29", "CF_NR": "罚款2900元"}, {"fine": 2900.0}),
    (
        "text-masked",
        "penalty",
        {"CF_SY": f"当事人{ID_18},电话13800001234"},
        {"facts": "当事人1101**********002X,电话138****1234"},
    ),
    ("missing-required", "penalty", {"CF_YJ": None}, {"basis": None}),
    ("missing-fine", "penalty", {"CF_NR_FK": None}, {"fine": None, "penalty_type": "02"}),
    ("missing-confiscated", "penalty", {"CF_CFLB": "没收违法所得", "CF_NR": "没收"}, {"penalty_type": "03"}),
    ("missing-licence", "penalty", {"CF_CFLB": "暂扣许可证", "CF_NR": "暂扣"}, {"penalty_type": "11"}),
    ("missing-id-type", "penalty", NATURAL | {"CF_XDR_ZJLX": None}, {"party_name": "张小明"}),
    ("fine-contradicts", "penalty", {"CF_NR_FK": "0.3"}, {"fine": 3000.0}),
    ("fine-contradicts", "penalty", {"CF_NR": "处以罚款人民币叁仟元整"}, {"fine": 2000.0}),
    ("fine-in-yuan", "penalty", {"CF_NR_FK": "2000"}, {"fine": 2000.0}),
    ("bad-amount", "penalty", {"CF_NR_FK": "若干"}, {"fine": None}),
    ("bad-amount", "penalty", {"CF_NR_FK": "-0.2"}, {"fine": None}),
    ("bad-date", "penalty", {"submitted_date": "2026-02-30"}, {"submitted_at": None}),
    ("unknown-penalty", "penalty", {"CF_CFLB": "训诫"}, {"penalty_type": "07"}),
    ("unknown-complaint", "hotline", {"诉求类型": "表扬"}, {"complaint_type": "表扬"}),
    ("unknown-operation", "penalty", {"cd_operation": "x"}, {"event_id": f"penalty:K:{USCC}"}),
    ("update-untimed", "penalty", {"cd_operation": "u"}, {"event_id": f"penalty:K:{USCC}:u:"}),
    ("person-check", "penalty", NATURAL | {"CF_XDR_ZJHM": "110105194912310021"}, {"party_id": "1101**********0021"}),
    ("item-code", "inspection", {"supervise_item_implement_code": "3301"}, {"item_code": None}),
    ("item-list-code", "inspection", {"supervise_item_check_icode": USCC + "6"}, {"item_list_code": None}),
    ("item-list-code", "inspection", {"supervise_item_check_icode": USCC[:17] + "Z3"}, {"item_list_code": None}),
    ("bad-area", "inspection", {"area_number": "990000"}, {"region": None}),
    ("few-officers", "inspection", {"check_personnel": "李四"}, {"officers": "李四"}),
    ("submitted-early", "inspection", {"submitted_date": "2026-03-01 09:30:00"}, {"result": "fail"}),
    ("submitted-early", "inspection", {"submitted_date": "2026-02-28 00:00:00"}, {"result": "fail"}),
    ("closed-early", "penalty", {"filed_date": "2026-03-01", "closed_date": "2026-02-01"}, {"fine": 2000.0}),
    ("submitted-unclosed", "penalty", {"closed_date": "2026-03-05", "submitted_date": "2026-03-04"}, {"fine": 2000.0}),
    ("ticket-order", "hotline", {"派单时间": "2026-03-01 09:00:00"}, {"ticket_no": "K"}),
    (
        "subject-licence",
        "penalty",
        {"CF_XDR_SHXYM": None, "CF_XDR_GSZC": "350100100000001"},
        {"subject": "licence:350100100000001"},
    ),
    ("subject-name", "hotline", {"被诉对象统一社会信用代码": None}, {"subject": "site:320102_某饭店"}),
    ("missing-field", "penalty", {"CF_JDRQ": None}, None),
    ("missing-field", "inspection", {"check_result": None}, None),
    ("missing-field", "hotline", {"受理时间": None}, None),
    ("no-subject", "penalty", {"CF_XDR_SHXYM": "无"}, None),
    ("no-subject", "hotline", {"被诉对象统一社会信用代码": None, "被诉对象": None}, None),
    ("bad-time", "penalty", {"CF_JDRQ": "2026-02-30"}, None),
    ("bad-person-id", "penalty", NATURAL | {"CF_XDR_ZJHM": "12"}, None),
    ("bad-uscc", "penalty", {"CF_XDR_SHXYM": USCC[:17] + "Z"}, None),
    ("bad-uscc", "inspection", {"administrative_cp_ui_code": "123"}, None),
    ("unknown-sector", "penalty", {"CF_CFJG": "某局", "CF_SJLY": "某局"}, None),
    ("unknown-sector", "penalty", {"sector": "炼金"}, None),
    ("time-too-old", "penalty", {"CF_JDRQ": "1999-01-01"}, None),
    ("time-in-future", "penalty", {"CF_JDRQ": "2099-01-01"}, None),
    ("bad-subject", "penalty", {"CF_XDR_SHXYM": None, "CF_XDR_GSZC": "1" * 200}, None),
    ("too-large", "penalty", {"CF_SY": "甲" * 1_500_000}, None),
    ("deleted-at-source", "penalty", {"cd_operation": "d"}, None),
    ("deleted-at-source", "penalty-zj", {"publicstatus": "2"}, None),
    ("deleted-at-source", "penalty-zj", {"iscancelcase": "1"}, None),
]
# These are seen where rows are read: tests/unit/connectors/exchange/test_sources.py, and below.
READING = {"bad-mapping", "bad-utf8", "bad-json", "not-finite", "duplicate-record"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_rule(house: House, case: tuple[str, str, Row, dict[str, Any] | None]) -> None:
    """It applies to the changed row and not to the good one; it is counted; an event comes of it, a dead letter, or nothing."""
    rule, form, change, event = case
    good = GOOD[form] | dict.fromkeys(change)
    good |= {name: GOOD[form].get(name) for name in change}
    path = house.csv([good | {KEYS[form]: "G"}, good | {KEYS[form]: "K"} | change])
    tally = house.run(form, path).tally
    consequence = RULES[rule].consequence
    counted = {"mend": tally.mended, "warn": tally.warned, "refuse": tally.refused, "skip": tally.skipped}[consequence]
    assert counted[rule] >= 1
    others = [one for one in house.entries() if one["line"] == "2"]
    assert [one["code"] for one in others] == []
    listed = [one["code"] for one in house.entries() if one["line"] == "3"]
    assert (rule in listed) == (consequence != "mend")
    assert len(house.writer.letters()) == (consequence == "refuse")
    assert len(house.writer.events()) == (1 if event is None else 2)
    if event is not None:
        made = next(one for one in house.writer.events() if ":K" in one["event_id"])
        assert {name: made[name] for name in event} == event
    labels = {"form": form, "rule": rule}
    assert house.registry.get_sample_value("fengsui_exchange_rules_applied_total", labels) == counted[rule]


def test_every_rule_has_a_case() -> None:
    """No rule is only on paper."""
    assert {case[0] for case in CASES} | READING == set(RULES)


@pytest.mark.parametrize("form", GOOD)
def test_a_good_row_breaks_no_rule(house: House, form: str) -> None:
    """Nothing is warned of, and nothing mended but units."""
    tally = house.run(form, house.csv([GOOD[form]])).tally
    assert (tally.sent, tally.warned.total(), set(tally.mended) - {"ten-thousand"}) == (1, 0, set())


def test_duplicates_are_told_across_chunks(house: House) -> None:
    """The second row with the same case code and certificate code is refused, wherever it stands; a refused first one is none."""
    bad, other = GOOD["penalty"] | {"CF_JDRQ": None}, GOOD["penalty"] | {"CF_XDR_SHXYM": OFFICE}
    between = [GOOD["penalty"] | {"CF_WSH": f"W{i}"} for i in range(20)]
    path = house.csv([bad, GOOD["penalty"], *between, GOOD["penalty"], other])
    tally = house.run("penalty", path, chunk_rows=3).tally
    assert (tally.sent, tally.refused) == (22, {"missing-field": 1, "duplicate-record": 1})
    assert [one["line"] for one in house.entries() if one["code"] == "duplicate-record"] == ["24"]


def test_updates_have_ids_of_their_own(house: House) -> None:
    """An update is another event, by its time, whatever form that is written in; a repeated one is a duplicate."""
    update = GOOD["penalty"] | {"cd_operation": "u"}
    times = [{"cd_time": "2026-03-05 10:00:00"}, {"cd_time": "2026/3/5 10:00"}, {"cd_time": "2026-03-06 10:00:00"}]
    insert: Row = GOOD["penalty"] | {"cd_operation": "i", "cd_time": None}
    tally = house.run("penalty", house.csv([insert, *(update | time for time in times)])).tally
    assert (tally.sent, tally.refused) == (3, {"duplicate-record": 1})
    assert len({event["event_id"] for event in house.writer.events()}) == 3


def test_ids_of_persons_never_leave(house: House) -> None:
    """Neither events, dead letters nor the report hold the number of a natural person; two of the same meet in one subject."""
    rows = [
        GOOD["penalty"] | NATURAL | {"CF_WSH": "1", "CF_SY": f"身份证号{ID_18}"},
        GOOD["penalty"] | NATURAL | {"CF_WSH": "2", "CF_XDR_ZJHM": ID_15},
        GOOD["penalty"] | NATURAL | {"CF_WSH": "3", "CF_JDRQ": None},
        GOOD["penalty"] | {"CF_WSH": "4", "CF_FR_ZJLX": "身份证", "CF_FR_ZJHM": ID_18},
    ]
    house.run("penalty", house.csv(rows))
    said = b"".join(value for _, (_, value) in house.writer.records) + house.report.read_bytes()
    assert ID_18.encode() not in said
    assert ID_15.encode() not in said
    first, second, fourth = house.writer.events()
    assert first["subject"] == second["subject"] == fourth["person"]
    assert first["subject"].startswith("person:")
    letter = house.writer.letters()[0]["value"].decode()
    assert "张**" in letter
    assert "张小明" not in letter


@pytest.mark.parametrize("time", ["2026-03-01", "2026-03-01 00:00:00", "2026/3/1"])
def test_a_date_alone_is_not_before_what_came_that_day(house: House, time: str) -> None:
    """Whoever gives days only, as spreadsheets do, is not told that he reported before he came."""
    assert house.run("inspection", house.csv([GOOD["inspection"] | {"submitted_date": time}])).tally.warned == {}


def test_a_trader_who_is_called_a_person_has_a_code(house: House) -> None:
    """A row that says 自然人 but has a credit code and no id is about the code."""
    house.run("penalty", house.csv([GOOD["penalty"] | {"CF_XDR_LB": "自然人"}]))
    assert [event["subject"] for event in house.writer.events()] == [f"uscc:{USCC}"]


def test_what_the_report_shows_of_ids(house: House) -> None:
    """A wrong code of a firm is shown, so that it can be mended; what is or looks like a person's id is not."""
    codes = {
        "123": "123",
        USCC[:17] + "Z": USCC[:17] + "Z",
        "110105194912310021": "1101**********0021",
        ID_15: "1101**********1002",
    }
    rows = [GOOD["inspection"] | {"administrative_cp_ui_code": code, "check_date": "x"} for code in codes]
    rows = [row | {"check_action_code": f"J{i}", "submitted_date": "y"} for i, row in enumerate(rows)]
    house.run("inspection", house.csv(rows))
    letters = [letter["value"].decode() for letter in house.writer.letters()]
    assert all(f'"{shown}"' in letter for shown, letter in zip(codes.values(), letters, strict=True))


def test_a_derived_sector_and_region(house: House) -> None:
    """The institution's name tells the sector, its credit code the region, where no column does."""
    house.run("penalty", house.csv([GOOD["penalty"] | {"CF_CFJGDM": USCC}]))
    (event,) = house.writer.events()
    assert (event["sector"], event["region"]) == ("market", "350100")


def test_the_words_of_rules(house: House) -> None:
    """What rule packs read comes out in their codes."""
    house.run("inspection", house.csv([GOOD["inspection"]]))
    house.folder.joinpath("report.csv.progress.json").unlink()
    house.run("hotline", house.csv([GOOD["hotline"]], "h.csv"))
    visit, ticket = house.writer.events()
    assert (visit["result"], visit["check_type"], visit["officers"]) == ("fail", "double-random", "李四,王五")
    assert visit["observed_at"] == visit["submitted_at"] > visit["occurred_at"]
    assert (ticket["complaint_type"], ticket["category"], ticket["channel"]) == ("complaint", "food-poisoning", "12345")
    assert ticket["complainant"].startswith("赵**#")
    assert "13800001234" not in str(ticket)
