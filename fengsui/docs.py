"""Pages and files that are made from code: `python -m fengsui.docs` writes them, a test proves that they are current."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from connectors.exchange import rules as exchange_rules
from dashboards import grafana
from fengsui.cli.common import say
from rules.schema import filter_schema, rule_schema
from topics import lock
from topics.catalogue import DAY, TOPICS, Topic
from topics.reasons import REASONS

ROOT: Final = Path(__file__).parents[1]
_MADE: Final = "<!-- made by `python -m fengsui.docs`; do not edit -->\n\n"
_ROOMS: Final = ("connectors", "streams", "rules", "models", "dashboards", "fengsui")
_TYPES: Final = {"counter": "计数 counter", "gauge": "当前值 gauge", "histogram": "分布 histogram"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is exposed: name (counters with `_total`), type, labels, help, the module that has it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    module: str

    @property
    def samples(self) -> frozenset[str]:
        """The names that PromQL may ask for."""
        ends = ("_bucket", "_sum", "_count") if self.type == "histogram" else ("",)
        return frozenset(self.name + end for end in ends)


def metrics() -> list[Metric]:
    """Every metric of the engine, by name: those of all modules named `metrics` or `…_metrics` in all rooms."""
    found: dict[str, Metric] = {}
    for name in _metric_modules():
        module = importlib.import_module(name)
        owners = [vars(module)]
        if hasattr(module, "shared"):  # metrics kept in an object, one for each registry
            owners.append(vars(module.shared()))
        for owner in owners:
            for value in owner.values():
                if isinstance(value, MetricWrapperBase):
                    metric = _metric(value, name)
                    found[metric.name] = metric
    return [found[name] for name in sorted(found)]


def topics_page() -> str:
    """docs/topics.md: every topic and the fields of its records."""
    lines = [
        _MADE + "# 主题 Topics\n",
        "名称前有前缀（设置 `topic_prefix`）。事件主题分区数相同，以监管对象为键；时间均为毫秒 UTC。",
        "Names stand after a prefix (a setting). Wire format: byte 0, 4-byte schema id, Avro body; event topics take JSON too.",
        "",
        "| topic | 名称 | key | partitions | kept | schema | writers | readers |",
        "|---|---|---|---|---|---|---|---|",
        *(_topic_row(topic) for topic in TOPICS.values()),
        "",
        "`rekeyed` 还载有各类事件的原样副本 also carries events of every kind, whole.",
        "",
        "# 记录 Records",
    ]
    for schema in sorted({t.schema.number: t.schema for t in TOPICS.values()}.values(), key=lambda s: s.number):
        lines += ["", f"## {schema.name} ({schema.id()})", "", f"{schema.doc}", ""]
        lines += ["| field | 名称 | type | required | since | meaning |", "|---|---|---|---|---|---|"]
        lines += [
            f"| `{f.name}` | {f.zh} | {f.type} | {'是 yes' if f.required else ''} | {f.since} | {_cell(f.doc)} |"
            for f in schema.fields
        ]
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """docs/reasons.md: every named reason."""
    lines = [
        _MADE + "# 原因 Named reasons\n",
        "死信、指标、应答和页面用同一个词。The same word in dead letter, metric, answer and page.",
        "",
        "| reason | 中文 | meaning | 可修正重发 mendable |",
        "|---|---|---|---|",
        *(f"| `{r.code}` | {r.zh} | {_cell(r.en)} | {'是 yes' if r.mendable else '否 no'} |" for r in REASONS.values()),
    ]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """docs/metrics.md: every metric."""
    lines = [
        _MADE + "# 指标 Metrics\n",
        "各工作进程在 `/metrics` 给出。Each worker shows them at `/metrics`; alert rules: `dashboards/prometheus/rules.yml`,",
        "dashboard: `dashboards/grafana/overview.json`.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in metrics():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {_TYPES[metric.type]} | {labels} | {_cell(metric.help)} |")
    return "\n".join(lines) + "\n"


def exchange_page() -> str:
    """docs/exchange.md: every rule of batch exchange."""
    lines = [
        _MADE + "# 批量交换规则 Rules of batch exchange\n",
        "修正：清洗后计数。提示：保留、计数、列入报告。拒绝：死信并列入报告。跳过：不发送，计数并列入报告。",
        "mend: cleaned. warn: kept, listed in the report. refuse: a dead letter, listed. skip: not sent, listed. All: counted.",
        "",
        "依据：[S] 见于公开来源的字段清单或样例，[M] 凭记忆、待核，GB 为国家标准；“本项目”为我们所定。",
        "字段清单：1.1 行政检查记录，1.2 行政处罚行为，1.4 双公示（含浙江），1.6 投诉举报，1.9 执法人员。",
        "Numbers are those lists; [S] seen in a public source, [M] from memory, to be checked; ours: chosen here.",
        "",
        exchange_rules.table(),
    ]
    return "\n".join(lines)


def made() -> dict[Path, str]:
    """Path below the checkout -> text, of everything that is made from code. Raises SchemaChangedError."""
    published = lock.locked() if lock.PATH.exists() else {}
    return {
        Path("docs/topics.md"): topics_page(),
        Path("docs/reasons.md"): reasons_page(),
        Path("docs/metrics.md"): metrics_page(),
        Path("docs/exchange.md"): exchange_page(),
        grafana.PATH.relative_to(ROOT): grafana.text(),
        Path("docs/schemas/rule.json"): _json(rule_schema()),
        Path("docs/schemas/filter.json"): _json(filter_schema()),
        lock.PATH.relative_to(ROOT): json.dumps(lock.merged(published, lock.current()), indent=1) + "\n",
    }


def _json(schema: dict[str, object]) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"


def write() -> list[Path]:
    """Write what is not current -> those paths."""
    changed = []
    for path, text in made().items():
        place = ROOT / path
        if not place.exists() or place.read_text("utf-8") != text:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
            changed.append(path)
    return changed


def _metric_modules() -> Iterator[str]:
    for room in _ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if module.name.rpartition(".")[2].endswith("metrics"):
                yield module.name


def _metric(metric: MetricWrapperBase, module: str) -> Metric:
    described = next(iter(metric.describe()))
    name = f"{described.name}_total" if described.type == "counter" else described.name
    return Metric(name, described.type, tuple(metric._labelnames), described.documentation, module)


def _topic_row(topic: Topic) -> str:
    parts = {0: "设置 setting", -1: "每任务 one a task"}.get(topic.partitions, str(topic.partitions))
    kept = "压缩 compacted" if topic.cleanup == "compact" else f"{topic.retention_ms // DAY} 天 days"
    cells = (f"`{topic.name}`", topic.zh, topic.key, parts, kept, topic.schema.name, topic.writers, topic.readers)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for written in write():
        say(str(written))
