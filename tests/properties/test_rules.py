"""Laws of judgement: clues are a function of the order of events, whatever the batches, restarts or reloads in between."""

from itertools import pairwise
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Judge, Rule
from rules.durations import milliseconds, spoken
from rules.errors import SqlError
from rules.load import COLUMNS
from rules.selftest import LATENESS
from rules.sql import parse
from tests.unit.rules.build import MINUTE, event, frame, rule
from topics.events import KINDS

SEVERITY = '{yellow: "value > 5", red: "value > 9"}'
LOCAL = [
    rule(id="threshold", when='"value > 7"', severity=SEVERITY, episode="{by: device_id, quiet: 10m}"),
    rule(
        id="sustained",
        features="{n: {agg: count, within: 10m, by: device_id}, a: {agg: avg, of: value, within: 10m, by: device_id}}",
        when='"n >= 3 AND a > 5"',
        severity='{orange: "true", red: "a > 8"}',
        episode="{by: device_id, quiet: 5m}",
        explain="{n} {a:.3f}",
    ),
    rule(
        id="across-kinds",
        on="[complaint, iot]",
        features="{c: {agg: count, within: 20m, where: \"kind = 'complaint'\"}, m: {agg: last, of: metric, within: 5m}}",
        when="\"c >= 2 AND (m = 'hum' OR kind = 'complaint')\"",
        episode="{quiet: 3m}",
        explain="{c} {m}",
    ),
    rule(
        id="in-shadow",
        status="shadow",
        features="{d: {agg: distinct, of: metric, within: 15m}, r: {agg: rate, of: value, within: 15m}}",
        when='"d >= 2 AND r > 10"',
        explain="{d} {r:.2f}",
    ),
]
LOCAL += [
    rule(
        id="in-order",
        on="[complaint, iot]",
        when=None,
        sequence='{steps: ["kind = \'complaint\'", "value > 7", "metric = \'hum\'"], within: 20m}',
        episode="{quiet: 4m}",
        explain="{metric}",
    ),
    rule(
        id="silent",
        when="\"metric = 'temp'\"",
        absence="{within: 4m}",
        episode="{by: device_id, quiet: 5m}",
        explain="{device_id} {occurred_at}",
    ),
    rule(
        id="unanswered",
        on="complaint",
        features="{c: {agg: count, within: 20m, where: \"kind = 'complaint'\"}}",
        when='"c >= 1"',
        absence="{of: \"metric = 'hum'\", within: 6m, grace: 1m}",
        severity='{orange: "true", red: "c >= 3"}',
        episode="{quiet: 2m}",
        explain="{c}",
    ),
]
REGIONAL = [
    rule(
        id="cluster",
        on="complaint",
        features="{n: {agg: distinct, of: subject, within: 30m, by: region}}",
        when='"n >= 2"',
        episode="{quiet: 5m}",
        explain="{region} {n}",
    )
]


@st.composite
def timelines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of two subjects, two devices and two kinds, some late, some too late, some at the same time."""
    events, now = [], 0.0
    for i in range(draw(st.integers(1, 45))):
        now += draw(st.sampled_from([0, 0.5, 1, 3, 11, 200]))
        behind = draw(st.sampled_from([0, 0, 0, 0, 2, 6, 15]))
        given_: dict[str, Any] = {
            "event_id": f"e{i}",
            "subject": draw(st.sampled_from(["site:1", "site:2"])),
            "region": draw(st.sampled_from(["320102", "110101", None])),
        }
        if draw(st.integers(0, 3)):
            given_ |= {
                "device_id": draw(st.sampled_from(["d1", "d2"])),
                "metric": draw(st.sampled_from(["temp", "hum"])),
            }
            given_ |= {"kind": "iot", "value": draw(st.sampled_from([1.0, 6.0, 8.0, 12.5]))}
        else:
            given_ |= {"kind": "complaint", "complaint_type": "complaint"}
        arrived = event(now)["_ts"]
        prompt = draw(st.integers(0, 7)) > 0
        observed = arrived if prompt else arrived + 30 * 24 * 60 * MINUTE
        events.append(event(now - behind, **given_) | {"observed_at": observed, "_ts": arrived})
    return events


def judge_of(rules: list[Rule], scope: Any) -> Judge:
    return Judge(rules, scope=scope, lateness=LATENESS, cap_per_hour=3)


class House:
    """Both stages over one log: the subject's judge, and the regional one on its copies."""

    def __init__(self) -> None:
        rules = [*LOCAL, *REGIONAL]
        self.here, self.there = judge_of(rules, "subject"), judge_of(rules, "foreign")

    def take(self, events: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
        """Clues of a batch; runs of one kind become chunks."""
        found: list[dict[str, Any]] = []
        start = 0
        for end in range(1, len(events) + 1):
            if end < len(events) and events[end]["kind"] == events[start]["kind"]:
                continue
            kind = KINDS[events[start]["kind"]]
            chunk = frame(events[start:end], first + start)
            found += self.here.judge(kind.code, chunk, topic=kind.topic, partition=0).to_dicts()
            copies = self.here.copies(kind.code, chunk)
            rekeyed = chunk[copies["row"].to_numpy()].with_columns(copies["key"].alias("_key"))
            found += self.there.judge(kind.code, rekeyed, topic=kind.topic, partition=0).to_dicts()
            start = end
        return found

    def restarted(self) -> "House":
        """Another house that begins from this one's snapshots."""
        other = House()
        other.here.restore(self.here.snapshot())
        other.there.restore(self.there.snapshot())
        return other


def by_origin(clues: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Clues of each rule in order: how the two stages interleave depends on batches, what each says does not."""
    found: dict[str, list[dict[str, Any]]] = {}
    for clue in clues:
        found.setdefault(clue["origin_id"], []).append(clue)
    return found


@given(timelines(), st.data())
@settings(max_examples=80, deadline=None)
def test_batches_and_restarts_change_nothing(events: list[dict[str, Any]], data: st.DataObject) -> None:
    """The same events in one batch, or in any batches with restarts and reloads between, give the same clues, all fields."""
    whole = House().take(events, 0)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=6)))
    house, parts = House(), []
    for first, last in pairwise([0, *cuts, len(events)]):
        if data.draw(st.booleans()):
            house = house.restarted()
        if data.draw(st.booleans()):
            house.here.replace([*LOCAL, *REGIONAL], {})
        parts += house.take(events[first:last], first)
    assert by_origin(parts) == by_origin(whole)


@given(timelines())
@settings(max_examples=40, deadline=None)
def test_ids_are_unique_and_rules_do_not_disturb_each_other(events: list[dict[str, Any]]) -> None:
    """No clue id comes twice; a rule alone raises what it raises in company."""
    together = House().take(events, 0)
    assert len({clue["clue_id"] for clue in together}) == len(together)
    for one in LOCAL:
        alone = judge_of([one], "subject")
        found = []
        for i, item in enumerate(events):
            found += alone.judge(item["kind"], frame([item], i), topic=f"events.{item['kind']}", partition=0).to_dicts()
        assert found == by_origin(together).get(one.id, [])


@given(st.integers(0, 400 * 24 * 60 * 60))
def test_durations_read_back(seconds: int) -> None:
    """What `spoken` says, `milliseconds` reads."""
    assert milliseconds(spoken(seconds * 1000)) == seconds * 1000


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever an analyst types, the parser answers with a tree or a SqlError, never with another failure."""
    try:
        kind, offset = parse(text, COLUMNS).type, 0
    except SqlError as error:
        kind, offset = "bool", error.offset
    assert kind == "bool"
    assert 0 <= offset <= len(text)


_WORDS = """value metric ( ) AND OR NOT = <> > < + - * / % , ' 'a' 1 0 -1 IN list('k') BETWEEN LIKE IS NULL TRUE CASE WHEN
THEN ELSE END COALESCE CAST AS DOUBLE ABS hour occurred_at SELECT FROM ; . [ ] { } @ $1 -- /* */ " ` :: || -> ~ lower"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_words_of_sql_are_read_or_refused(words: list[str]) -> None:
    """Random words of SQL are refused or give a condition that compiles and runs."""
    from rules.compile import expression

    try:
        node = parse(" ".join(words), COLUMNS)
    except SqlError:
        return
    chunk = frame([event(0)])
    names = {name: pl.col(name) if name in chunk.columns else pl.lit(None, pl.String) for name in COLUMNS}
    chunk.select(pl.col("value"), expression(node, names, {}).alias("result"))
