"""Rules and events for tests, with only what matters written out."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from rules import Judge, Rule, parse_rule
from rules.selftest import LATENESS
from topics.events import KINDS

T0 = 1_767_542_400_000  # Monday 2026-01-05 00:00 in Beijing
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHOP = "uscc:91350100M000100Y43"
_DEFAULTS = {
    "id": "test-rule",
    "title": "测试规则",
    "sector": "food-drug",
    "status": "live",
    "on": "iot",
    "when": '"value > 8"',
    "severity": "orange",
    "episode": "{quiet: 2h}",
    "department": "market-supervision",
    "explain": '"{subject_name} 测得 {value:.1f}"',
}


def rule(**keys: str | None) -> Rule:
    """A rule; values are YAML, but `explain` may go without quotes. None leaves a key out."""
    given = {name: text for name, text in {**_DEFAULTS, **keys}.items() if text is not None}
    given["explain"] = f'"{given["explain"].strip(chr(34))}"'
    return parse_rule("\n".join(f"{name}: {text}" for name, text in given.items()), "test-rule.yaml")


def event(at: float, kind: str = "iot", **given: Any) -> dict[str, Any]:
    """An event `at` minutes after T0, observed and arrived then unless said otherwise."""
    ts = T0 + int(at * MINUTE)
    base: dict[str, Any] = {
        "event_id": f"e{at}",
        "kind": kind,
        "sector": "food-drug",
        "subject": SHOP,
        "subject_name": "甲餐馆",
    }
    base |= {"region": "320102", "occurred_at": ts, "observed_at": ts, "source": "test", "_ts": ts}
    own: dict[str, Any] = {"iot": {"device_id": "d1", "metric": "temp", "value": 9.0}}.get(kind, {})
    return {**base, **own, **given}


def frame(events: Sequence[dict[str, Any]], first_offset: int = 0) -> pl.DataFrame:
    """A chunk of events of one kind."""
    kind = KINDS[events[0]["kind"]]
    schema: dict[str, Any] = {**kind.schema.columns, "_offset": pl.Int64, "_ts": pl.Int64}
    if "_key" in events[0]:
        schema["_key"] = pl.String
    rows = [{"_offset": first_offset + i, **e} for i, e in enumerate(events)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def judge_of(*rules: Rule, **given: Any) -> Judge:
    """A judge by subject with the usual lateness."""
    return Judge(list(rules), **{"scope": "subject", "lateness": LATENESS, **given})


def run(judge: Judge, events: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Clues of events, each run of one kind as one chunk."""
    found, i = [], 0
    while i < len(events):
        j = i
        while j < len(events) and events[j]["kind"] == events[i]["kind"]:
            j += 1
        kind = events[i]["kind"]
        found.append(judge.judge(kind, frame(events[i:j], i), topic=f"events.{kind}", partition=3))
        i = j
    return pl.concat(found)


def minutes(clues: pl.DataFrame) -> list[float]:
    """When the clues' events occurred, in minutes after T0."""
    return [(at - T0) / MINUTE for at in clues["occurred_at"].to_list()]
