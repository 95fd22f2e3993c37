"""The starter packs onto the rules topic: a new deployment begins with them; one that has rules keeps its own."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from connectors.devices.device import parse, sealed
from fengsui.settings import Settings
from rules import FILTER_KEY, Filter, Rule, load_packs, scan_filters
from topics.records import ENTRY, RULE
from topics.wire import encode

PACKS = Path(__file__).parents[1] / "rules" / "packs"


def publish(settings: Settings, rules: list[tuple[Rule, str]], actor: str, filters: Sequence[Filter] = ()) -> int:
    """Write rules (with the text of their files) and filters to the rules topic; returns how many. Raises RuntimeError on a lost
    one."""
    at = int(time.time() * 1000)
    said = {rule.id: (rule.version, text) for rule, text in rules}
    said |= {FILTER_KEY + one.id: (one.version, one.text) for one in filters}
    base = {"actor": actor, "published_at": at}
    _put(
        settings,
        "rules",
        [(key, encode(RULE, base | {"rule_id": key, "version": v, "text": text})) for key, (v, text) in said.items()],
    )
    return len(said)


def withdraw(settings: Settings, ids: Sequence[str]) -> None:
    """Take rules (by id) or filters (`filter:` and id) off the rules topic. Raises RuntimeError on a lost record."""
    _put(settings, "rules", [(one, None) for one in ids])


def put_entries(
    settings: Settings, name: str, entries: Mapping[str, tuple[Mapping[str, Any], int | None] | None]
) -> None:
    """Put entries on a list: what is said of each, and when it expires (ms UTC); None takes it off. Raises RuntimeError on a lost
    record."""
    records: list[tuple[str, bytes | None]] = []
    for entry, given in entries.items():
        value = None
        if given is not None:
            body = json.dumps(given[0], ensure_ascii=False)
            value = encode(ENTRY, {"name": name, "entry": entry, "body": body, "expires_at": given[1]})
        records.append((f"{name}/{entry}", value))
    _put(settings, "lists", records)


def put_devices(settings: Settings, entries: Mapping[str, tuple[Mapping[str, Any], int | None] | None]) -> None:
    """Register devices by key: what people write of each (a `password` is sealed), when that ends (ms UTC); None takes one off.
    Raises DeviceError before anything is written, RuntimeError on a lost record."""
    records: list[tuple[str, bytes | None]] = []
    for key, given in entries.items():
        value = None
        if given is not None:
            body = json.dumps(sealed(given[0], key), ensure_ascii=False)
            parse(key, body)
            value = encode(ENTRY, {"name": "device", "entry": key, "body": body, "expires_at": given[1]})
        records.append((key, value))
    _put(settings, "devices", records)


def _put(settings: Settings, topic: str, records: Sequence[tuple[str, bytes | None]]) -> None:
    producer = Producer(settings.kafka_client() | {"acks": "all", "enable.idempotence": True})
    for key, value in records:
        while True:
            try:
                producer.produce(settings.topic_prefix + topic, value, key.encode())
                break
            except BufferError:  # its queue holds 100,000: wait for room
                producer.poll(0.1)
    if producer.flush(30):
        raise RuntimeError(f"the topic of {topic} did not acknowledge in 30 s")


def publish_packs(settings: Settings, root: Path = PACKS) -> int:
    """Publish the starter packs where the rules topic is empty; returns how many were published."""
    if _has_records(settings):
        return 0
    rules = load_packs(root)
    filters, errors = scan_filters(root, rules)
    if errors:
        raise errors[0]
    return publish(settings, [(rule, rule.text) for rule in rules], "fengsui", filters)


@retry(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(30),
    wait=wait_exponential(0.05, 1),
    reraise=True,
)
def _has_records(settings: Settings) -> bool:
    """Whether the rules topic holds anything; a topic just made may have no leader for a moment."""
    consumer = Consumer(settings.kafka_client() | {"group.id": "fengsui-look", "enable.auto.commit": False})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(settings.topic_prefix + "rules", 0), timeout=30)
        return bool(high > low)
    finally:
        consumer.close()
