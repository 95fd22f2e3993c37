"""The starter packs onto the rules topic: a new deployment begins with them; one that has rules keeps its own."""

import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from fengsui.settings import Settings
from rules import Rule, load_packs
from topics.records import RULE
from topics.wire import encode

PACKS = Path(__file__).parents[1] / "rules" / "packs"


def publish(settings: Settings, rules: list[tuple[Rule, str]], actor: str) -> int:
    """Write rules (with the text of their files) to the rules topic; returns how many. Raises RuntimeError on a lost one."""
    producer = Producer(settings.kafka_client() | {"acks": "all", "enable.idempotence": True})
    at = int(time.time() * 1000)
    for rule, text in rules:
        record = {"rule_id": rule.id, "version": rule.version, "text": text, "actor": actor, "published_at": at}
        producer.produce(settings.topic_prefix + "rules", encode(RULE, record), rule.id.encode())
    if producer.flush(30):
        raise RuntimeError("the rules topic did not acknowledge in 30 s")
    return len(rules)


def publish_packs(settings: Settings, root: Path = PACKS) -> int:
    """Publish the starter packs where the rules topic is empty; returns how many were published."""
    if _has_records(settings):
        return 0
    rules = [(rule, Path(rule.path).read_text("utf-8")) for rule in load_packs(root)]
    return publish(settings, rules, "fengsui")


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
