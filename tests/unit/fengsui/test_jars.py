"""The broker's jars: fetched once, verified, mended when torn, refused when forged (from a repository served here)."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fengsui.embedded import jars
from fengsui.embedded.supervise import ServiceError


class Repository:
    """A Maven repository with three small jars, on the loopback address, that counts what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: Counter[str] = Counter()
        self.jars = tuple(self._put(f"org.example:part-{number}:1.0", b"jar" * number) for number in (1, 2, 3))
        self.url = ""

    def _put(self, coordinate: str, data: bytes) -> jars.Jar:
        jar = jars.Jar(coordinate, hashlib.sha256(data).hexdigest(), len(data))
        (self.root / jar.path).parent.mkdir(parents=True)
        (self.root / jar.path).write_bytes(data)
        return jar


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository(tmp_path / "served")

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".jar"):
                served.asked[self.path.rsplit("/", 1)[1]] += 1
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served.root)))
    served.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(jars, "locked", lambda *_: served.jars)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_lock_is_complete() -> None:
    """The real lock names the broker first, each jar once, with a whole checksum."""
    locked = jars.locked()
    assert locked[0].coordinate.startswith("org.apache.kafka:kafka_2.13:4.3.")
    assert len({jar.path for jar in locked}) == len(locked) > 40
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert any("slf4j-simple" in jar.coordinate for jar in locked)


def test_fetched_once(repository: Repository, tmp_path: Path) -> None:
    """The first call downloads every jar, the second asks for none."""
    first = jars.classpath(tmp_path / "cache", repository.url)
    second = jars.classpath(tmp_path / "cache", repository.url + "/")
    assert first == second
    assert [path.read_bytes() for path in first] == [b"jar", b"jarjar", b"jarjarjar"]
    assert set(repository.asked.values()) == {1}


def test_later_starts_need_no_network(repository: Repository, tmp_path: Path) -> None:
    """Once complete, the class path is found without any repository."""
    there = jars.classpath(tmp_path / "cache", repository.url)
    assert jars.classpath(tmp_path / "cache", "http://127.0.0.1:9") == there


def test_two_at_once_share(repository: Repository, tmp_path: Path) -> None:
    """Of several first starts at once one downloads, the others wait for it."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: jars.classpath(tmp_path / "cache", repository.url), range(4)))
    assert all(paths == found[0] for paths in found)
    assert set(repository.asked.values()) == {1}


def test_a_torn_jar_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    """A jar cut short (by a kill in mid-download, or later) is noticed and replaced, the sound ones are kept."""
    paths = jars.classpath(tmp_path / "cache", repository.url)
    paths[1].write_bytes(b"ja")
    again = jars.classpath(tmp_path / "cache", repository.url)
    assert again[1].read_bytes() == b"jarjar"
    assert repository.asked == {"part-1-1.0.jar": 1, "part-2-1.0.jar": 2, "part-3-1.0.jar": 1}


def test_a_forged_jar_is_refused(repository: Repository, tmp_path: Path) -> None:
    """A jar whose checksum is not the locked one is an error, and stays neither on disk nor on a class path."""
    (repository.root / repository.jars[2].path).write_bytes(b"bad" * 3)
    with pytest.raises(ServiceError, match="checksum differs") as caught:
        jars.classpath(tmp_path / "cache", repository.url)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "maven" / repository.jars[2].path).exists()
    assert list((tmp_path / "cache").glob("*.classpath")) == []


def test_no_repository_is_one_line(repository: Repository, tmp_path: Path) -> None:
    """Without a network the error names the jar and the repository in one line."""
    with pytest.raises(ServiceError, match=r"cannot download org\.example:part-1:1\.0 from") as caught:
        jars.classpath(tmp_path / "cache", "http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(repository: Repository, tmp_path: Path) -> None:
    """A cache directory that cannot be made is an error in one line."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceError, match="cannot write the cache"):
        jars.classpath(tmp_path / "file" / "cache", repository.url)
