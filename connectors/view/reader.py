"""The live view's reader: lists, single clues, counts, answers. What it says is as new as the projector is quick."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from connectors.view.logged import earlier_answer
from connectors.view.names import ALL, INDEXED, Names
from connectors.view.writer import connect, listening

_PAGE: Final = 200
_POLL_SECONDS: Final = 0.5
_CELL: Final = ("department", "state", "sector", "severity")
_Ids = list[str]
_State = dict[str, Any]
_States = list[_State]


@dataclass(frozen=True, slots=True)
class Page:
    """Clues, the newest first, and where the next page begins; None at the end."""

    clues: list[dict[str, Any]]
    cursor: str | None


class ViewReader:
    """Reads the view under a prefix. Safe for several threads. Every method may raise redis.RedisError."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        """Connects lazily."""
        self._redis = connect(redis_url)
        self._names = Names(prefix)

    def complete(self) -> bool:
        """Whether the view holds all of the log, or is still (or not at all) being built."""
        return bool(self._redis.exists(self._names.epoch)) and not self._redis.exists(self._names.building)

    def positions(self) -> dict[int, int]:
        """Partition of clue-log -> next offset to be applied."""
        stored = cast("dict[str, str]", self._redis.hgetall(self._names.position))
        return {int(partition): int(offset) for partition, offset in stored.items()}

    def get(self, clue_id: str) -> dict[str, Any] | None:
        """The whole state of one clue, None if it is not in the view."""
        text = cast("str | None", self._redis.hget(self._names.clue(clue_id), "json"))
        return msgspec.json.decode(text) if text else None

    def list(self, *, limit: int = 50, cursor: str | None = None, **wanted: str | None) -> Page:
        """Clues whose `department`, `state`, `sector`, `severity`, `subject` are as `wanted` (None: any), newest first.

        Raises TypeError for another name, ValueError for a cursor that is not one of ours.
        """
        filters = {name: value for name, value in wanted.items() if value is not None}
        if not filters.keys() <= set(INDEXED):
            raise TypeError(f"no such filter: {', '.join(sorted(filters.keys() - set(INDEXED)))}")
        clues: _States = []
        for state in self._walk(self._narrowest(filters), cursor):
            if any(state[name] != value for name, value in filters.items()):
                continue
            if len(clues) == limit:
                return Page(clues, _cursor(clues[-1]))
            clues.append(state)
        return Page(clues, None)

    def due(self, before: int, limit: int = 100) -> _States:
        """Clues whose next limit runs out before that time (ms UTC), the most pressing first."""
        ids = cast("_Ids", self._redis.zrangebyscore(self._names.due, "-inf", f"({before}", 0, limit))
        return [state for state in self._states(ids) if state]

    def counts(self, *by: str) -> dict[tuple[str, ...], int]:
        """How many clues, by any of department, state, sector, severity (none: all four).

        Raises ValueError for another name.
        """
        places = [_CELL.index(name) for name in by or _CELL]
        found: dict[tuple[str, ...], int] = {}
        for cell, count in cast("dict[str, str]", self._redis.hgetall(self._names.counts)).items():
            values = cell.split("|")
            key = tuple(values[place] for place in places)
            found[key] = found.get(key, 0) + int(count)
        return found

    def reply(self, command_id: str, clue_id: str = "") -> dict[str, Any] | None:
        """The answer to a command if there is one yet; with the clue's id, its history is looked at too."""
        text = cast("str | None", self._redis.get(self._names.reply(command_id)))
        if text:
            return cast("dict[str, Any]", msgspec.json.decode(text))
        state = self.get(clue_id) if clue_id else None
        return earlier_answer(state, command_id) if state else None

    def wait_for_reply(self, command_id: str, timeout: float, clue_id: str = "") -> dict[str, Any] | None:
        """The answer to a command, waited for at most `timeout` seconds; None if none came."""
        end = time.monotonic() + timeout
        with listening(self._redis) as channel:
            channel.subscribe(self._names.replies)
            while (answer := self.reply(command_id, clue_id)) is None:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                answer = self._heard(channel, command_id, min(left, _POLL_SECONDS))
                if answer is not None:
                    return answer
        return answer

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()

    def _heard(self, channel: Any, command_id: str, seconds: float) -> dict[str, Any] | None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = channel.get_message(timeout=left)
            if message is None or message["type"] != "message":
                continue
            answer: dict[str, Any] = msgspec.json.decode(message["data"])
            if answer["command_id"] == command_id:
                return answer
        return None

    def _narrowest(self, filters: Mapping[str, str]) -> str:
        """The index with the fewest clues among those that apply."""
        keys = [self._names.index(name, value) for name, value in filters.items()]
        if len(keys) < 2:  # noqa: PLR2004 - nothing to choose from
            return keys[0] if keys else self._names.index(ALL)
        sizes = [self._redis.zcard(key) for key in keys]
        return keys[sizes.index(min(sizes))]

    def _walk(self, key: str, cursor: str | None) -> Iterator[dict[str, Any]]:
        """The states of an index's clues after the cursor, by time raised and id, both falling."""
        score, _, last = cursor.partition(" ") if cursor else ("+inf", "", "")
        if cursor and not (score.lstrip("-").isdigit() and last):
            raise ValueError("not a cursor of this list")
        start = 0
        while True:
            ids = cast("_Ids", self._redis.zrevrangebyscore(key, score, "-inf", start, _PAGE))
            for state in self._states(ids):
                if state and not (last and str(state["raised_at"]) == score and state["clue_id"] >= last):
                    yield state
            if len(ids) < _PAGE:
                return
            start += _PAGE

    def _states(self, ids: _Ids) -> Iterator[_State | None]:
        pipe = self._redis.pipeline(transaction=False)
        for clue_id in ids:
            pipe.hget(self._names.clue(clue_id), "json")
        return (msgspec.json.decode(text) if text else None for text in pipe.execute())


def _cursor(state: Mapping[str, Any]) -> str:
    return f"{state['raised_at']} {state['clue_id']}"
