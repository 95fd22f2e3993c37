"""Back-tests on small archives written by hand: order, refusals, repeats, slices, labels, and the command."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import backtest as bench
from connectors.archive.shelf import Shelf
from connectors.archive.table import Record
from fengsui.backtest import Backtest, backtest
from fengsui.backtest.labels import labels
from fengsui.backtest.log import Slice, merged, scheduled
from fengsui.cli import main
from rules import Rule, parse_filter
from rules.selftest import LATENESS
from tests.unit.rules.build import DAY, HOUR, MINUTE, SHOP, T0, event, rule
from topics.events import KINDS
from topics.keys import partition_of
from topics.records import CLUE_LOG, REJECTED
from topics.wire import encode

PARTITIONS = 2
OTHER = "site:2"  # of the other partition


def archive(root: Path, events: Sequence[dict[str, Any]], refused: Sequence[str] = ()) -> None:
    """Events as intake found them on their partitions; those with ids in `refused` are among the dead letters."""
    offsets: dict[tuple[str, int], list[Record]] = {}
    dead: list[Record] = []
    for one in events:
        kind, partition = KINDS[one["kind"]], partition_of(one["subject"].encode(), PARTITIONS)
        records = offsets.setdefault((kind.topic, partition), [])
        value = encode(kind.schema, {name: one.get(name) for name in kind.schema.columns})
        records.append(Record(len(records), one["_ts"], one["subject"].encode(), value))
        if one["event_id"] in refused:
            where = {"topic": kind.topic, "partition": partition, "offset": len(records) - 1, "rejected_at": one["_ts"]}
            letter = encode(REJECTED, {"reason": "bad-identifier", "detail": "", "stage": "intake"} | where)
            dead.append(Record(len(dead), one["_ts"], b"", letter))
    write(root, offsets | ({("rejected", 0): dead} if dead else {}))


def write(root: Path, records: Mapping[tuple[str, int], Sequence[Record]]) -> None:
    """Records of topics and partitions into files."""
    for (topic, partition), rows in records.items():
        shelf = Shelf(root, topic, partition)
        assert shelf.try_lock()
        assert list(shelf.write(list(rows)))
        shelf.release()


def run(root: Path, *rules: Rule, **given: Any) -> Backtest:
    """In this process."""
    return backtest(rules, root, lateness=LATENESS, threads=1, **given)


def told(found: Backtest) -> list[float]:
    """When the clues' events occurred, minutes after T0."""
    return [(at - T0) / MINUTE for at in found.clues["occurred_at"].to_list()]


def test_the_subjects_of_the_tests_are_of_two_partitions() -> None:
    """So that all of these tests are about both."""
    assert {partition_of(subject.encode(), PARTITIONS) for subject in (SHOP, OTHER)} == {0, 1}


def test_refused_and_repeated_events_and_those_of_another_partition_do_not_count(tmp_path: Path) -> None:
    """As intake has it."""
    events = [event(0), event(1) | {"event_id": "e0"}, event(2), event(3, subject=OTHER), event(4, value=1.0)]
    archive(tmp_path, events, refused=["e2"])
    strayed = encode(KINDS["iot"].schema, {n: event(9, subject=OTHER).get(n) for n in KINDS["iot"].schema.columns})
    home = partition_of(SHOP.encode(), PARTITIONS)
    write(
        tmp_path,
        {("events.iot", home): [Record(90, T0 + 9 * MINUTE, b"", strayed), Record(91, T0 + DAY, b"", b"junk")]},
    )
    found = run(tmp_path, rule(episode="{quiet: 1s}", status="draft"))
    assert told(found) == [0, 3]
    assert found.events == 3


def test_kinds_come_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    """A complaint counts for an inspection that arrived later, not for one before, whatever topics they are on."""
    one = rule(
        on="inspection", features="{n: {agg: count, within: 1d, where: \"kind = 'complaint'\"}}", when='"n > 0"', explain="{n}",
        episode="{quiet: 1s}",
    )  # fmt: skip
    visit, complaint = {"kind": "inspection", "result": "pass"}, {"kind": "complaint", "complaint_type": "complaint"}
    events = [
        event(0, **visit),
        event(1, **complaint),
        event(2, **visit),
        event(2, subject=OTHER, **visit),
        event(3, **visit),
    ]
    archive(tmp_path, events)
    assert told(run(tmp_path, one)) == [2, 3]


def test_a_slice_has_the_clues_of_the_whole_that_fall_into_it(tmp_path: Path) -> None:
    """Windows and episodes are filled from before it; nothing after it is looked at."""
    many = rule(
        features="{n: {agg: count, within: 3h}}", when='"n >= 3"', explain="{n}", episode="{quiet: 30m}",
    )  # fmt: skip
    archive(tmp_path, [event(i * 20, subject=subject) for i in range(200) for subject in (SHOP, OTHER)])
    whole = run(tmp_path, many)
    since, until = T0 + 20 * HOUR, T0 + 44 * HOUR
    part = run(tmp_path, many, when=Slice(since, until))
    inside = whole.clues.filter((pl.col("raised_at") >= since) & (pl.col("raised_at") < until))
    assert part.clues.equals(inside)
    assert part.events < whole.events


def test_what_never_came_is_told_up_to_the_end_of_the_log(tmp_path: Path) -> None:
    """By subject and by region; the last event of any partition says how far time has come."""
    beat = {"metric": "heartbeat", "value": 1.0}
    archive(
        tmp_path, [event(0, **beat), event(1, subject=OTHER, region="110101", **beat), event(30, subject=OTHER, **beat)]
    )
    by_device = rule(
        when="\"metric = 'heartbeat'\"",
        absence="{within: 15m}",
        episode="{by: device_id, quiet: 1h}",
        explain="{device_id}",
    )
    by_region = rule(
        id="test-region", when="\"metric = 'heartbeat'\"", absence="{within: 20m}", episode="{by: region, quiet: 1h}",
        explain="{region}",
    )  # fmt: skip
    found = run(tmp_path, by_device, by_region).clues.sort("occurred_at")
    keys = [(row["origin_id"], row["key"].split("/")[0]) for row in found.to_dicts()]
    assert keys == [
        ("test-rule", SHOP),
        ("test-rule", OTHER),
        ("test-region", "region:320102"),
        ("test-region", "region:110101"),
    ]


def fed(clue: Mapping[str, Any], verdict: str, seq: int = 3) -> bytes:
    """A feedback step of the clue log."""
    state = {"origin_id": clue["origin_id"], "key": clue["key"], "occurred_at": clue["occurred_at"], "verdict": verdict}
    state |= {"claimed_at": T0, "fed_back_at": T0 + 30 * MINUTE}
    step = {
        "clue_id": clue["clue_id"],
        "seq": seq,
        "command_id": "c",
        "verb": "feedback",
        "actor": "a",
        "department": "fire-rescue",
    }
    return encode(CLUE_LOG, step | {"accepted": True, "reason": "", "at": T0, "state": json.dumps(state)})


LOOSE = {"when": '"value > 8"', "episode": "{quiet: 10m}"}
STRICT = {"when": '"value > 10"', "episode": "{quiet: 10m}"}


def noisy(root: Path) -> Backtest:
    """Six episodes, three of them grave; feedback on five. Returns what the loose rule says of them."""
    values = [9.0, 12.0, 9.0, 12.0, 9.0, 12.0]
    archive(root, [event(i * 60 + j, value=v + j) for i, v in enumerate(values) for j in range(2)])
    found = run(root, rule(**LOOSE))
    verdicts = ["false-alarm", "confirmed", "false-alarm", "confirmed", "confirmed"]
    rows = [
        Record(i, T0 + i, b"", fed(clue, v))
        for i, (clue, v) in enumerate(zip(found.clues.to_dicts(), verdicts, strict=False))
    ]
    rows.append(
        Record(9, T0 + 9, b"", fed(found.clues.to_dicts()[2], "unclear", seq=2))
    )  # an earlier word on the third
    write(root, {("clue-log", 0): rows})
    return found


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> dict[str, Any]:
    """The JSON object that a command ends with."""
    main(["rules", "backtest", *tokens, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_draft_is_weighed_by_what_departments_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Precision and recall by the labels of the rule's live clues; the difference to the live version clue by clue."""
    root = tmp_path / "archive"
    assert noisy(root).clues.height == 6
    assert labels(root)["verdict"].to_list() == ["false-alarm", "confirmed", "false-alarm", "confirmed", "confirmed"]
    loose, strict = tmp_path / "loose.yaml", tmp_path / "strict.yaml"
    loose.write_text(rule(**LOOSE).text, "utf-8")
    strict.write_text(rule(**STRICT).text, "utf-8")
    found = said(capsys, str(strict), "--archive", str(root), "--against", str(loose))
    # At 12 and 13 degrees; 9.0 then 10.0 is not above 10.
    assert (found["clues"], found["confirmed"], found["false_alarms"], found["unknown"]) == (3, 2, 0, 1)
    assert found["precision"] == 1.0
    assert found["recall"] == pytest.approx(2 / 3)
    other = found["against"]
    assert (other["clues"], other["precision"]) == (6, pytest.approx(3 / 5))
    assert (other["added"]["clues"], other["same"]) == (0, 3)
    assert other["removed"]["clues"] == 3
    assert (other["removed"]["false-alarm"], other["removed"]["confirmed"]) == (2, 1)
    assert other["minutes_saved"] == 60.0
    assert sum(found["by_day"].values()) == 3
    main(["rules", "backtest", str(strict), "--archive", str(root), "--against", str(loose)])
    assert "查准率 precision 100.0%" in capsys.readouterr().out


def test_a_clue_that_opens_the_same_episode_elsewhere_has_its_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stricter version may fire on the second reading of an episode."""
    root, path = tmp_path / "archive", tmp_path / "later.yaml"
    noisy(root)
    path.write_text(rule(when='"value > 12.5"', episode="{quiet: 10m}").text, "utf-8")
    found = said(capsys, str(path), "--archive", str(root))
    assert (found["clues"], found["confirmed"], found["unknown"]) == (3, 2, 1)


def test_a_filter_shows_what_it_would_hide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the labels of what is hidden."""
    root, path, held = tmp_path / "archive", tmp_path / "loose.yaml", tmp_path / "filter.yaml"
    noisy(root)
    path.write_text(rule(**LOOSE).text, "utf-8")
    held.write_text(
        'id: small-ones\nrules: [test-rule]\nwhere: "value < 11"\nuntil: 2027-01-01\nreason: 试\nowner: 张三\n', "utf-8"
    )
    assert parse_filter(held.read_text("utf-8"), "x").id == "small-ones"
    found = said(capsys, str(path), "--archive", str(root), "--filter", str(held))
    assert found["clues"] == 3
    assert found["hidden"] == {"small-ones": 6}
    assert found["without_filter"]["removed"]["false-alarm"] == 2


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (("no.yaml",), "cannot be read"),
        (("rule.yaml", "--from", "March"), "like 2026-03-01"),
        (("rule.yaml", "--from", "2026-03-02", "--to", "2026-03-02"), "--to is not after"),
        (("rule.yaml",), "no archived events"),
    ],
)
def test_wrong_use_is_one_line(
    tokens: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rule.yaml").write_text(rule().text, "utf-8")
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "backtest", *tokens, "--archive", str(tmp_path / "archive")])
    assert leaving.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_sweep_shows_what_each_value_would_have_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one pass; alarms fall as the threshold rises, precision rises until there is nothing left."""
    root, path, page = tmp_path / "archive", tmp_path / "loose.yaml", tmp_path / "sweep.html"
    noisy(root)
    path.write_text(rule(**LOOSE).text, "utf-8")
    given = ["--vary", "value > 8", "--over", "8:14:2", "--archive", str(root), "--html", str(page)]
    main(["rules", "sweep", str(path), *given, "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["now"] == 8.0
    assert [(p["value"], p["clues"], p["precision"]) for p in found["points"]] == [
        (8.0, 6, pytest.approx(3 / 5)), (10.0, 3, 1.0), (12.0, 3, 1.0), (14.0, 0, None),
    ]  # fmt: skip
    assert [p["recall"] for p in found["points"]] == [pytest.approx(x) for x in (1.0, 2 / 3, 2 / 3, 0.0)]
    main(["rules", "sweep", str(path), *given])
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines[2:]] == ["*", " ", " ", " "]
    assert "查准率与查全率" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("vary", "over", "words"),
    [
        ("value > 9", "1:2:1", "it holds value > 8"),
        ("value", "1:2:1", "must be a bool"),
        ("value > value", "1:2:1", "no comparison with a number"),
        ("valu > 8", "1:2:1", "did you mean 'value'?"),
        ("value > 8", "1:2", "FROM:TO:STEP"),
        ("value > 8", "2:1:1", "values go up"),
        ("value > 8", "1:2:0", "values go up"),
        ("value > 8", "nan:2:1", "values go up"),
        ("value > 8", "0:100:1", "too many"),
    ],
)
def test_a_sweep_of_nothing_is_one_line(
    vary: str, over: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    path = tmp_path / "rule.yaml"
    path.write_text(rule().text, "utf-8")
    with pytest.raises(SystemExit) as leaving:
        main(["rules", "sweep", str(path), "--vary", vary, "--over", over, "--archive", str(tmp_path)])
    assert leaving.value.code == 2
    assert words in capsys.readouterr().err


def test_a_page_needs_nothing_beside_it_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No script, no address but those that name SVG itself; what rules and events say is text."""
    root, loose, strict, page = (tmp_path / name for name in ("archive", "loose.yaml", "strict.yaml", "page.html"))
    noisy(root)
    loose.write_text(rule(**LOOSE, explain='"<b>{value}</b>"').text, "utf-8")
    strict.write_text(rule(**STRICT, title='"<script>alert(1)</script>"').text, "utf-8")
    main(
        [
            "rules",
            "backtest",
            str(strict),
            "--archive",
            str(root),
            "--against",
            str(loose),
            "--html",
            str(page),
            "--json",
        ]
    )
    capsys.readouterr()
    text = page.read_text("utf-8")
    assert "<script" not in text.lower()
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "javascript:" not in text
    links = set(re.findall(r"""(?:href|src)=["']([^"'#][^"']*)""", text)) | set(re.findall(r"url\(([^#)][^)]*)", text))
    assert links == set()
    assert "逐条差异" in text
    with pytest.raises(SystemExit):
        main(["rules", "backtest", str(strict), "--archive", str(root), "--html", str(tmp_path / "no" / "x.html")])
    assert "cannot be written" in capsys.readouterr().err


def whys(capsys: pytest.CaptureFixture[str], *tokens: str) -> list[dict[str, Any]]:
    """The events that `rules why` tells of."""
    main(["rules", "why", *tokens, "--json"])
    events: list[dict[str, Any]] = json.loads(capsys.readouterr().out.splitlines()[-1])["events"]
    return events


def test_why_and_why_not_for_a_subject_and_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last events up to the time, with every part of the condition; the clue has the id of the back-test."""
    root, path = tmp_path / "archive", tmp_path / "loose.yaml"
    clues = noisy(root).clues.to_dicts()
    path.write_text(rule(**LOOSE).text, "utf-8")
    given = (str(path), SHOP, "--archive", str(root))
    found = whys(capsys, *given, "--at", "2026-01-05 01:30", "--last", "2")
    assert [(one["event_id"], one["verdict"]) for one in found] == [("e60", "clue"), ("e61", "in an episode")]
    assert found[0]["clue_id"] == clues[1]["clue_id"]
    assert found[0]["parts"] == [{"text": "value > 8", "holds": True, "alternatives": []}]
    assert found[0]["values"]["value"] == 12.0
    main(["rules", "why", *given])
    assert "✓ value > 8" in capsys.readouterr().out
    main(["rules", "why", str(path), OTHER, "--archive", str(root)])
    assert "没有会触发该规则的事件" in capsys.readouterr().out


def test_why_for_a_region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events of all its subjects, as the regional stage would have had them."""
    root, path = tmp_path / "archive", tmp_path / "crowd.yaml"
    archive(root, [event(0), event(1, subject=OTHER), event(2, region="110101"), event(3, subject=OTHER)])
    features = "{n: {agg: distinct, of: subject, within: 1h, by: region}}"
    path.write_text(
        rule(features=features, when='"n >= 2"', explain="{n}", episode="{by: region, quiet: 1h}").text, "utf-8"
    )
    found = whys(capsys, str(path), "region:320102", "--archive", str(root))
    assert [(one["values"]["n"], one["verdict"]) for one in found] == [
        (1, "when is not true"), (2, "clue"), (2, "in an episode"),
    ]  # fmt: skip
    for wrong in ((SHOP,), ("region:320102", "--at", "noon"), ("region:320102", "--last", "0")):
        with pytest.raises(SystemExit) as leaving:
            main(["rules", "why", str(path), *wrong, "--archive", str(root)])
        assert leaving.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def _frames(draw: st.DrawFn) -> list[pl.DataFrame]:
    """A topic: frames of rows with log times that mostly rise."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=5))
    frames, at, offset = [], 0, 0
    for size in sizes:
        steps = [draw(st.sampled_from([-150, 0, 10, 99, 100, 350])) for _ in range(size)]
        times = [max(0, at := at + step) for step in steps]
        frames.append(pl.DataFrame({"_ts": times, "_offset": range(offset, offset + size)}))
        offset += size
    return frames


@st.composite
def topics(draw: st.DrawFn) -> dict[str, list[pl.DataFrame]]:
    """One to three topics."""
    return {name: _frames(draw) for name in "abc"[: draw(st.integers(1, 3))]}


def _flat(found: Iterator[tuple[str, pl.DataFrame]]) -> list[tuple[str, int, int]]:
    return [(kind, *row) for kind, frame in found for row in frame.select("_offset", "_ts").iter_rows()]


@given(given_topics=topics())
def test_merging_loses_nothing_and_keeps_order(given_topics: dict[str, list[pl.DataFrame]]) -> None:
    """Each topic in its own order; over all topics by slots of log time, however the topics are cut into frames."""
    rows = _flat(merged({name: iter(frames) for name, frames in given_topics.items()}))
    for name, frames in given_topics.items():
        offsets = [offset for kind, offset, _ in rows if kind == name]
        assert offsets == list(range(sum(frame.height for frame in frames)))
    if len(given_topics) > 1:
        slots, last = [], dict.fromkeys(given_topics, 0)
        for kind, _, ts in rows:
            last[kind] = max(last[kind], ts // 100)
            slots.append(last[kind])
        assert slots == sorted(slots)
        whole = {name: iter([pl.concat(frames)] if frames else []) for name, frames in given_topics.items()}
        assert _flat(merged(whole)) == rows


@given(given_topics=topics(), data=st.data())
def test_a_schedule_is_kept_and_what_it_leaves_comes_after(
    given_topics: dict[str, list[pl.DataFrame]], data: st.DataObject
) -> None:
    """Offsets are taken as the progress records say."""
    order, ends = [], dict.fromkeys(given_topics, 0)
    for name in data.draw(st.lists(st.sampled_from(sorted(given_topics)), max_size=8)):
        ends[name] += data.draw(st.integers(0, 5))
        order.append((name, ends[name]))
    rows = _flat(scheduled({name: iter(frames) for name, frames in given_topics.items()}, order))
    sizes = {name: sum(frame.height for frame in frames) for name, frames in given_topics.items()}
    wanted: list[tuple[str, int]] = []
    done = dict.fromkeys(given_topics, 0)
    for name, end in order:
        wanted += [(name, offset) for offset in range(done[name], min(end, sizes[name]))]
        done[name] = max(done[name], min(end, sizes[name]))
    assert [(kind, offset) for kind, offset, _ in rows[: len(wanted)]] == wanted
    assert len(rows) == sum(sizes.values())
    assert len({(kind, offset) for kind, offset, _ in rows}) == len(rows)
    assert np.all([offset >= done[kind] for kind, offset, _ in rows[len(wanted) :]])


def test_the_benchmark_judges_what_it_wrote(tmp_path: Path) -> None:
    """In the small: each event once, and the clues that a pass in this process gives."""
    bench.write(tmp_path, 30_000)
    found = bench.judge(tmp_path)
    assert (found.events, found.clues) == (30_000, run(tmp_path, *bench.fifty()).clues.height)
    assert found.clues > 0
    assert found.memory > 50
