"""Rule files: what is read, and for each kind of mistake the line and the words that mend it."""

from pathlib import Path

import pytest

from rules import RuleError, load_packs, load_rule, parse_rule, run_tests, scan
from rules.explain import check, fill

GOOD = """\
id: food-cold-store-warm
title: 冷藏库温度持续超标
sector: food-drug
status: live
on: iot
features:
  n_10m: {agg: count, within: 10m, by: device_id, where: "metric = 'cold_store_temp'"}
  avg_10m: {agg: avg, of: value, within: 10m, by: device_id, where: "metric = 'cold_store_temp'"}
when: "metric = 'cold_store_temp' AND n_10m >= 5 AND avg_10m > 8"
severity: {orange: "true", red: "avg_10m > 12"}
episode: {by: device_id, quiet: 2h}
department: market-supervision
explain: "{subject_name} 冷藏设备 {device_id} 近 10 分钟平均 {avg_10m:.1f} ℃,高于 8 ℃"
basis: 餐饮服务食品安全操作规范:冷藏 0-8 ℃
false_positives: [除霜, 集中补货]
runbook: 电话核实设备状态;10 分钟内未恢复则现场检查并留样
tests:
  - name: warm for twelve minutes fires once
    events: [{from: 0m, to: 12m, every: 1m, device_id: d1, metric: cold_store_temp, value: 9.5}]
    expect: [{at: 4m, severity: orange}]
  - name: one opened door stays quiet
    events: [{from: 0m, to: 12m, every: 1m, metric: cold_store_temp, value: 4.0}, {at: 6m, metric: cold_store_temp, value: 11}]
    expect: []
"""


def test_the_example_of_the_design_is_read_and_passes() -> None:
    """Every key arrives where it belongs, and both tests pass."""
    rule = parse_rule(GOOD, "x.yaml")
    assert (rule.id, rule.sector, rule.on, rule.department) == (
        "food-cold-store-warm", "food-drug", ("iot",), "market-supervision",
    )  # fmt: skip
    assert [colour for colour, _ in rule.severity] == ["red", "orange"]
    assert (rule.episode.by, rule.episode.quiet) == (("subject", "device_id"), 7_200_000)
    assert rule.false_positives == ("除霜", "集中补货")
    assert rule.foreign is None
    assert [o.problem for o in run_tests([rule]).outcomes] == ["", ""]


# (what to replace, by what, line of the error, words of the error)
BROKEN = [
    ("title:", "titel:", 2, "unknown key 'titel'; did you mean 'title'?"),
    ("id: food-cold-store-warm\n", "", 1, "key 'id' is missing"),
    ("id: food-cold-store-warm", "id: Food Cold", 1, "lower-case letters"),
    ("id: food-cold-store-warm", "id: a", 1, "3 to 64"),
    ("title: 冷藏库温度持续超标", "title:", 2, "a text is needed"),
    ("status: live", "status: on", 4, "unknown status 'on'"),
    ("status: live", "status: live\nstatus: draft", 5, "key 'status' stands here again (first on line 4)"),
    ("sector: food-drug", "sector: food-drugs", 3, "did you mean 'food-drug'?"),
    ("department: market-supervision", "department: market", 12, "unknown department"),
    ("on: iot", "on: iots", 5, "unknown kind 'iots'; did you mean 'iot'?"),
    ("on: iot", "on: []", 5, "needs at least one kind"),
    ("on: iot", "on: complaint", 9, "complaint has no column metric"),
    ("on: iot", "on: [iot, iot]", 5, "stands here twice"),
    ("agg: avg", "agg: mean", 8, "unknown agg 'mean'"),
    ("agg: avg, of: value,", "agg: avg,", 8, "avg needs 'of'"),
    ("agg: avg, of: value", "agg: avg, of: metric", 8, "avg needs a number, but metric is a text"),
    ("of: value", "of: valu", 8, "did you mean 'value'?"),
    ("within: 10m, by: device_id", "within: ten minutes, by: device_id", 7, "is not a duration"),
    ("within: 10m, by: device_id", "within: 33d, by: device_id", 7, "at most 32d"),
    ("within: 10m, by: device_id", "within: 0, by: device_id", 7, "more than 0"),
    ("by: device_id, where", "by: device, where", 7, "unknown column 'device'"),
    ("by: device_id, where", "by: [region, person], where", 7, "at most one of"),
    ("n_10m: {", "value: {", 7, "cannot name a feature"),
    ("n_10m: {", "select: {", 7, "cannot name a feature"),
    ("n_10m: {", "N: {", 7, "cannot name a feature"),
    ("n_10m: {agg", "n_10m: {aggr", 7, "unknown key 'aggr'; did you mean 'agg'?"),
    ("where: \"metric = 'cold_store_temp'\"}\n  avg", "where: \"metrc = 'x'\"}\n  avg", 7, "did you mean 'metric'?"),
    (
        "where: \"metric = 'cold_store_temp'\"}\n  avg",
        "where: \"kind = 'penalty' AND value > 1\"}\n  avg",
        7,
        "no kind of event",
    ),
    ("where: \"metric = 'cold_store_temp'\"}\n  avg", 'where: "avg_10m > 1"}\n  avg', 7, "unknown column 'avg_10m'"),
    ("n_10m >= 5", "n_10 >= 5", 9, "did you mean 'n_10m'?"),
    ("AND n_10m", "AND AND n_10m", 9, "cannot be read as SQL"),
    ("n_10m >= 5", "n_10m >= '5'", 9, "compares a number with a text"),
    ("n_10m >= 5", "sum(value) >= 5", 9, "name it under features"),
    ("orange:", "organe:", 10, "did you mean 'orange'?"),
    ('severity: {orange: "true", red: "avg_10m > 12"}', "severity: pink", 10, "unknown severity"),
    ('severity: {orange: "true", red: "avg_10m > 12"}', "severity: {}", 10, "at least one colour"),
    ('orange: "true"', "orange: value", 10, "must be a bool"),
    ("quiet: 2h", "quiet: 0", 11, "more than 0"),
    ("episode: {by: device_id, quiet: 2h}", "episode: {by: device_id}", 11, "key 'quiet' is missing"),
    ("episode: {by: device_id", "episode: {by: region", 11, "need a feature by region"),
    ("{avg_10m:.1f}", "{avg_10m.real}", 13, "takes only {name}"),
    ("{avg_10m:.1f}", "{avg_10m[0]}", 13, "takes only {name}"),
    ("{avg_10m:.1f}", "{avg_10m!r}", 13, "takes only {name}"),
    ("{avg_10m:.1f}", "{avg_10m:>99999999}", 13, "does not fit"),
    ("{avg_10m:.1f}", "{subject:.1f}", 13, "does not fit"),
    ("{avg_10m:.1f}", "{avg_1m:.1f}", 13, "did you mean 'avg_10m'?"),
    ("{avg_10m:.1f}", "{", 13, "explain"),
    ('explain: "{subject_name} 冷藏', "explain: {subject_name} # ", 13, ""),
    ("false_positives: [除霜, 集中补货]", "false_positives: {a: b}", 15, "not a mapping"),
    ("at: 4m, severity: orange", "at: 4m, severity: purple", 20, "severity is one of"),
    ("at: 4m, severity: orange", "severity: orange", 20, "key 'at' is missing"),
    (
        "{from: 0m, to: 12m, every: 1m, device_id: d1",
        "{from: 0m, to: 12m, device_id: d1",
        19,
        "needs at, or from, to and every",
    ),
    ("{from: 0m, to: 12m, every: 1m, device_id: d1", "{at: 0m, every: 1m, device_id: d1", 19, "either at, or"),
    ("every: 1m, device_id: d1", "every: 0s, device_id: d1", 19, "must give 1 to"),
    ("value: 9.5", "value: warm", 19, "value takes a double, not 'warm'"),
    ("value: 9.5", "valeu: 9.5", 19, "did you mean 'value'?"),
    (", value: 9.5", "", 19, "needs 'value'"),
    ("device_id: d1", "kind: iott", 19, "unknown kind 'iott'"),
    ("device_id: d1", "result: fail", 19, "unknown key 'result'"),
    ("name: one opened door stays quiet", "nam: x", 21, "unknown key 'nam'"),
    ("    expect: []", "    expekt: []", 23, "did you mean 'expect'?"),
    ("status: live", "status: &a live", 4, "anchors and aliases"),
    ("status: live", "status: !!python/object:os.system live", 4, "tags are not allowed"),
    ("status: live", "status: 'live", 0, "not valid YAML"),
    ("status: live", "status: [[[[[[[[[[[[[[live]]]]]]]]]]]]]]", 4, "nested too deeply"),
    ("tests:", "tests: {a: 1}\nmore:", 0, ""),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_refused_with_place_and_fix(old: str, new: str, line: int, words: str) -> None:
    """Each mistake gives a RuleError that names the file, its line and how to mend it."""
    assert old in GOOD
    with pytest.raises(RuleError) as refused:
        parse_rule(GOOD.replace(old, new, 1), "packs/x.yaml")
    assert words in refused.value.message
    assert str(refused.value).startswith("packs/x.yaml:")
    if line:
        assert refused.value.line == line


def test_there_are_sixty_broken_files() -> None:
    """The list covers the format."""
    assert len(BROKEN) >= 60


def test_whole_file_mistakes() -> None:
    """Empty, huge, binary and double documents are refused as well."""
    for text in ("", "# nothing\n", "- a\n", "x" * 300_000, f"{GOOD}---\n{GOOD}", "a: \x00b", "[" * 5_000):
        with pytest.raises(RuleError):
            parse_rule(text, "x.yaml")


def test_the_version_is_that_of_the_meaning() -> None:
    """Comments, order, spaces and tests leave the version alone; a threshold, a text or the status changes it."""
    version = parse_rule(GOOD, "x.yaml").version
    same = [
        GOOD + "# a comment\n",
        GOOD.replace("n_10m >= 5 AND", "(n_10m>=5)  and"),
        GOOD.replace("expect: [{at: 4m, severity: orange}]", "expect: []"),
        GOOD.replace("status: live\non: iot\n", "on: [iot]\nstatus: live\n"),
        GOOD.replace("quiet: 2h", "quiet: 120m"),
    ]
    other = [
        GOOD.replace("> 8", "> 9"),
        GOOD.replace("status: live", "status: shadow"),
        GOOD.replace("within: 10m", "within: 11m"),
        GOOD.replace("高于", "超过"),
    ]
    assert {parse_rule(text, "y.yaml").version for text in same} == {version}
    assert len({version, *(parse_rule(text, "y.yaml").version for text in other)}) == 5


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    """`scan` reads what it can and names what it cannot; `load_packs` raises the first mistake."""
    (tmp_path / "food-drug").mkdir()
    (tmp_path / "food-drug" / "food-cold-store-warm.yaml").write_text(GOOD, "utf-8")
    assert [rule.id for rule in load_packs(tmp_path)] == ["food-cold-store-warm"]
    (tmp_path / "food-drug" / "misnamed.yaml").write_text(GOOD.replace("store-warm", "store-hot"), "utf-8")
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "food-cold-store-warm.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "twice" / "bytes.yaml").write_bytes(b"\xff\xfe")
    rules, errors = scan(tmp_path)
    assert len(rules) == 1
    assert sorted(error.message.split()[0] for error in errors) == ["cannot", "id", "the"]
    with pytest.raises(RuleError):
        load_packs(tmp_path)
    with pytest.raises(RuleError):
        load_rule(tmp_path / "nowhere.yaml")


def test_failing_and_missing_tests_are_reported() -> None:
    """A wrong expectation says what came instead; a rule without both kinds of test fails."""
    wrong = parse_rule(GOOD.replace("{at: 4m, severity: orange}", "{at: 5m, severity: red}"), "x.yaml")
    assert [o.problem for o in run_tests([wrong]).failed] == ["expected red at 5m, got orange at 4m"]
    quiet = parse_rule(GOOD[: GOOD.index("  - name: one opened")], "x.yaml")
    assert [o.problem for o in run_tests([quiet]).failed] == ["has no test that stays quiet"]
    bare = parse_rule(GOOD[: GOOD.index("tests:")], "x.yaml")
    assert [o.problem for o in run_tests([bare]).failed] == ["has no test that fires"]


def test_late_events_in_tests() -> None:
    """`observed_at` sets when an event arrives: five readings of which one comes late still make five."""
    late = GOOD.replace(
        "[{from: 0m, to: 12m, every: 1m, device_id: d1, metric: cold_store_temp, value: 9.5}]",
        "[{from: 0m, to: 3m, every: 1m, metric: cold_store_temp, value: 9.5}, {at: 1m30s, observed_at: 4m, "
        "metric: cold_store_temp, value: 9.5}]",
    ).replace("{at: 4m, severity: orange}", "{at: 1m30s, severity: orange}")
    assert not run_tests([parse_rule(late, "x.yaml")]).failed


def test_explanations_show_what_people_expect() -> None:
    """Missing values are dashes, flags are words, times are Beijing time, long texts are cut, numbers keep their format."""
    types = {"a": "number", "occurred_at": "number", "b": "bool", "t": "text"}
    template = "{a:.1f}|{a}|{occurred_at}|{b}|{t}|{{}}"
    assert check(template, types) == types.keys()  # type: ignore[arg-type]
    values = {"a": 1234.5678, "occurred_at": 1_767_578_400_000, "b": True, "t": "长" * 300}
    assert fill(template, values) == f"1234.6|1234.57|2026-01-05 10:00|是|{'长' * 200}…|{{}}"
    assert fill("{a:.1f} {t}", {"a": None}) == "— —"
