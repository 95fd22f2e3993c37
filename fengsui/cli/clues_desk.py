"""What `fengsui clues` does behind its commands: commands sent and answers printed, clues read and masked."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from connectors.view import DeskClient, NoAnswer, ViewReader, command
from fengsui.cli import clues_text as text
from fengsui.cli.common import Failed, Wrong, say, say_json
from fengsui.logs import configure
from fengsui.runfile import with_run
from fengsui.settings import Settings, SettingsError, load
from streams.desk import arguments_of, mask_person, parse_command
from topics.jsonform import milliseconds
from topics.reasons import REASONS
from topics.wire import Refused

_LINES: Final = msgspec.json.Decoder(dict[str, Any])
_DAY: Final = "2026-01-01"


def commands(
    verb: str, ids: Sequence[str], arguments: dict[str, Any], actor: str, department: str
) -> list[dict[str, Any]]:
    """The same command for each of many clues."""
    return [command(verb, clue_id, arguments, actor=actor, department=department) for clue_id in ids]


def raised(row: dict[str, Any], actor: str, department: str) -> dict[str, Any]:
    """The command that raises a clue; its ids come from what it says, so that the same row raises one clue."""
    fields = {name: value for name, value in row.items() if name != "clue_id"}
    said = hashlib.blake2b(msgspec.json.encode([actor, fields], order="sorted"), digest_size=10).hexdigest()
    clue_id = str(row.get("clue_id") or f"manual-{said}")
    return command("raise", clue_id, fields, actor=actor, department=department, command_id=f"raise-{said}")


def rows_of(file: Path) -> list[dict[str, Any]]:
    """JSON objects of a file: one, a list of them, or one a line. Raises Wrong."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Wrong(f"{file}: {error.strerror}") from error
    try:
        return list(_LINES.decode_lines(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # not one a line: then it is one document
    try:
        whole = msgspec.json.decode(data, type=dict[str, Any] | list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Wrong(f"{file}: {error}") from error
    return whole if isinstance(whole, list) else [whole]


def post(records: list[dict[str, Any]], wait: float, json: bool) -> None:
    """Check, send, wait, print. Raises Wrong for what the desk would not even look at, Failed for a refusal."""
    if not records:
        raise Wrong("no clue is named")
    for record in records:
        _check(record)
    answers = _answers(records, wait)
    refused = [answer for answer in answers if not answer["accepted"]]
    if json:
        say_json({"accepted": len(answers) - len(refused), "refused": len(refused), "answers": answers})
    for answer in answers:
        if not json and (answer["accepted"] or len(answers) > 1):
            say(text.answered(answer))
    if len(answers) == 1 and refused:
        raise Failed(text.answered(refused[0]))
    if refused:
        raise Failed(f"{len(refused)} 条未受理 of {len(answers)} refused")


def _check(record: dict[str, Any]) -> None:
    try:
        arguments_of(parse_command(record))
    except Refused as refused:
        reason = REASONS[refused.reason]
        raise Wrong(f"{reason.zh} {reason.en}: {refused.detail}") from refused


def _answers(records: list[dict[str, Any]], wait: float) -> list[dict[str, Any]]:
    from confluent_kafka import KafkaException

    from connectors.producing import BrokerGone, QueueFull

    settings = settings_of()
    redis_url = settings.redis_url.get_secret_value()
    try:
        with DeskClient(settings.kafka_client(), prefix=settings.topic_prefix, redis_url=redis_url) as desk:
            return desk.post_many(records, wait)
    except NoAnswer as error:
        raise Failed(f"没有答复 no answer from the dispatch desk: {error}; is a worker running?") from error
    except (BrokerGone, QueueFull, KafkaException) as error:
        raise Failed(f"消息系统不可用 Kafka does not answer: {error}") from error


def seen(state: dict[str, Any], department: str | None) -> dict[str, Any]:
    """A state as that department may see it."""
    return state if state["department"] == department else mask_person(state)


def end_of(given: str, zone: str) -> int:
    """ms UTC of an RFC 3339 time, or of the end of a day."""
    try:
        if len(given) == len(_DAY):
            day = dt.datetime.combine(dt.date.fromisoformat(given), dt.time(), ZoneInfo(zone))
            return round((day + dt.timedelta(days=1)).timestamp() * 1000)
        return milliseconds(given, "--by")
    except (ValueError, Refused) as error:
        raise Wrong(f"--by: neither a date nor an RFC 3339 time with its zone: {given[:40]}") from error


def settings_of() -> Settings:
    """Addresses of the engine that runs here, or as set. Raises Wrong."""
    try:
        settings = with_run(load())
    except SettingsError as error:
        raise Wrong(str(error)) from error
    quiet = {} if "log_level" in settings.model_fields_set else {"log_level": "error"}
    configure(settings.model_copy(update=quiet))  # what is worth a line is told by the exit
    if not settings.kafka:
        raise Wrong("no engine runs here: start `fengsui up`, or set FENGSUI_KAFKA")
    return settings


@contextmanager
def reading() -> Iterator[tuple[ViewReader, Settings]]:
    import redis

    settings = settings_of()
    url = settings.redis_url.get_secret_value()
    if not url:
        raise Wrong("no live view: start `fengsui up`, or set FENGSUI_REDIS_URL")
    reader = ViewReader(url, settings.topic_prefix)
    try:
        yield reader, settings
    except redis.RedisError as error:
        raise Failed(f"实时视图不可用 the live view does not answer: {type(error).__name__}") from error
    finally:
        reader.close()
