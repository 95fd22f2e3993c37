"""Records that are not events: clues, commands, the clue log, dead letters, progress and control records."""

from topics.events import ENVELOPE
from topics.fields import Field, Schema

CLUE = Schema(
    "Clue",
    20,
    "风险预警线索 a risk clue",
    (
        Field("clue_id", "string", "线索编号", "from origin, key and the event that opened the episode", required=True),
        Field("origin", "string", "来源", "rule, model, manual or storm", required=True),
        Field("origin_id", "string", "规则或模型编号", required=True),
        Field("origin_version", "string", "规则或模型版本", required=True),
        Field("title", "string", "标题", required=True),
        Field("sector", "string", "重点领域", required=True),
        Field("severity", "string", "等级", "red, orange, yellow, blue", required=True),
        Field("department", "string", "责任部门", required=True),
        Field("subject", "string", "监管对象", required=True),
        Field("subject_name", "string", "监管对象名称"),
        Field("region", "string", "行政区划代码"),
        Field("key", "string", "聚合键", "what the rule groups by: subject, device, region …", required=True),
        Field("explanation", "string", "说明", "Chinese, values filled in", required=True),
        Field("evidence", "string", "证据", "JSON: [{event_id, topic, partition, offset, occurred_at}]", required=True),
        Field(
            "values", "string", "特征值", "JSON: feature or column -> value at the moment of judgement", required=True
        ),
        Field("occurred_at", "long", "发生时间", "ms UTC, of the event that opened the episode", required=True),
        Field("raised_at", "long", "产生时间", "ms UTC, arrival of that event (LogAppendTime)", required=True),
        Field("score", "double", "风险分", "0 to 1 where a model raised it"),
        Field("actor", "string", "提出人", "who raised a manual clue"),
    ),
)

COMMAND = Schema(
    "Command",
    21,
    "线索指令 what somebody does to a clue",
    (
        Field("command_id", "string", "指令编号", required=True),
        Field("clue_id", "string", "线索编号", required=True),
        Field(
            "verb", "string", "动作", "raise, claim, return, transfer, assist, handle, feedback, close", required=True
        ),
        Field("actor", "string", "操作人", required=True),
        Field("department", "string", "操作部门", required=True),
        Field("issued_at", "long", "操作时间", "ms UTC", required=True),
        Field("arguments", "string", "参数", "JSON object", required=True),
    ),
)

CLUE_LOG = Schema(
    "ClueLog",
    22,
    "线索日志 every decision on a clue, with the state after it",
    (
        Field("clue_id", "string", "线索编号", required=True),
        Field("seq", "long", "序号", "1 for the dispatch; grows by one with every accepted step", required=True),
        Field("command_id", "string", "指令编号", "empty for the dispatch itself", required=True),
        Field("verb", "string", "动作", required=True),
        Field("actor", "string", "操作人", required=True),
        Field("department", "string", "操作部门", required=True),
        Field("accepted", "boolean", "是否接受", required=True),
        Field("reason", "string", "原因", "named reason of a refusal, else empty", required=True),
        Field("at", "long", "时间", "ms UTC, log time of the command", required=True),
        Field(
            "state", "string", "状态", "JSON: the whole clue after this step; null for an unknown clue", required=True
        ),
    ),
)

REJECTED = Schema(
    "Rejected",
    23,
    "死信 a refused record",
    (
        Field("reason", "string", "原因", required=True),
        Field("detail", "string", "详情", required=True),
        Field("stage", "string", "环节", required=True),
        Field("topic", "string", "来源主题", "without prefix; empty when it never reached a topic", required=True),
        Field("partition", "long", "来源分区", required=True),
        Field("offset", "long", "来源位点", required=True),
        Field("rejected_at", "long", "拒绝时间", "ms UTC, log time of the refused record", required=True),
        Field("key", "bytes", "原始键"),
        Field("value", "bytes", "原始值"),
    ),
)

WARNING = Schema(
    "Warning",
    24,
    "部门预警 a clue as a department receives it",
    (
        *CLUE.fields,
        Field("claim_by", "long", "签收期限", "ms UTC"),
        Field("feedback_by", "long", "反馈期限", "ms UTC"),
        Field("cause", "string", "事由", "dispatch, transfer, return, assist, overdue"),
    ),
)

# `rekeyed` carries events whole, in the wire format of their own kind, under another Kafka key; and these examples.
EXAMPLE = Schema(
    "Example",
    25,
    "学习样本 a labelled example for the learner of a sector",
    (
        Field("sector", "string", "重点领域", required=True),
        Field("model", "string", "模型", required=True),
        Field("label", "double", "标签", "1 bad, 0 good", required=True),
        Field("weight", "double", "权重", required=True),
        Field("features", "string", "特征", "JSON: name -> number, as of before the outcome", required=True),
        Field("event_id", "string", "来源事件或线索"),
    ),
)

RULE = Schema(
    "Rule",
    26,
    "规则发布 one published rule file",
    (
        Field("rule_id", "string", "规则编号", required=True),
        Field("version", "string", "版本", "hash of its meaning", required=True),
        Field("text", "string", "规则文件", "YAML", required=True),
        Field("actor", "string", "发布人", required=True),
        Field("published_at", "long", "发布时间", required=True),
    ),
)

PROGRESS = Schema(
    "Progress",
    27,
    "进度 what one transaction of one task covered",
    (
        Field("task", "string", "任务", "stage/partition", required=True),
        Field("seq", "long", "序号", "of the batch, from 1", required=True),
        Field("slices", "string", "区间", "JSON: [[topic, first, end], …] in processing order", required=True),
        Field("ends", "string", "位点", "JSON: topic -> next offset", required=True),
        Field("controls", "string", "控制位点", "JSON: control topic -> next offset in force", required=True),
        Field(
            "checkpoint",
            "string",
            "检查点",
            "JSON: [seq, first, end, progress, slot] of the newest, or null",
            required=True,
        ),
    ),
)

BLOB = Schema(
    "Blob",
    28,
    "数据块 one chunk of a checkpoint or of a model snapshot",
    (
        Field("name", "string", "名称", required=True),
        Field("part", "long", "分块", required=True),
        Field("parts", "long", "块数", required=True),
        Field("meta", "string", "说明", "JSON", required=True),
        Field("body", "bytes", "内容", "zstd over an Arrow stream of arrays", required=True),
    ),
)

ENTRY = Schema(
    "Entry",
    29,
    "名单与登记 one entry of a list, the subject register or the device register",
    (
        Field("name", "string", "名称", "list, or 'subject', 'device'", required=True),
        Field("entry", "string", "条目", required=True),
        Field("body", "string", "内容", "JSON", required=True),
        Field("expires_at", "long", "失效时间", "ms UTC"),
    ),
)

TICK = Schema(
    "Tick",
    30,
    "节拍 the passing of time, written to the log so that a replay repeats it",
    (Field("at", "long", "时间", "ms UTC", required=True),),
)

AUDIT = Schema(
    "Audit",
    31,
    "审计 who did what to what, with which result",
    (
        Field("at", "long", "时间", required=True),
        Field("actor", "string", "主体", required=True),
        Field("department", "string", "部门", required=True),
        Field("action", "string", "动作", required=True),
        Field("object", "string", "客体", required=True),
        Field("result", "string", "结果", required=True),
    ),
)

PARKED = Schema(
    "Parked",
    32,
    "待登记 a message of an unknown device, waiting for its registration",
    (
        Field("device_id", "string", "设备编号", required=True),
        Field("protocol", "string", "协议", required=True),
        Field("received_at", "long", "接收时间", "ms UTC", required=True),
        Field("body", "bytes", "内容", "as sent; may hold a password", required=True),
        Field("peer", "string", "来源地址", "where it came from", since=2),
        Field("proved", "boolean", "已验证", "its device had shown who it is when it came", since=2),
    ),
)

ENVELOPE_NAMES: frozenset[str] = frozenset(field.name for field in ENVELOPE)
