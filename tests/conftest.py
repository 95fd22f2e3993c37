"""Fixtures shared by all tests: real services for the session, settings that keep each test's topics apart."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from fengsui import logs
from fengsui.embedded import kafka
from fengsui.embedded import valkey as embedded_valkey
from fengsui.embedded.kafka import KafkaService
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own FENGSUI_* variables never reach a test."""
    for name in [name for name in os.environ if name.startswith("FENGSUI_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """As a worker's: structlog's own default draws a traceback with all its locals, which takes seconds."""
    logs.configure(Settings(log_format="json"))


@pytest.fixture(scope="session")
def service_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Where the session's services keep their data: a temporary directory; downloads stay in the user's cache."""
    return Settings(data_dir=tmp_path_factory.mktemp("services"))


@pytest.fixture(scope="session")
def broker(service_settings: Settings) -> Iterator[KafkaService]:
    """A real Kafka broker for the whole session: `broker.bootstrap`. A test that stops or kills it starts it again."""
    with kafka.running(service_settings) as service:
        yield service


@pytest.fixture(scope="session")
def valkey(service_settings: Settings) -> Iterator[ValkeyService]:
    """A real Redis-compatible server for the whole session: `valkey.url`."""
    with embedded_valkey.running(service_settings) as service:
        yield service


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topic names, consumer groups and transactional ids that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def settings(broker: KafkaService, valkey: ValkeyService, topic_prefix: str, tmp_path: Path) -> Settings:
    """Settings that point to the session's services; topic prefix, group and data directory are the test's own."""
    return Settings(
        kafka=broker.bootstrap,
        redis_url=SecretStr(valkey.url),
        topic_prefix=topic_prefix,
        group=f"{topic_prefix}fengsui",
        data_dir=tmp_path / "data",
    )
