"""Where answers to commands are heard: on the live view's channel, or on the clue log where there is no Redis."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
import redis
import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from connectors.view.logged import answer_of, earlier_answer, read_log
from connectors.view.names import Names
from connectors.view.projector import log_consumer, partitions_of
from connectors.view.writer import connect, listening
from topics.wire import Refused

Answer = dict[str, Any]
Heard = Callable[[Answer], None]
Waiting = Callable[[float], Mapping[str, str]]

_log = structlog.get_logger(__name__)
_POLL_SECONDS: Final = 0.2
_ASK_SECONDS: Final = 0.5
_ASK_MOST: Final = 500
_OLD_SECONDS: Final = 0.4
_READY_SECONDS: Final = 10.0


class Replies(Protocol):
    """A source of answers. Each is handed to `heard`, those nobody here waits for too."""

    def start(self) -> None:
        """Begin: nothing written from now on is missed. Raises KafkaException or redis.RedisError."""

    def stop(self) -> None:
        """End the thread."""


class ViewReplies:
    """Answers from the view's channel. Those missed while Redis was away are asked for.

    `waiting(age)` names the commands (id -> clue id) that have waited longer than `age` seconds.
    """

    def __init__(self, redis_url: str, prefix: str, heard: Heard, waiting: Waiting) -> None:
        self._redis = connect(redis_url)
        self._names = Names(prefix)
        self._heard = heard
        self._waiting = waiting
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view-replies", daemon=True)

    def start(self) -> None:
        """Raises redis.RedisError when Redis does not answer."""
        self._redis.ping()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with listening(self._redis) as channel:
                    channel.subscribe(self._names.replies)
                    self._listen(channel)
            except redis.RedisError as error:
                _log.info("waiting for Redis", reason=type(error).__name__)
                self._stop.wait(_POLL_SECONDS)

    def _listen(self, channel: redis.client.PubSub) -> None:
        asked = time.monotonic()
        while not self._stop.is_set():
            message = channel.get_message(timeout=_POLL_SECONDS)
            if message is not None and message["type"] == "message":
                self._heard(msgspec.json.decode(message["data"]))
            if time.monotonic() - asked > _ASK_SECONDS:
                self._ask()
                asked = time.monotonic()

    def _ask(self) -> None:
        """Look up what was not heard: the answers kept, then the clues' histories (a repeat is not logged again)."""
        late = list(self._waiting(_OLD_SECONDS).items())[:_ASK_MOST]
        pipe = self._redis.pipeline(transaction=False)
        for command_id, clue_id in late:
            pipe.get(self._names.reply(command_id))
            pipe.hget(self._names.clue(clue_id), "json")
        found = pipe.execute() if late else []
        for (command_id, _), reply, state in zip(late, found[::2], found[1::2], strict=True):
            answer = msgspec.json.decode(reply) if reply else None
            if answer is None and state:
                answer = earlier_answer(msgspec.json.decode(state), command_id)
            if answer is not None:
                self._heard(answer)


# Right after a topic is made, or its leader moves, a broker may say so for a moment.
_MOVING: Final = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_retrying: Final = Retrying(
    retry=retry_if_exception(lambda error: isinstance(error, KafkaException) and error.args[0].code() in _MOVING),
    stop=stop_after_delay(_READY_SECONDS),
    wait=wait_exponential(multiplier=0.02, max=0.5),
    reraise=True,
)


class LogReplies:
    """Answers from the end of the clue log, without Redis. It does not hear of a repeat that was accepted before."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str, heard: Heard) -> None:
        self._consumer = log_consumer(kafka, f"{prefix}replies")
        self._topic = f"{prefix}clue-log"
        self._heard = heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-replies", daemon=True)

    def start(self) -> None:
        """Raises KafkaException when the clue log cannot be reached."""
        try:
            self._consumer.assign(_retrying(self._ends))
        except KafkaException:
            self._consumer.close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _ends(self) -> list[TopicPartition]:
        """Where each partition of the clue log ends now."""
        ends = []
        for number in partitions_of(self._consumer, self._topic):
            place = TopicPartition(self._topic, number)
            _, place.offset = self._consumer.get_watermark_offsets(place, timeout=_READY_SECONDS)
            ends.append(place)
        return ends

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(_POLL_SECONDS)
            value = None if message is None or message.error() is not None else message.value()
            if value is None:
                continue
            try:
                record = read_log(value)
            except Refused as refused:
                _log.error("clue-log record refused", reason=refused.reason)
                continue
            if record["command_id"]:
                self._heard(answer_of(record))
