"""Write fengsui/embedded/kafka.lock anew: resolve the broker's dependencies, record each jar's checksum and size.

    python scripts/lock_kafka.py

Run it after changing ROOTS; the downloads go to a temporary directory.
"""

import hashlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Coordinate

# 4.4.0 does not resolve (its kafka-tools-api is missing). Without a slf4j binding the broker logs nothing.
ROOTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LOCK = Path(__file__).parents[1] / "fengsui" / "embedded" / "kafka.lock"
HEADER = "# The embedded broker's jars: coordinate, SHA-256, bytes. Written by scripts/lock_kafka.py; do not edit.\n"


def lines(repository: Path) -> list[str]:
    """One line of the lock file for each jar, in class path order."""
    context = MavenContext(repo_cache=repository, timeout=60)
    roots = [context.create_dependency(replace(Coordinate.parse(root), scope="compile")) for root in ROOTS]
    direct, indirect = context.resolver.resolve(roots)
    wanted = [*direct, *(found for found in indirect if found.scope in ("compile", "runtime"))]
    rows = []
    for found in wanted:
        jar = found.artifact
        data = Path(jar.resolve()).read_bytes()
        coordinate = f"{jar.groupId}:{jar.artifactId}:{jar.version}"
        rows.append(f"{coordinate} {hashlib.sha256(data).hexdigest()} {len(data)}\n")
    return rows


def main() -> int:
    """Resolve, download, write; the exit status is 0."""
    with tempfile.TemporaryDirectory() as repository:
        rows = lines(Path(repository))
    LOCK.write_text(HEADER + "".join(rows), "utf-8")
    sys.stderr.write(f"{len(rows)} jars written to {LOCK}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
