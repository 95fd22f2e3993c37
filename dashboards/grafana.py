"""The first Grafana dashboard, as data: the engine's journey in rows, every query by Prometheus.

`python -m fengsui.docs` writes it to dashboards/grafana/overview.json; import that file and choose a Prometheus source.

>>> board = overview()
>>> board["title"], len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
('烽燧总览 Fengsui overview', True)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PATH: Final = Path(__file__).with_name("grafana") / "overview.json"
_WIDTH: Final = 24
_HEIGHT: Final = 7
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: title, queries (legend -> PromQL), unit of Grafana, kind and width in 24ths."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8


def _p(seconds: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({seconds}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "此刻 Now": (
        Panel("每秒事件 Events", {"": "sum(rate(fengsui_events_total[5m]))"}, "ops", "stat", 4),
        Panel("每小时线索 Clues an hour", {"": "sum(increase(fengsui_clues_total[1h]))"}, "short", "stat", 4),
        Panel("每秒死信 Dead letters", {"": "sum(rate(fengsui_rejected_total[5m]))"}, "ops", "stat", 4),
        Panel("积压 Lag", {"": "sum(fengsui_lag)"}, "short", "stat", 4),
        Panel("线索延迟 p99 Clue latency", {"": _p(0.99, "fengsui_clue_latency_seconds")}, "s", "stat", 4),
        Panel("归档落后 Archive behind", {"": "max(fengsui_archive_lag_seconds)"}, "s", "stat", 4),
    ),
    "来 Events in": (
        Panel("事件：种类 by kind", {"{{kind}}": _rate("fengsui_events_total", "kind")}, "ops"),
        Panel("事件：领域 by sector", {"{{sector}}": _rate("fengsui_events_total", "sector")}, "ops"),
        Panel(
            "网关 Gateways",
            {
                "{{gateway}} {{kind}}": _rate("fengsui_gateway_events_accepted_total", "gateway, kind"),
                "{{gateway}} {{reason}}": _rate("fengsui_gateway_events_rejected_total", "gateway, reason"),
            },
            "ops",
        ),
        Panel("死信：原因 Dead letters", {"{{reason}}": _rate("fengsui_rejected_total", "reason")}, "ops"),
        Panel(
            "重复、迟到、改道 Repeated, late, rerouted",
            {
                "重复 {{kind}}": _rate("fengsui_duplicates_total", "kind"),
                "迟到 {{kind}}": _rate("fengsui_late_total", "kind"),
                "改道 {{kind}}": _rate("fengsui_rerouted_total", "kind"),
            },
            "ops",
        ),
        Panel(
            "网关应答时间 p99 Answer time",
            {"{{gateway}}": _p(0.99, "fengsui_gateway_request_seconds", "gateway")},
            "s",
        ),
    ),
    "判 Clues": (
        Panel("线索：等级 by severity", {"{{severity}}": _rate("fengsui_clues_total", "severity")}, "ops"),
        Panel("线索：领域 by sector", {"{{sector}}": _rate("fengsui_clues_total", "sector")}, "ops"),
        Panel(
            "最多的规则 Busiest rules",
            {"{{origin_id}}": "topk(10, sum by (origin_id) (increase(fengsui_clues_total[1h])))"},
            kind="bargauge",
        ),
        Panel("抑制与限流 Suppressed", {"{{rule}} {{why}}": _rate("fengsui_suppressed_total", "rule, why")}, "ops"),
        Panel(
            "线索延迟 Clue latency",
            {"p50": _p(0.5, "fengsui_clue_latency_seconds"), "p99": _p(0.99, "fengsui_clue_latency_seconds")},
            "s",
        ),
        Panel("模型学习 Learning", {"{{sector}} {{model}}": _rate("fengsui_learned_total", "sector, model")}, "ops"),
    ),
    "办 Desk": (
        Panel("处置步骤 Steps", {"{{verb}} {{outcome}}": _rate("fengsui_desk_steps_total", "verb, outcome")}, "ops"),
        Panel("签收用时 p90 Time to claim", {"{{sector}}": _p(0.9, "fengsui_clue_claim_seconds", "sector")}, "s"),
        Panel("反馈用时 p90 Time to feedback", {"{{sector}}": _p(0.9, "fengsui_clue_feedback_seconds", "sector")}, "s"),
        Panel("反馈结论 Verdicts", {"{{verdict}}": _rate("fengsui_feedback_total", "verdict")}, "ops"),
        Panel("实时视图落后 View lag", {"{{partition}}": "sum by (partition) (fengsui_view_lag_records)"}),
        Panel("视图重建 View rebuilds", {"": "sum(increase(fengsui_view_rebuilds_total[1h]))"}),
    ),
    "机 Engine": (
        Panel("积压：主题 Lag by topic", {"{{topic}}": "sum by (topic) (fengsui_lag)"}),
        Panel("批大小 p50 Batch rows", {"{{stage}}": _p(0.5, "fengsui_batch_rows", "stage")}),
        Panel(
            "每批用时 p99 Batch time",
            {
                "判定 {{stage}}": _p(0.99, "fengsui_step_seconds", "stage"),
                "提交 {{stage}}": _p(0.99, "fengsui_commit_seconds", "stage"),
            },
            "s",
        ),
        Panel("任务 Tasks", {"{{stage}}": "sum by (stage) (fengsui_tasks)"}),
        Panel("状态行数 State rows", {"{{store}}": "sum by (store) (fengsui_state_rows)"}),
        Panel("检查点大小 Checkpoints", {"{{task}}": "sum by (task) (fengsui_checkpoint_bytes)"}, "bytes"),
        Panel(
            "失败与等待 Failures and waits",
            {
                "失败 {{stage}} {{cause}}": _rate("fengsui_task_failures_total", "stage, cause"),
                "等待 {{stage}}": _rate("fengsui_kafka_waits_total", "stage"),
            },
            "ops",
        ),
        Panel("恢复用时 p99 Recovery", {"{{stage}}": _p(0.99, "fengsui_recovery_seconds", "stage")}, "s"),
        Panel("再均衡 Rebalances", {"": "sum(increase(fengsui_rebalances_total[1h]))"}),
    ),
    "存 Archive": (
        Panel("归档记录 Rows", {"{{topic}}": _rate("fengsui_archive_rows_total", "topic")}, "ops"),
        Panel("归档字节 Bytes", {"{{topic}}": _rate("fengsui_archive_bytes_total", "topic")}, "Bps"),
        Panel(
            "落后与等待 Behind and waiting",
            {
                "落后": "max(fengsui_archive_lag_seconds)",
                "等待 {{cause}}": _rate("fengsui_archive_waits_total", "cause"),
            },
        ),
    ),
}


def overview() -> dict[str, Any]:
    """The dashboard as Grafana's JSON model; the same on every call."""
    source = {"name": "source", "label": "数据源 source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "fengsui-overview",
        "title": "烽燧总览 Fengsui overview",
        "tags": ["fengsui"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": list(_panels()),
    }


def queries() -> Iterator[str]:
    """Every PromQL text of the dashboard, with Grafana's variable filled in."""
    for panels in ROWS.values():
        for panel in panels:
            for query in panel.queries.values():
                yield query.replace("$__rate_interval", "5m")


def text() -> str:
    """The file's text."""
    return json.dumps(overview(), ensure_ascii=False, indent=1) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for title, panels in ROWS.items():
        yield {"id": number, "type": "row", "title": title, "gridPos": _place(0, y, _WIDTH, 1), "panels": []}
        number, x, y = number + 1, 0, y + 1
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + _HEIGHT
            yield _panel(panel, number, _place(x, y, panel.width, _HEIGHT))
            number, x = number + 1, x + panel.width
        y += _HEIGHT


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend or "__auto", "datasource": _SOURCE}
        for i, (legend, expr) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": targets,
    }
