"""Rounds of faults on a real house: `make faults` (ROUNDS, SEED). Every clue once, none twice, archive whole, else exit status 1.

Each round is drawn from its seed: two or three workers, which faults, on whom, when. A round can be played again alone:
ROUNDS=1 SEED=<its seed> make faults. What the machine's timing adds is not repeated.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from connectors.archive.reading import Reader, ranges
from connectors.archive.verify import verify
from fengsui.crew import Crew
from fengsui.demo.settle import NotSettledError
from fengsui.embedded import valkey as embedded_valkey
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings
from tests.acceptance.house import House, open_house
from tests.acceptance.rules import CROWD, HOT, MANY
from tests.faults import broker
from tests.faults.broker import ProxiedKafka
from tests.faults.harm import FAKETIME, FAULTS, Scene
from tests.faults.load import copies, expected, load
from topics.wire import decode

EVENTS: Final = 12_000
FEED_SECONDS: Final = 24.0
SETTLE_SECONDS: Final = 180.0
LOGS: Final = Path(".fengsui/faults")  # of the workers, by seed
RULES: Final = (HOT, MANY, CROWD)


@dataclass(slots=True)
class Outcome:
    """What a round, or all of them, came to."""

    faults: list[str]
    events: int = 0
    clues: int = 0
    missing: int = 0
    repeated: int = 0
    unexpected: int = 0
    archive: bool = True
    proof: str = ""
    unsettled: str = ""  # what was not decided in time

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {n}" for name, n in Counter(self.faults).items())
        differences = f"missing {self.missing}, repeated {self.repeated}, unexpected {self.unexpected}"
        archive = "verified" if self.archive else "NOT VERIFIED"
        said = f"faults {len(self.faults)} ({faults}), events {self.events}, clues {self.clues}, {differences}, archive {archive}"
        return f"{said}, NOT SETTLED: {self.unsettled}" if self.unsettled else said

    @property
    def exact(self) -> bool:
        """Whether nothing differs."""
        return self.archive and not (self.missing or self.repeated or self.unexpected or self.unsettled)


def differences(wanted: Counter[str], got: Counter[str]) -> tuple[int, int, int]:
    """Missing, repeated, unexpected.

    >>> differences(Counter("aab"), Counter("acc"))
    (1, 1, 1)
    """
    missing = sum(1 for one in wanted if one not in got)
    repeated = sum(n - 1 for n in got.values())
    return missing, repeated, sum(1 for one in got if one not in wanted)


def wanting(fault: str) -> bool:
    """Whether the machine lacks what a fault needs."""
    return fault == "clock" and FAKETIME is None


@contextmanager
def stage(data: Path) -> Iterator[tuple[ProxiedKafka, ValkeyService]]:
    """A broker behind a network that can be cut, and a view, for all rounds."""
    settings = Settings(data_dir=data)
    with broker.running(settings) as kafka, embedded_valkey.running(settings) as valkey:
        yield kafka, valkey


def play(seed: int, kafka: ProxiedKafka, valkey: ValkeyService, data: Path, names: list[str] | None = None) -> Outcome:
    """One round."""
    rng = random.Random(seed)
    drawn = rng.sample(list(FAULTS), rng.choice([2, 3]))
    chosen = names or [name for name in drawn if not wanting(name)]
    prefix = f"f{seed}-{uuid.uuid4().hex[:6]}."
    direct = Settings(
        kafka=kafka.bootstrap, redis_url=SecretStr(valkey.url), topic_prefix=prefix, group=f"{prefix}g",
        data_dir=data / prefix, archive_dir=data / prefix / "archive", archive_flush_seconds=1.0,
        checkpoint_seconds=rng.choice([0.5, 2.0, 10.0]),
    )  # fmt: skip
    behind = direct.model_copy(update={"kafka": f"127.0.0.1:{kafka.proxy.port}"})
    with ExitStack() as stack:
        stack.callback(_keep_logs, direct, seed)
        house, scene = _open(stack, rng, chosen, direct, behind, kafka, valkey)
        events = load(seed, EVENTS)
        fed = stack.enter_context(ThreadPoolExecutor(1)).submit(_feed, house, events)
        for name in chosen:
            time.sleep(rng.uniform(0.5, 3.0))
            FAULTS[name](scene)
        fed.result()
        house.crew.wait_ready(120)
        unsettled = ""
        try:
            house.settle(SETTLE_SECONDS)
        except NotSettledError as error:  # the rounds go on; this one differs
            unsettled = str(error)
        outcome = replace(_outcome(direct, house, chosen, len(events)), unsettled=unsettled)
        if not outcome.exact:
            _keep_evidence(direct, kafka, LOGS / f"{seed}-evidence")
            print(outcome.proof, flush=True)
    _forget(direct)
    return outcome


def _open(
    stack: ExitStack, rng: random.Random, chosen: list[str], direct: Settings, behind: Settings, kafka: ProxiedKafka,
    valkey: ValkeyService,
) -> tuple[House, Scene]:  # fmt: skip
    """Topics, rules, workers; under a faked clock, where the round asks for it, one more."""
    late = behind.model_copy(update={"data_dir": direct.data_dir / "late"})
    late.data_dir.mkdir(parents=True)
    clock = late.data_dir / "clock"
    house = stack.enter_context(open_house(direct, RULES, rng.choice([2, 3]), behind))
    if "clock" in chosen:
        clock.write_text("+0")
        apart = behind.model_copy(update={"data_dir": direct.data_dir / "faked"})
        stack.enter_context(Crew(apart, 1, _faked(clock))).wait_ready()
        house.crew.wait_ready()
    return house, Scene(rng, house.crew, kafka, valkey, late, clock)


def _faked(clock: Path) -> dict[str, str]:
    """The environment of workers that take their time from a file."""
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1"}  # fmt: skip


def _feed(house: House, events: list[dict[str, object]]) -> None:
    """A steady stream. What the broker is too busy (or dead) to take is sent again by the idempotent producer."""
    pause, size = threading.Event(), len(events) // 120
    for first in range(0, len(events), size):
        house.send(events[first : first + size], seconds=120)
        pause.wait(FEED_SECONDS / 120)


def _outcome(settings: Settings, house: House, chosen: list[str], events: int) -> Outcome:
    wanted = expected(settings, RULES)
    got = Counter(clue["clue_id"] for clue in house.records("clues"))
    missing, repeated, unexpected = differences(wanted.clues, got)
    strayed = copies(settings) != wanted.copies
    proof = verify(settings.kafka_client(), settings.topic_prefix, settings.archive_dir, wait=60)
    words = "" if proof.ok else f"{proof.counts}, first {[str(one) for one in proof.differences[:5]]}"
    return Outcome(chosen, events, len(wanted.clues), missing, repeated, unexpected + strayed, proof.ok, words)


def _keep_logs(settings: Settings, seed: int) -> None:
    """What the workers of the round said, for whoever looks into a difference."""
    kept = LOGS / str(seed)
    shutil.rmtree(kept, ignore_errors=True)
    for path in settings.data_dir.rglob("*.log"):
        (kept / path.parent.relative_to(settings.data_dir)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept / path.relative_to(settings.data_dir))


def _keep_evidence(settings: Settings, kafka: ProxiedKafka, kept: Path) -> None:
    """Where in the log each clue stands that is there more than once, and the broker's files of the topics that say why."""
    places: dict[str, list[tuple[int, int, int]]] = {}
    with Reader(settings.kafka_client()) as reader:
        topic = settings.topic_prefix + "clues"
        for stretch in reader.read(topic, ranges(settings.kafka_client(), settings.topic_prefix, ["clues"])["clues"]):
            for record in stretch.records:
                clue_id = decode(record.value or b"")[1]["clue_id"]
                places.setdefault(clue_id, []).append((stretch.partition, record.offset, record.timestamp))
    shutil.rmtree(kept, ignore_errors=True)
    for topic in ("clues", "progress", "rekeyed"):
        for folder in (kafka.home / "data").glob(f"{settings.topic_prefix}{topic}-*"):
            shutil.copytree(folder, kept / folder.name)
    for folder in (kafka.home / "data").glob("__transaction_state-*"):
        shutil.copytree(folder, kept / folder.name)
    (kept / "repeated.json").write_text(json.dumps({one: at for one, at in places.items() if len(at) > 1}))


def _forget(settings: Settings) -> None:
    """Topics of the round: a broker should not carry fifty rounds of them."""
    admin = AdminClient(settings.kafka_client())
    mine = [name for name in admin.list_topics(timeout=10).topics if name.startswith(settings.topic_prefix)]
    for deleted in admin.delete_topics(mine).values():
        deleted.result(30)


def main() -> int:
    """All rounds; the last line is the sum."""
    rounds, seed = int(os.environ.get("ROUNDS", "50")), int(os.environ.get("SEED", "1"))
    total = Outcome([])
    if wanting("clock"):
        print("clock steps are left out: scripts/debian_packages.sh libfaketime", flush=True)
    with tempfile.TemporaryDirectory() as scratch, stage(Path(scratch)) as (kafka, valkey):
        for i in range(rounds):
            began = time.monotonic()
            one = play(seed + i, kafka, valkey, Path(scratch))
            total = replace(
                total, faults=total.faults + one.faults, events=total.events + one.events, clues=total.clues + one.clues,
                missing=total.missing + one.missing, repeated=total.repeated + one.repeated,
                unexpected=total.unexpected + one.unexpected, archive=total.archive and one.archive,
                unsettled=total.unsettled or one.unsettled,
            )  # fmt: skip
            seconds = time.monotonic() - began
            print(f"seed {seed + i}: {one}, {seconds:.0f} s", flush=True)
    print(f"rounds {rounds}, {total}")
    return 0 if total.exact else 1


if __name__ == "__main__":
    sys.exit(main())
