"""Jars (Apache Kafka's): locked in a file by checksum, fetched once by jgo into the user's cache, shared by all."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fengsui.embedded import locks
from fengsui.embedded.supervise import ServiceError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_log = logging.getLogger(__name__)

KAFKA_LOCK = Path(__file__).with_name("kafka.lock")
_HTTP_SECONDS = 60
_OTHERS_DOWNLOAD_SECONDS = 900.0
_ATTEMPTS = 3

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file: Maven coordinate `group:artifact:version`, SHA-256 in hex, size in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where the jar lies below a Maven repository.

        >>> Jar("org.slf4j:slf4j-api:1.7.36", "", 0).path.as_posix()
        'org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar'
        """
        group, artifact, version = self.coordinate.split(":")
        return Path(*group.split("."), artifact, version, f"{artifact}-{version}.jar")


def locked(lock: Path = KAFKA_LOCK) -> tuple[Jar, ...]:
    """The jars of a lock file (the broker's), in class path order."""
    rows = [line.split() for line in lock.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return tuple(Jar(coordinate, sha256, int(size)) for coordinate, sha256, size in rows)


def _fingerprint(jars: Sequence[Jar]) -> str:
    return hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()[:16]


def _sound(path: Path, jar: Jar) -> bool:
    if not path.is_file() or path.stat().st_size != jar.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _fetch(context: "MavenContext", repository: Path, jar: Jar) -> None:
    """Bring one jar into the repository, verified; a torn or forged one is never left in place."""
    target = repository / jar.path
    if _sound(target, jar):
        return
    group, artifact, version = jar.coordinate.split(":")
    last: Exception | None = None
    for _ in range(_ATTEMPTS):
        target.unlink(missing_ok=True)
        try:
            context.project(group, artifact).at_version(version).artifact().resolve()
        except (
            OSError,
            RuntimeError,
        ) as error:  # requests' errors are OSErrors; jgo says "not found" with RuntimeError
            last = error
            _log.info("fetching %s failed: %s", jar.coordinate, error)
            continue
        if _sound(target, jar):
            return
        last = RuntimeError("checksum differs from the lock file")
    target.unlink(missing_ok=True)
    reason = str(last).splitlines()[0] if last is not None else "unknown"
    raise ServiceError(f"cannot download {jar.coordinate} from {next(iter(context.remote_repos.values()))}: {reason}")


@contextmanager
def _silent(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
    yield lambda _count: None


@contextmanager
def _bar(total: int) -> Iterator[Progress]:
    """A progress bar over all files together, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("首次下载 Apache Kafka / first download", total=total)

        @contextmanager
        def one(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield lambda count: bar.advance(task, count)

        yield one


def _download(repository: Path, jars: Sequence[Jar], maven_url: str) -> None:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    missing = [jar for jar in jars if not _sound(repository / jar.path, jar)]
    with _bar(sum(jar.size for jar in missing)) as progress:
        context = MavenContext(
            resolver=PythonResolver(progress_callback=progress),
            repo_cache=repository,
            remote_repos={"central": maven_url.rstrip("/") or MAVEN_CENTRAL_URL},
            timeout=_HTTP_SECONDS,
        )
        for jar in missing:
            _fetch(context, repository, jar)


def _listed(listing: Path, repository: Path, jars: Sequence[Jar]) -> bool:
    """Whether a complete, verified set was recorded and every file still has its size: no hashing at each start."""
    if not listing.is_file():
        return False
    files = [repository / jar.path for jar in jars]
    return all(file.is_file() and file.stat().st_size == jar.size for file, jar in zip(files, jars, strict=True))


def classpath(cache_dir: Path, maven_url: str, lock: Path = KAFKA_LOCK) -> list[Path]:
    """A lock file's jars (the broker's) as files below `cache_dir`, downloaded and verified (SHA-256) on first use.

    Several processes may ask at once: one downloads, the others wait for it.
    Raises ServiceError when a jar cannot be had.
    """
    jars = locked(lock)
    repository = cache_dir / "maven"
    listing = cache_dir / f"{lock.stem}-{_fingerprint(jars)}.classpath"
    if not _listed(listing, repository, jars):
        try:
            repository.mkdir(parents=True, exist_ok=True)
            with locks.held(cache_dir / "maven.lock", _OTHERS_DOWNLOAD_SECONDS):
                _download(repository, jars, maven_url)
                _write(listing, "\n".join(str(jar.path) for jar in jars))
        except locks.BusyError:
            raise ServiceError(f"another process has been filling {cache_dir} for too long") from None
        except OSError as error:
            raise ServiceError(f"cannot write the cache {cache_dir}: {error.strerror}") from error
    return [repository / jar.path for jar in jars]


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(text + "\n", "utf-8")
    aside.replace(path)
