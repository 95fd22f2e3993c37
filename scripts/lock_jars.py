"""Write the lock files of jars anew: resolve what is asked for, record each jar's checksum and size.

    python scripts/lock_jars.py

Run it after changing LOCKS; the downloads go to a temporary directory.
"""

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Coordinate

HOUSE = Path(__file__).parents[1]
LOGGING = "org.slf4j:slf4j-simple:1.7.36"  # without a slf4j binding nothing is logged
LOCKS = {
    # 4.4.0 does not resolve (its kafka-tools-api is missing)
    HOUSE / "fengsui" / "embedded" / "kafka.lock": ("org.apache.kafka:kafka_2.13:4.3.1", LOGGING),
    HOUSE / "bench" / "peers" / "kafka_streams.lock": (
        "org.apache.kafka:kafka-streams:4.3.1",
        "org.apache.avro:avro:1.12.1",
        "org.eclipse.jdt:ecj:3.40.0",
        LOGGING,
    ),
}
HEADER = "# Jars: coordinate, SHA-256, bytes. Written by scripts/lock_jars.py; do not edit.\n"


def lines(repository: Path, roots: Sequence[str]) -> list[str]:
    """One line of a lock file for each jar, in class path order."""
    context = MavenContext(repo_cache=repository, timeout=60)
    asked = [context.create_dependency(replace(Coordinate.parse(root), scope="compile")) for root in roots]
    direct, indirect = context.resolver.resolve(asked)
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
        for lock, roots in LOCKS.items():
            rows = lines(Path(repository), roots)
            lock.write_text(HEADER + "".join(rows), "utf-8")
            sys.stderr.write(f"{len(rows)} jars written to {lock}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
