"""The live view's writer: records of the clue log into Redis, each once, in the order of its partition.

Redis keeps the position beside the data and changes both in one script. So a repeat does nothing, a hole is refused,
two writers do not disturb each other, and a Redis that lost its data says so.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec
import redis

from connectors.view import scripts
from connectors.view.logged import Logged, answer_of, due_of, state_of
from connectors.view.names import Names

REPLY_SECONDS: Final = 900
_SOCKET_SECONDS: Final = 5.0
_BATCH: Final = 250


class ViewLost(Exception):  # noqa: N818 - what is the case: the view must be begun anew
    """Redis holds another view than the one this writer opened, or none: its data were lost in between."""


class ViewGap(Exception):  # noqa: N818 - what is the case: the reader must go back
    """The records do not follow what the view has: read the partition again from `position`."""

    def __init__(self, partition: int, position: int) -> None:
        super().__init__(f"partition {partition} stands at {position}")
        self.partition = partition
        self.position = position


def connect(redis_url: str) -> redis.Redis:
    """A client with time limits, answering text. It connects at the first command."""
    return redis.Redis.from_url(
        redis_url, decode_responses=True, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS
    )


def listening(client: redis.Redis) -> redis.client.PubSub:
    """A subscriber of its own connection, that hears messages only."""
    return cast("redis.client.PubSub", client.pubsub(ignore_subscribe_messages=True))  # type: ignore[no-untyped-call]


class ViewWriter:
    """Writes the view under a prefix. Not for use by several threads at once; several writers may run side by side."""

    def __init__(self, redis_url: str, prefix: str, clock: Callable[[], float] = time.time) -> None:
        """Connects lazily; `clock` gives seconds since 1970, to leave out answers nobody waits for any more."""
        self._redis = connect(redis_url)
        self._names = Names(prefix)
        self._clock = clock
        self._epoch = ""
        self.began = False
        self._building = False
        self._read: dict[int, int] = {}
        self._apply = self._redis.register_script(scripts.APPLY)
        self._trim = self._redis.register_script(scripts.TRIM)
        self._begin = self._redis.register_script(scripts.BEGIN)
        self._complete = self._redis.register_script(scripts.COMPLETE)

    def open(self) -> dict[int, int]:
        """Begin, or go on with, the view: partition -> next offset to read; a partition not named begins at 0.

        `began` then tells whether there was none. Raises redis.RedisError.
        """
        answer = cast("list[Any]", self._begin(args=[self._names.base, self._names.pattern, secrets.token_hex(8)]))
        self._epoch, self.began = str(answer[0]), bool(answer[1])
        stored = cast("dict[str, str]", self._redis.hgetall(self._names.position))
        self._read = {int(partition): int(offset) for partition, offset in stored.items()}
        self._building = bool(self._redis.exists(self._names.building))
        return dict(self._read)

    @property
    def building(self) -> bool:
        """Whether the view was still being built from the beginning of the log when it was opened, and is not complete."""
        return self._building

    def alive(self) -> bool:
        """Whether Redis still holds the view that was opened."""
        return bool(self._epoch) and self._redis.get(self._names.epoch) == self._epoch

    def complete(self) -> None:
        """All that the log held is in the view. Raises ViewLost."""
        if not self._complete(args=[self._names.base, self._epoch]):
            raise ViewLost
        self._building = False

    def apply(self, records: Sequence[Logged]) -> list[Logged]:
        """Apply records, in each partition read without a hole from where `open` or the last `apply` left it.

        Returns those that were new to the view. Raises ViewLost, ViewGap or redis.RedisError; then some may be applied:
        open again and read from the positions it gives.
        """
        new: list[Logged] = []
        by_partition: dict[int, list[Logged]] = {}
        for logged in records:
            by_partition.setdefault(logged.partition, []).append(logged)
        for partition, own in by_partition.items():
            for first in range(0, len(own), _BATCH):
                new += self._batch(partition, own[first : first + _BATCH])
        return new

    def trim(self, closed_before: int, most: int = 500) -> int:
        """Take at most so many clues closed before that time (ms UTC) out. Returns how many. Raises ViewLost."""
        count = cast(int, self._trim(args=[self._names.base, self._epoch, closed_before, most]))
        if count < 0:
            raise ViewLost
        return count

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()

    def _batch(self, partition: int, records: Sequence[Logged]) -> Sequence[Logged]:
        since = self._read.get(partition, 0)
        end = records[-1].offset + 1
        args: list[Any] = [self._names.base, self._epoch, partition, since, end, REPLY_SECONDS]
        # What is long decided is answered to nobody; live, a clock that differs from the broker's must not matter.
        oldest = int((self._clock() - REPLY_SECONDS) * 1000) if self._building else 0
        for logged in records:
            args += _arguments(logged, oldest)
        word, position = cast("tuple[str, int]", self._apply(args=args))
        if word == "lost":
            raise ViewLost
        if word == "gap":
            raise ViewGap(partition, position)
        self._read[partition] = end
        return [logged for logged in records if logged.offset >= position] if word == "done" else []


def _arguments(logged: Logged, oldest: int) -> list[Any]:
    """One record as the script reads it: offset, id, state, five index values, raised, due, command id, answer."""
    record = logged.record
    if record is None:
        return [logged.offset, logged.clue_id, "gone", "", "", "", "", "", 0, "", "", ""]
    state = state_of(record)
    asked = record["command_id"] if record["at"] >= oldest else ""
    reply = msgspec.json.encode(answer_of(record)).decode() if asked else ""
    if state is None:
        return [logged.offset, logged.clue_id, "", "", "", "", "", "", 0, "", asked, reply]
    due = due_of(state)
    when = f"c{state['closed_at']}" if state["state"] == "closed" else "" if due is None else str(due)
    indexed = [state["department"], state["state"], state["sector"], state["severity"], state["subject"]]
    return [logged.offset, logged.clue_id, record["state"], *indexed, state["raised_at"], when, asked, reply]
