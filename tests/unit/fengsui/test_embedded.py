"""The door to the services, as far as it goes without starting any."""

import doctest
import os
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from fengsui import embedded
from fengsui.embedded import ServiceError, broker_config, jars, kafka, services, stop_on_sigterm
from fengsui.embedded.ports import free_ports
from fengsui.runfile import Run, write_run
from fengsui.settings import Settings


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_REACH_SECONDS", 0.5)


def refusal(settings: Settings) -> str:
    """The one line that `services` refuses these settings with."""
    with pytest.raises(ServiceError) as caught, services(settings):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unreachable_redis(tmp_path: Path) -> None:
    """A Redis nobody listens at is named without its password."""
    (port,) = free_ports(1)
    said = refusal(Settings(redis_url=SecretStr(f"redis://:hunter2@127.0.0.1:{port}/0"), data_dir=tmp_path))
    assert f"127.0.0.1:{port} cannot be reached" in said
    assert "hunter2" not in said


def test_a_redis_address_that_is_none(tmp_path: Path) -> None:
    """An address that cannot be parsed is refused without quoting it: the odd part may be the password."""
    said = refusal(Settings(redis_url=SecretStr("redis://:a@host:hunter2/0"), data_dir=tmp_path))
    assert "FENGSUI_REDIS_URL" in said
    assert "hunter2" not in said


def test_an_unreachable_kafka() -> None:
    """A Kafka nobody listens at is refused with the client's own reason."""
    (port,) = free_ports(1)
    with pytest.raises(ServiceError, match="cannot be reached") as caught:
        embedded.check_kafka(Settings(kafka=f"127.0.0.1:{port}"))
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "Connection refused" in str(caught.value)


def test_a_second_engine_in_one_directory(tmp_path: Path) -> None:
    """While another engine runs in the data directory, no embedded service is started in it."""
    settings = Settings(data_dir=tmp_path)
    parent = Run.of(settings)
    import psutil

    other = psutil.Process(os.getppid())
    write_run(settings, replace(parent, pid=other.pid, started=other.create_time()))
    assert f"already running in {tmp_path} (process {other.pid})" in refusal(settings)


def test_sigterm_runs_every_finally() -> None:
    """SIGTERM inside the block leaves it in order with exit code 143, and the former handler is back after it."""
    before = signal.getsignal(signal.SIGTERM)
    cleaned: list[bool] = []

    def work() -> None:
        with stop_on_sigterm():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()
            finally:
                cleaned.append(True)

    with pytest.raises(SystemExit) as caught:
        work()
    assert (caught.value.code, cleaned) == (143, [True])
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_broker_listens_on_the_loopback_only(tmp_path: Path) -> None:
    """Every address in the broker's configuration is 127.0.0.1, and nothing creates topics by accident."""
    config = broker_config.properties(tmp_path, 1, 2)
    addresses = [config[key] for key in ("listeners", "advertised.listeners", "controller.quorum.voters")]
    assert [text.count("127.0.0.1") for text in addresses] == [2, 1, 1]
    assert config["auto.create.topics.enable"] == "false"


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """One random id in 64 begins with a dash in base64; Kafka's storage tool would refuse it."""
    drawn = iter([b"\xf8" + bytes(15), b"\xfb" * 16, b"\xb8" + bytes(15)])
    monkeypatch.setattr(kafka.uuid, "uuid4", lambda: uuid.UUID(bytes=next(drawn)))
    assert kafka._new_cluster_id() == "uAAAAAAAAAAAAAAAAAAAAA"


def test_free_ports_differ() -> None:
    """Ports asked for together are different."""
    assert len(set(free_ports(20))) == 20


@pytest.mark.parametrize("module", [broker_config, jars])
def test_examples_hold(module: object) -> None:
    """The examples in the docstrings run."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
