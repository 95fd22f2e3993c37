"""The one catalogue of all topics: name, key, partitions, retention, schema, who writes, who reads.

>>> topic("clues").key
'clue_id'
>>> topic("warnings.fire-rescue").schema.name
'Warning'
"""

from dataclasses import dataclass
from typing import Final, Literal

from topics import records
from topics.codes import DEPARTMENTS
from topics.events import KINDS
from topics.fields import Schema

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
EVENT_BYTES: Final = 4 * 1024 * 1024  # what event topics take; gateways refuse above 1 MiB by policy
KEEP_BEFORE_COMPACTION: Final = 7 * DAY  # recovery replays control and progress records younger than a checkpoint


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` 0 means the setting's count (all co-partitioned topics share it)."""

    name: str
    zh: str
    key: str
    schema: Schema
    writers: str
    readers: str
    partitions: int = 0
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = 180 * DAY
    max_bytes: int = EVENT_BYTES

    @property
    def config(self) -> dict[str, str]:
        """Kafka topic configuration. Events carry the broker's append time, so that every reader sees one order."""
        config = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_bytes + 64 * 1024),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.cleanup == "delete":
            return config | {"retention.ms": str(self.retention_ms)}
        if self.name == "checkpoints":  # only the newest is ever read: let the cleaner run early
            return config | {"min.compaction.lag.ms": "0", "segment.bytes": str(64 * 1024 * 1024)}
        return config | {"min.compaction.lag.ms": str(KEEP_BEFORE_COMPACTION), "segment.ms": str(DAY)}


def _events() -> list[Topic]:
    return [
        Topic(kind.topic, kind.zh, "subject", kind.schema, "gateways, detect", "detect, archive", retention_ms=40 * DAY)
        for kind in KINDS.values()
    ]


def _warnings() -> list[Topic]:
    return [
        Topic(f"warnings.{d.code}", f"{d.zh}预警", "clue_id", records.WARNING, "dispatch", f"{d.en}, archive")
        for d in DEPARTMENTS.values()
    ]


# One partition for each (stage, partition number): a stage finds its last progress record at the end of its own.
PROGRESS_STAGES: Final = ("detect", "regional", "dispatch", "feedback")

# Who is told that time passes, and by which topic: a partition has one reader. The regional stage is told by detect, tasks of
# which may be behind: time has come as far as all of them have.
TICKS: Final = {"dispatch": "ticks", "detect": "ticks.detect", "regional": "ticks.regional"}
CLOCKED: Final = ("dispatch", "detect")

_OTHERS = (
    Topic("clues", "线索派发", "clue_id", records.CLUE, "detect, regional", "dispatch, archive"),
    Topic("commands", "线索指令", "clue_id", records.COMMAND, "command line, workbench", "dispatch, archive"),
    Topic(
        "clue-log", "线索日志", "clue_id", records.CLUE_LOG, "dispatch", "view, feedback, archive", cleanup="compact"
    ),
    Topic(
        "rejected",
        "死信",
        "topic/partition/offset",
        records.REJECTED,
        "every stage, gateways",
        "operators, archive",
        max_bytes=EVENT_BYTES + 512 * 1024,
    ),
    Topic("rekeyed", "换键副本", "key", records.EXAMPLE, "detect, feedback", "regional", retention_ms=40 * DAY),
    Topic("rules", "规则", "rule_id", records.RULE, "analysts", "detect, regional", 1, "compact"),
    Topic("shadow-clues", "影子线索", "clue_id", records.CLUE, "detect, regional", "analysts, archive"),
    Topic("lists", "名单", "name/entry", records.ENTRY, "analysts", "detect, regional", 1, "compact"),
    Topic("subjects", "监管对象登记", "subject", records.ENTRY, "registers", "gateways", 1, "compact"),
    Topic("devices", "设备登记", "device_id", records.ENTRY, "registers", "gateways", 1, "compact"),
    Topic("parking", "待登记设备", "device_id", records.PARKED, "gateways", "gateways"),
    Topic("models", "模型快照", "sector/model/part", records.BLOB, "regional", "detect", 1, "compact"),
    Topic("progress", "任务进度", "task", records.PROGRESS, "every stage", "every stage", -1, "compact"),
    Topic("checkpoints", "检查点", "task/part", records.BLOB, "every stage", "every stage", -1, "compact"),
    *(
        Topic(TICKS[stage], "节拍", key, records.TICK, writer, stage, retention_ms=40 * DAY)
        for stage, key, writer in (
            *((stage, "tick", "clock") for stage in CLOCKED),
            ("regional", "detect's partition", "detect"),
        )
    ),
    Topic(
        "audit", "审计", "actor", records.AUDIT, "dispatch, command line", "auditors, archive", retention_ms=730 * DAY
    ),
)

TOPICS: dict[str, Topic] = {t.name: t for t in (*_events(), *_warnings(), *_OTHERS)}
CONTROLS: Final = ("rules", "models", "lists")
# `rekeyed` holds events under another key (region, person, chain) in their own schemas, beside learning examples.
SCHEMAS: dict[int, Schema] = {t.schema.number: t.schema for t in TOPICS.values()}


def topic(name: str) -> Topic:
    """The topic of that name (without prefix). Raises KeyError."""
    return TOPICS[name]


def outputs(stage: str) -> list[str]:
    """Topics that a stage writes.

    >>> outputs("feedback")
    ['rejected', 'rekeyed', 'progress', 'checkpoints']
    """
    return [one.name for one in TOPICS.values() if {stage, "every stage"} & set(one.writers.split(", "))]


def partitions(name: str, count: int) -> int:
    """How many partitions a topic has when event topics have `count`.

    >>> partitions("events.iot", 4), partitions("rules", 4), partitions("progress", 4)
    (4, 1, 16)
    """
    own = TOPICS[name].partitions
    return count if own == 0 else count * len(PROGRESS_STAGES) if own < 0 else own
