"""`run.json` in the data directory: the addresses of the engine that runs there, for the other commands to find."""

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
from pydantic import SecretStr

from fengsui.settings import Settings

_log = logging.getLogger(__name__)

_NAME = "run.json"
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """A running engine: its addresses, and the process (id and start, seconds since 1970) that keeps them alive."""

    kafka: str
    redis_url: str = field(repr=False)
    topic_prefix: str
    archive_dir: str
    pid: int
    started: float
    http: str = ""
    metrics: str = ""
    gateways: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, settings: Settings, *, http: str = "", metrics: str = "", gateways: Mapping[str, int] | None = None
    ) -> Self:
        """This process, with services at the settings' addresses; `http` and `metrics` are base URLs or empty, `gateways` the
        ports of device gateways by name."""
        me = psutil.Process()
        return cls(
            kafka=settings.kafka,
            redis_url=settings.redis_url.get_secret_value(),
            topic_prefix=settings.topic_prefix,
            archive_dir=str(settings.archive_dir.resolve()),
            pid=me.pid,
            started=me.create_time(),
            http=http,
            metrics=metrics,
            gateways=dict(gateways or {}),
        )

    @property
    def alive(self) -> bool:
        """Whether that very process still runs (another one may have been given its id since)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TOLERANCE_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def run_path(settings: Settings) -> Path:
    """Where the file lies."""
    return settings.data_dir / _NAME


def write_run(settings: Settings, run: Run) -> None:
    """Write the file at once or not at all, readable by this user alone: the Redis address holds a password."""
    path = run_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{_NAME}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(run), file, indent=1)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_run(settings: Settings) -> Run | None:
    """The engine that runs in this data directory, or None when there is none, or none any more."""
    path = run_path(settings)
    try:
        run = Run(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:  # of another version, or not ours
        _log.warning("%s is not a run file of this version: %s", path, type(error).__name__)
        return None
    return run if run.alive else None


def with_run(settings: Settings) -> Settings:
    """Settings with the addresses of the running engine put in, except where a setting was given (FENGSUI_* wins)."""
    run = read_run(settings)
    if run is None:
        return settings
    found: dict[str, Any] = {
        "kafka": run.kafka,
        "redis_url": SecretStr(run.redis_url),
        "topic_prefix": run.topic_prefix,
        "archive_dir": Path(run.archive_dir),
    }
    return settings.model_copy(update={k: v for k, v in found.items() if k not in settings.model_fields_set})


@contextmanager
def published(settings: Settings, run: Run) -> Iterator[None]:
    """Let other commands find this engine for the length of the block; a file that another wrote is left alone."""
    write_run(settings, run)
    try:
        yield
    finally:
        if read_run(settings) == run:
            run_path(settings).unlink(missing_ok=True)
