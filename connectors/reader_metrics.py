"""What readers of Kafka count. Each is documented by its own help text."""

from prometheus_client import Counter

STALLS = Counter(
    "fengsui_reader_stalls",
    "Times a reader of Kafka was begun anew because records of a partition did not come, by reader: archive, controls, devices, "
    "view",
    ["reader"],
)
