"""Metrics of the engine, by Prometheus conventions. Each is documented by its own help text."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("fengsui_events", "Events judged, by kind and sector", ["kind", "sector"])
DUPLICATES = Counter("fengsui_duplicates", "Events dropped because their id was seen within 24 h, by kind", ["kind"])
REROUTED = Counter("fengsui_rerouted", "Events sent on to the partition of their cleaned subject, by kind", ["kind"])
LATE = Counter("fengsui_late", "Events later than the allowed lateness: archived, not judged, by kind", ["kind"])
REJECTED = Counter(
    "fengsui_rejected", "Records sent to the dead-letter topic, by stage and reason", ["stage", "reason"]
)
CLUES = Counter("fengsui_clues", "Clues raised, by origin, sector and severity", ["origin_id", "sector", "severity"])
SUPPRESSED = Counter("fengsui_suppressed", "Firings inside a running episode or over the hourly cap", ["rule", "why"])
HIDDEN = Counter(
    "fengsui_hidden",
    "Firings that a filter (by its id) or the rule's own `suppress` ('rule') holds back",
    ["rule", "by"],
)
DESK = Counter("fengsui_desk_steps", "Steps of clues, by verb and outcome (ok or a named reason)", ["verb", "outcome"])
FEEDBACK = Counter("fengsui_feedback", "Feedback on clues, by origin and verdict", ["origin_id", "verdict"])
LEARNED = Counter("fengsui_learned", "Examples that models learned from, by sector and model", ["sector", "model"])
SNAPSHOTS = Counter("fengsui_snapshots", "Model snapshots published, by sector and model", ["sector", "model"])
MODEL_AUC = Gauge(
    "fengsui_model_auc",
    "Prequential AUC of a learner over its recent examples, by sector and model",
    ["sector", "model"],
)

BATCH_ROWS = Histogram(
    "fengsui_batch_rows", "Records in one batch, by stage", ["stage"], buckets=(1, 10, 100, 1000, 5000, 20000, 50000)
)
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
STEP_SECONDS = Histogram("fengsui_step_seconds", "Time to decide one batch, by stage", ["stage"], buckets=_SECONDS)
COMMIT_SECONDS = Histogram("fengsui_commit_seconds", "Time of one transaction, by stage", ["stage"], buckets=_SECONDS)
RECOVERY_SECONDS = Histogram(
    "fengsui_recovery_seconds",
    "Time from owning a partition to live, by stage",
    ["stage"],
    buckets=(*_SECONDS, 30, 100),
)
CHECKPOINT_BYTES = Gauge("fengsui_checkpoint_bytes", "Size of the newest checkpoint, by task", ["task"])
STATE_ROWS = Gauge("fengsui_state_rows", "Rows that a task holds in state, by task and store", ["task", "store"])
LAG = Gauge(
    "fengsui_lag",
    "Offsets up to the last record that are not yet committed, by topic and partition",
    ["topic", "partition"],
)
TASKS = Gauge("fengsui_tasks", "Tasks that this worker owns, by stage", ["stage"])
TASK_FAILURES = Counter(
    "fengsui_task_failures", "Tasks begun anew after a failure, by stage and cause", ["stage", "cause"]
)
KAFKA_WAITS = Counter("fengsui_kafka_waits", "Waits for Kafka with backoff, by stage", ["stage"])
HANGING = Counter(
    "fengsui_hanging_transactions",
    "Transactions that Kafka had forgotten to end, ended by their task, by stage",
    ["stage"],
)
LOST_LOG_LINES = Counter("fengsui_lost_log_lines", "Log lines that could not be written: stderr's disk is full or gone")
LOG_BREAKS = Counter(
    "fengsui_log_breaks",
    "Partitions found to begin behind where their task stands (`expired`: records were deleted unread) or to hold again what is "
    "done (`restarted`: the topic was made anew; nothing of it is judged), by topic",
    ["topic", "what"],
)
REBALANCES = Counter("fengsui_rebalances", "Assignments of partitions to this worker")
CLUE_LATENCY = Histogram(
    "fengsui_clue_latency_seconds", "From arrival of the event (log time) to the commit of its clue", buckets=_SECONDS
)
