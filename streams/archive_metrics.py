"""What the archiver counts. Each is documented by its own help text."""

from prometheus_client import Counter, Gauge

ROWS = Counter("fengsui_archive_rows", "Records written to the archive, by topic", ["topic"])
FILES = Counter("fengsui_archive_files", "Files written to the archive, by topic", ["topic"])
BYTES = Counter("fengsui_archive_bytes", "Bytes of the files written to the archive, by topic", ["topic"])
LAG_SECONDS = Gauge("fengsui_archive_lag_seconds", "Log time of the oldest record read but in no file yet, until now")
BUFFERED_BYTES = Gauge("fengsui_archive_buffered_bytes", "Keys and values of the records read but in no file yet")
WAITS = Counter(
    "fengsui_archive_waits",
    "Times the archiver had to wait, by cause: disk (a write failed), lock (another archiver), kafka",
    ["cause"],
)
REFUSED = Gauge(
    "fengsui_archive_refused_partitions", "Partitions not archived because the archive is of another log of that name"
)
EXPIRED = Counter("fengsui_archive_expired_offsets", "Offsets that Kafka deleted before they were archived", ["topic"])
FAILURES = Counter("fengsui_archive_failures", "Times the archiver began anew after an unforeseen error")
