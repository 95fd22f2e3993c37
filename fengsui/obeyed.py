"""Whether the running engine obeys what was just published: each task says in its progress how far it has read control topics."""

import time
from typing import Final

from connectors.archive.reading import ranges
from fengsui.settings import Settings
from streams.ledger import Ledger, ledger_partition

_POLL_SECONDS: Final = 0.1


def await_obeyed(settings: Settings, topic: str, seconds: float) -> tuple[float, list[int]]:
    """Wait until all tasks of detect obey a control topic (`rules`, `lists`) as it stands now -> (seconds that took, partitions
    whose task does not yet). A task without work says so with its next tick, a second later. Raises KafkaException."""
    began = time.monotonic()
    client, prefix, count = settings.kafka_client(), settings.topic_prefix, settings.partitions
    wanted = ranges(client, prefix, [topic])[topic][0].end
    ledgers = {p: Ledger(client, prefix, ledger_partition("detect", p, count)) for p in range(count)}
    try:
        behind = set(ledgers)
        while True:
            behind = {p for p in behind if ledgers[p].last().controls.get(topic, 0) < wanted}
            if not behind or time.monotonic() - began >= seconds:
                return time.monotonic() - began, sorted(behind)
            time.sleep(_POLL_SECONDS)
    finally:
        for ledger in ledgers.values():
            ledger.close()
