"""The embedded services as they really are: started, stopped, killed, orphaned, and raced for."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fengsui.embedded import ServiceError, kafka, locks, services
from fengsui.embedded import service as service_module
from fengsui.embedded import valkey as embedded_valkey
from fengsui.embedded.kafka import KafkaService
from fengsui.embedded.ports import free_ports
from fengsui.embedded.supervise import await_gone
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings

pytestmark = pytest.mark.broker

ENGINE = """
import json, sys
from fengsui.embedded import services, stop_on_sigterm
from fengsui.settings import load
with stop_on_sigterm(), services(load()) as running:
    print(json.dumps([running.kafka.pid, running.valkey.pid, running.kafka_bootstrap]), flush=True)
    sys.stdin.read()
"""


def make_topic(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)


def write(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "transaction.timeout.ms": 5000})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(30)


def read(bootstrap: str, topic: str, count: int = 1) -> list[bytes | None]:
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": f"{topic}.reader",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    consumer = Consumer(config)
    try:
        consumer.subscribe([topic])
        return [message.value() for message in consumer.consume(count, 30)]
    finally:
        consumer.close()


def test_a_committed_record_comes_back(broker: KafkaService, topic_prefix: str) -> None:
    """A record written in a transaction is read by a read-committed consumer of a group."""
    make_topic(broker.bootstrap, f"{topic_prefix}one")
    write(broker.bootstrap, f"{topic_prefix}one", b"beacon")
    assert read(broker.bootstrap, f"{topic_prefix}one") == [b"beacon"]


def test_settings_point_to_the_session(settings: Settings, broker: KafkaService, valkey: ValkeyService) -> None:
    """The settings fixture reaches both services through the same door as a user's own ones."""
    with services(settings) as running:
        assert (running.kafka_bootstrap, running.redis_url) == (broker.bootstrap, valkey.url)
        assert (running.kafka, running.valkey) == (None, None)
        assert valkey.url not in repr(running)


def test_valkey_wants_its_password(valkey: ValkeyService, service_settings: Settings) -> None:
    """With the password it serves scripts too, without it nothing; no command line or open file shows it."""
    client = redis.Redis.from_url(valkey.url)
    assert client.eval("return redis.call('INCRBY', KEYS[1], 3)", 1, "n") == 3
    password, place = valkey.url.removeprefix("redis://:").split("@")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(f"redis://{place}").ping()
    assert password not in " ".join(psutil.Process(valkey.pid).cmdline())
    config = service_settings.data_dir / "valkey" / "valkey.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_only_the_loopback_listens(broker: KafkaService, valkey: ValkeyService) -> None:
    """Neither service can be reached from another machine."""
    for pid in (broker.pid, valkey.pid):
        listening = [each.laddr.ip for each in psutil.Process(pid).net_connections() if each.status == "LISTEN"]
        assert listening
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_kafka_keeps_its_data(tmp_path: Path) -> None:
    """After an orderly restart and after kill -9 the address is the same and each committed record is there once."""
    with kafka.running(Settings(data_dir=tmp_path)) as service:
        address = service.bootstrap
        make_topic(address, "kept")
        write(address, "kept", b"before")
        service.restart()
        write(address, "kept", b"between")
        service.kill()
        assert not service.alive
        service.start()
        assert service.bootstrap == address
        write(address, "kept", b"after")
        assert read(address, "kept", 3) == [b"before", b"between", b"after"]
        pid = service.pid
    assert not psutil.pid_exists(pid)


def test_a_directory_with_chinese_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services work in a directory named in Chinese with a blank, also where the locale is plain C."""
    monkeypatch.setenv("LC_ALL", "C")
    home = tmp_path / "烽燧 数据"
    with services(Settings(data_dir=home)) as running:
        make_topic(running.kafka_bootstrap, "t")
        write(running.kafka_bootstrap, "t", "烽燧".encode())
        assert read(running.kafka_bootstrap, "t") == ["烽燧".encode()]
        assert redis.Redis.from_url(running.redis_url).ping()
        assert (home / "kafka" / "data" / "t-0").is_dir()


def test_valkey_comes_back_empty(tmp_path: Path) -> None:
    """After kill -9 the server is back on the same address with nothing in it: the live view is built again."""
    with embedded_valkey.running(Settings(data_dir=tmp_path)) as service:
        address = service.url
        redis.Redis.from_url(address).set("k", "v")
        service.kill()
        service.start()
        assert service.url == address
        assert redis.Redis.from_url(address).get("k") is None


def test_two_brokers_never_share_data(
    broker: KafkaService, service_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second broker on the directory of a running one is refused, and the running one is not disturbed."""
    monkeypatch.setattr(KafkaService, "predecessor_seconds", 0.1)
    with pytest.raises(ServiceError, match="another embedded Kafka is running"), kafka.running(service_settings):
        pass
    assert broker.alive


def test_a_taken_port_is_chosen_again(tmp_path: Path, broker: KafkaService, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process takes the port between choice and start, another one is chosen."""
    taken, free = int(broker.bootstrap.split(":")[1]), free_ports(4)
    offered = iter([[taken, free[0]], [free[1], free[2]]])
    monkeypatch.setattr(service_module, "free_ports", lambda _count: next(offered))
    with kafka.running(Settings(data_dir=tmp_path)) as service:
        assert service.bootstrap == f"127.0.0.1:{free[1]}"


def engine(settings: dict[str, str], directory: Path) -> subprocess.Popen[bytes]:
    """A process of its own that runs embedded services until its standard input closes."""
    return subprocess.Popen(
        [sys.executable, "-c", ENGINE],
        env={**os.environ, "FENGSUI_DATA_DIR": str(directory), **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def answer(process: subprocess.Popen[bytes]) -> tuple[int, int, str]:
    """Process ids of broker and Valkey, and the broker's address, once both are ready."""
    assert process.stdout is not None
    broker, server, bootstrap = json.loads(process.stdout.readline())
    return broker, server, bootstrap


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
def test_no_orphans(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """Whether the engine is killed, asked to end or interrupted: broker, Valkey and their locks are gone."""
    with engine({}, tmp_path) as process:
        broker, server, _ = answer(process)
        process.send_signal(number)
        assert process.wait(30) == status
        for pid in (broker, server):
            assert await_gone(pid, 20.0)
    for name in ("kafka", "valkey"):
        os.close(locks.take(tmp_path / name / "lock", 5.0))


@pytest.fixture
def mirror(broker: KafkaService, service_settings: Settings) -> Iterator[tuple[str, Counter[str]]]:
    """The real jars, which `broker` has brought into the cache, served as a Maven repository that counts requests."""
    assert broker.alive
    asked: Counter[str] = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".jar"):
                asked[self.path] += 1
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    root = str(service_settings.cache_dir / "maven")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_two_first_starts_share_one_cache(tmp_path: Path, mirror: tuple[str, Counter[str]]) -> None:
    """Two engines started at once on an empty cache both come up, each jar is downloaded once, HOME stays clean."""
    url, asked = mirror
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "FENGSUI_MAVEN_URL": url}
    with engine(variables, tmp_path / "a") as first, engine(variables, tmp_path / "b") as second:
        addresses = {answer(first)[2], answer(second)[2]}
        for process in (first, second):
            process.communicate(timeout=60)
    assert len(addresses) == 2
    assert len(asked) > 40
    assert set(asked.values()) == {1}
    assert [path.name for path in home.iterdir()] == ["cache"]
    assert (first.returncode, second.returncode) == (0, 0)
