"""What the demo prints: counts per stage, clues per sector and severity, latency, recall and precision per story."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from connectors.city import Report
from topics.codes import SECTORS, SEVERITIES
from topics.events import KINDS

Json = dict[str, Any]


def counters(pages: Iterable[str]) -> dict[str, Counter[str]]:
    """Metric -> label values (in order of the labels' names, joined by "/") -> sum over the workers' pages; counters only."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for page in pages:
        for family in text_string_to_metric_families(page):
            if family.type == "counter":
                for sample in family.samples:
                    if sample.name.endswith("_total"):
                        found[family.name]["/".join(v for _, v in sorted(sample.labels.items()))] += int(sample.value)
    return found


def gauge(page: str, name: str) -> float:
    """A gauge without labels on a page of metrics; 0 where it is not there."""
    for family in text_string_to_metric_families(page):
        if family.name == name:
            return float(family.samples[0].value)
    return 0.0


def by_sector(clues: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Sector -> severity -> clues; every sector is there."""
    counts: dict[str, dict[str, int]] = {sector: dict.fromkeys(SEVERITIES, 0) for sector in SECTORS}
    for clue in clues:
        counts[str(clue["sector"])][str(clue["severity"])] += 1
    return counts


def latency(waits: Sequence[int]) -> dict[str, float]:
    """p50 and p99 of waits in ms."""
    if not waits:
        return {"p50": 0.0, "p99": 0.0}
    p50, p99 = np.percentile(np.array(waits), [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


def stories(report: Report) -> dict[str, dict[str, int]]:
    """Story -> found, expected, false."""
    return {
        name: {"found": tally.found, "expected": tally.expected, "false": tally.false}
        for name, tally in sorted(report.stories.items())
    }


def stages(sent: Counter[str], metrics: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Stage -> counts, from the gateways' own count and the workers' metrics."""
    events = metrics.get("fengsui_events", Counter())
    rejected = metrics.get("fengsui_rejected", Counter())
    duplicates = metrics.get("fengsui_duplicates", Counter())
    by_kind: Counter[str] = Counter()
    for labels, n in events.items():
        by_kind[labels.split("/")[0]] += n
    steps = metrics.get("fengsui_desk_steps", Counter())
    return {
        "gateways": dict(sent),
        "doors": {
            name: metrics.get(f"fengsui_gateway_{counted}", Counter()).total()
            for name, counted in (("repeated", "events_repeated"), ("folded", "frames_folded"))
        },
        "intake": {
            "accepted": events.total(),
            "rejected": sum(n for labels, n in rejected.items() if labels.endswith("/intake")),
            "duplicates": duplicates.total(),
        },
        "detect": {kind: by_kind[kind] for kind in KINDS},
        "clues": {"raised": metrics.get("fengsui_clues", Counter()).total()},
        "dispatch": {labels.removeprefix("ok/"): n for labels, n in steps.items() if labels.startswith("ok/")},
        "feedback": dict(metrics.get("fengsui_feedback", Counter())),
        "learning": dict(metrics.get("fengsui_learned", Counter()))
        | {f"{name}/snapshots": n for name, n in metrics.get("fengsui_snapshots", Counter()).items()},
    }


def show(result: Json, console: Console) -> None:
    """The result as tables, Chinese first."""
    console.print(_clues(result["clues"]))
    console.print(_stories(result["stories"]))
    console.print(
        f"事件 (events) {result['events']:,} · {result['events_per_second']:,} 条/秒 (events/s) · "
        f"时延 (latency) p50 {result['latency_ms']['p50']:.0f} ms, p99 {result['latency_ms']['p99']:.0f} ms"
    )
    console.print(
        f"认领 (claimed) {result['claimed']:,} · 反馈 (fed back) {result['fed_back']:,} · "
        f"死信 (rejected) {result['rejected']:,} · 归档 (archived) {result['archived']:,} 条记录 (records), "
        f"{'已核验 (verified)' if result['archive_verified'] else '核验失败 (NOT verified)'}"
    )
    console.print(f"召回率 (recall) {result['recall']:.3f} · 精确率 (precision) {result['precision']:.3f}")


def _clues(counts: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(title="线索 (clues)", title_justify="left")
    table.add_column("领域 (sector)")
    for severity in reversed(SEVERITIES.values()):
        table.add_column(f"{severity.zh} ({severity.en})", justify="right")
    for sector, row in counts.items():
        table.add_row(SECTORS[sector].zh, *(str(row[code]) for code in reversed(SEVERITIES)))
    return table


def _stories(tallies: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(title="预埋风险 (planted stories)", title_justify="left")
    for column in ("故事 (story)", "发现 (found)", "应有 (expected)", "误报 (false)"):
        table.add_column(column, justify="left" if column.startswith("故") else "right")
    for name, tally in tallies.items():
        table.add_row(name, str(tally["found"]), str(tally["expected"]), str(tally["false"]))
    return table
