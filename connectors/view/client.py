"""The way to the dispatch desk from outside: a command onto the topic, and the desk's answer back.

with DeskClient({"bootstrap.servers": "..."}, prefix="fengsui.", redis_url="redis://...") as desk:
    answer = desk.post(command("claim", clue_id, actor="li", department="fire-rescue"))
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, Self

import msgspec
import redis
import structlog

from connectors.producing import BrokerGone, EventWriter
from connectors.view.replies import Answer, LogReplies, Replies, ViewReplies
from topics.records import COMMAND
from topics.wire import encode

_log = structlog.get_logger(__name__)
_TOPIC: Final = "commands"
_ROOM_SECONDS: Final = 5.0


class NoAnswer(Exception):  # noqa: N818 - what is the case, for the asker to act on
    """The command was sent, but no answer came in time: it may still be decided. Send it again under the same id."""


def command(
    verb: str,
    clue_id: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    actor: str,
    department: str,
    command_id: str = "",
) -> Answer:
    """A command record of now. Sent again with the same `command_id` (default: a new one) it is decided once.

    >>> command("claim", "c1", actor="li", department="fire-rescue", command_id="k")["arguments"]
    '{}'
    """
    return {
        "command_id": command_id or uuid.uuid4().hex,
        "clue_id": clue_id,
        "verb": verb,
        "actor": actor,
        "department": department,
        "issued_at": time.time_ns() // 1_000_000,
        "arguments": msgspec.json.encode(arguments or {}).decode(),
    }


class DeskClient:
    """Sends commands and hears answers; any number at once, from any thread. Answers: see `connectors.view.logged`."""

    def __init__(
        self, kafka: Mapping[str, Any], *, prefix: str, redis_url: str = "", ack_seconds: float = 10.0
    ) -> None:
        """`kafka`: librdkafka's address and security. Without `redis_url`, or with Redis away, the clue log is heard.

        Raises KafkaException when that cannot be reached either.
        """
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[Future[Answer], str, float]] = {}
        self._replies = self._listening(kafka, prefix, redis_url)
        self._writer = EventWriter(kafka, prefix=prefix, ack_seconds=ack_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, record: Mapping[str, Any]) -> Future[Answer]:
        """Send a command (see `command`); the future holds its answer, or BrokerGone. The same id shares one future.

        Raises QueueFull, and ValueError or TypeError for a record that does not fit the schema.
        """
        return self.submit_many([record])[0]

    def submit_many(self, records: Sequence[Mapping[str, Any]]) -> list[Future[Answer]]:
        """As `submit`, for many: they go in one batch, in order within each clue."""
        pairs = [(str(record["clue_id"]).encode(), encode(COMMAND, record)) for record in records]
        now = time.monotonic()
        with self._lock:
            entries = [
                self._pending.setdefault(str(record["command_id"]), (Future(), str(record["clue_id"]), now))
                for record in records
            ]
        sent = self._writer.submit(_TOPIC, pairs, _ROOM_SECONDS)
        ids = [str(record["command_id"]) for record in records]
        sent.add_done_callback(lambda done: self._sent(done, ids))
        return [future for future, _, _ in entries]

    def post(self, record: Mapping[str, Any], timeout: float = 15.0) -> Answer:
        """Send a command and wait for its answer. Raises NoAnswer, BrokerGone, and as `submit`."""
        return self.post_many([record], timeout)[0]

    def post_many(self, records: Sequence[Mapping[str, Any]], timeout: float = 30.0) -> list[Answer]:
        """Send many commands and wait for all answers, in the order given. Raises as `post`."""
        futures = self.submit_many(records)
        end = time.monotonic() + timeout
        try:
            return [future.result(max(end - time.monotonic(), 0)) for future in futures]
        except TimeoutError:
            unanswered = sum(not future.done() for future in futures)
            raise NoAnswer(f"{unanswered} of {len(futures)} not answered in {timeout:g} s") from None
        finally:
            self._forget(records)

    async def ask(self, record: Mapping[str, Any], seconds: float = 15.0) -> Answer:
        """As `post`, for a coroutine."""
        future = self.submit(record)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            raise NoAnswer(f"not answered in {seconds:g} s") from None
        finally:
            self._forget([record])

    def close(self) -> None:
        """Let go of Kafka and Redis. What still waits for an answer is cancelled."""
        self._writer.close()
        self._replies.stop()
        with self._lock:
            entries = list(self._pending.values())
            self._pending.clear()
        for future, _, _ in entries:
            future.cancel()

    def _listening(self, kafka: Mapping[str, Any], prefix: str, redis_url: str) -> Replies:
        if redis_url:
            replies = ViewReplies(redis_url, prefix, self._heard, self._waiting)
            try:
                replies.start()
            except redis.RedisError as error:
                _log.warning("no Redis: answers come from the clue log", reason=type(error).__name__)
            else:
                return replies
        from_log = LogReplies(kafka, prefix, self._heard)
        from_log.start()
        return from_log

    def _heard(self, answer: Answer) -> None:
        with self._lock:
            entry = self._pending.pop(answer["command_id"], None)
        if entry is not None and entry[0].set_running_or_notify_cancel():
            entry[0].set_result(answer)

    def _sent(self, done: "Future[int]", ids: Sequence[str]) -> None:
        """When Kafka has not taken the batch, whoever waits is told so."""
        error = done.exception()
        if error is None:
            return
        with self._lock:
            entries = [entry for command_id in ids if (entry := self._pending.pop(command_id, None)) is not None]
        for future, _, _ in entries:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _waiting(self, age: float) -> dict[str, str]:
        now = time.monotonic()
        with self._lock:
            return {name: clue_id for name, (_, clue_id, since) in self._pending.items() if now - since > age}

    def _forget(self, records: Sequence[Mapping[str, Any]]) -> None:
        with self._lock:
            for record in records:
                self._pending.pop(str(record["command_id"]), None)


__all__ = ["Answer", "BrokerGone", "DeskClient", "NoAnswer", "command"]
