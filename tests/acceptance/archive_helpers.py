"""Topics, producers and conditions for the archive's and the dead-letter desk's acceptance tests."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fengsui.cli import main
from fengsui.settings import Settings
from topics.catalogue import TOPICS


def make_topics(settings: Settings, *names: str, partitions: int = 2, **config: str) -> None:
    """Create topics of the catalogue with the test's prefix."""
    wanted = [
        NewTopic(settings.topic_prefix + name, partitions, 1, config=TOPICS[name].config | config) for name in names
    ]
    admin = AdminClient({**settings.kafka_client()})
    for future in admin.create_topics(wanted).values():
        future.result(30)


def producer(settings: Settings, **config: Any) -> Producer:
    """A producer that partitions as the engine does."""
    return Producer(
        {**settings.kafka_client(), "partitioner": "murmur2_random", "acks": "all", "linger.ms": 5, **config}
    )


def send(settings: Settings, topic: str, values: Iterable[tuple[Any, Any]], **given: Any) -> None:
    """Produce keys and values and wait for all acknowledgements."""
    out = producer(settings)
    for key, value in values:
        out.produce(settings.topic_prefix + topic, value, key, **given)
        out.poll(0)
    assert out.flush(30) == 0


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until a condition gives something true -> that; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


class Shell:
    """The command line in this process, with the test's services in the environment."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Commands find the services as they would find them in a shell."""
        monkeypatch.setenv("FENGSUI_KAFKA", settings.kafka)
        monkeypatch.setenv("FENGSUI_TOPIC_PREFIX", settings.topic_prefix)
        monkeypatch.setenv("FENGSUI_DATA_DIR", str(settings.data_dir))
        self._capsys = capsys

    def run(self, *tokens: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr of one command."""
        self._capsys.readouterr()
        try:
            main(list(tokens))
            code = 0
        except SystemExit as left:
            code = int(str(left.code or 0))
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def json(self, *tokens: str) -> tuple[int, dict[str, Any]]:
        """Exit code and the object that `--json` prints on the last line."""
        code, out, err = self.run(*tokens, "--json")
        assert out, err
        return code, json.loads(out.splitlines()[-1])
