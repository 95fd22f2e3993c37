"""Services for the engine: embedded ones where no address is set, existing ones checked where one is.

with services(load()) as running:
    worker(running.settings)
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from fengsui import runfile
from fengsui.embedded import kafka, valkey
from fengsui.embedded.kafka import KafkaService
from fengsui.embedded.supervise import ServiceError
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings

__all__ = ["KafkaService", "ServiceError", "Services", "ValkeyService", "services", "stop_on_sigterm"]

_REACH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """Reachable services: `settings` are those given, with both addresses filled in; `kafka` and `valkey` are ours."""

    kafka_bootstrap: str
    redis_url: str = field(repr=False)
    settings: Settings
    kafka: KafkaService | None = None
    valkey: ValkeyService | None = None


@contextmanager
def services(settings: Settings) -> Iterator[Services]:
    """Kafka and Redis for the length of the block: started and stopped, or checked to be reachable.

    Raises ServiceError, one line for the user, when one cannot be started or reached. Embedded ones also end when this
    process is killed.
    """
    _refuse_second(settings)
    with ExitStack() as stack:
        own_valkey, own_kafka = None, None
        if settings.redis_url.get_secret_value():
            check_redis(settings)
        else:
            own_valkey = stack.enter_context(valkey.running(settings))
            settings = settings.model_copy(update={"redis_url": SecretStr(own_valkey.url)})
        if settings.kafka:
            check_kafka(settings)
        else:
            own_kafka = stack.enter_context(kafka.running(settings))
            settings = settings.model_copy(update={"kafka": own_kafka.bootstrap})
        yield Services(settings.kafka, settings.redis_url.get_secret_value(), settings, own_kafka, own_valkey)


def _refuse_second(settings: Settings) -> None:
    """A second engine's services in one data directory would wait for a lock in vain: say so at once."""
    run = runfile.read_run(settings)
    if run is not None and run.pid != os.getpid() and not (settings.kafka and settings.redis_url.get_secret_value()):
        raise ServiceError(f"an engine is already running in {settings.data_dir} (process {run.pid})")


def check_kafka(settings: Settings) -> None:
    """Return when the cluster answers; raise ServiceError with the first reason the client gave when it does not."""
    reasons: list[str] = []
    config: dict[str, Any] = {
        **settings.kafka_client(),
        "log_level": 0,
        "error_cb": lambda error: reasons.append(error.str()),
    }
    client = AdminClient(config)
    try:
        client.list_topics(timeout=_REACH_SECONDS)
    except KafkaException as error:
        client.poll(0)  # has the reasons told
        reason = reasons[0] if reasons else error.args[0].str()
        raise ServiceError(f"Kafka at {settings.kafka} cannot be reached: {reason}") from None


def check_redis(settings: Settings) -> None:
    """Return when the server answers; raise ServiceError, without the password, when it does not."""
    url = settings.redis_url.get_secret_value()
    try:
        parts = urlsplit(url)
        place = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        client = redis.Redis.from_url(url, socket_timeout=_REACH_SECONDS, socket_connect_timeout=_REACH_SECONDS)
    except ValueError:  # its text may quote a password that was not percent-encoded
        raise ServiceError("FENGSUI_REDIS_URL is not an address (is the password percent-encoded?)") from None
    try:
        client.ping()
    except redis.RedisError as error:
        raise ServiceError(f"Redis at {place} cannot be reached: {' '.join(str(error).split())}") from None
    finally:
        client.close()


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Inside the block SIGTERM leaves as Ctrl-C does, through every `finally`, with exit code 143. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
