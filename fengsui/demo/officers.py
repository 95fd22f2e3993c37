"""The simulated departments: they hear warnings on their own topics, claim, handle and feed back what the truth tells them."""

import threading
from collections import Counter
from typing import Any, Final

import structlog
from confluent_kafka import Consumer

from connectors.city import City, Index, verdict
from connectors.view import DeskClient, command
from fengsui.settings import Settings
from topics.codes import DEPARTMENTS
from topics.wire import decode

log = structlog.get_logger()
AT_ONCE: Final = 200
ANSWER_SECONDS: Final = 60.0
Record = dict[str, Any]


class Officers:
    """A thread that works off the warnings of all departments. `done`: clue id -> verdict; `refused`: reasons."""

    def __init__(self, settings: Settings, city: City) -> None:
        self._settings = settings
        self._index = Index(city.truth)
        self._seed = city.seed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="officers", daemon=True)
        self.claimed: set[str] = set()
        self.done: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.failure: Exception | None = None

    def start(self) -> None:
        """Go on duty."""
        self._thread.start()

    def stop(self) -> None:
        """Go off duty after the warnings at hand."""
        self._stopping.set()
        self._thread.join(ANSWER_SECONDS)

    def _run(self) -> None:
        settings = self._settings
        consumer = Consumer(
            settings.kafka_client()
            | {
                "group.id": f"{settings.group}-officers",
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.subscribe([f"{settings.topic_prefix}warnings.{code}" for code in DEPARTMENTS])
        redis_url = settings.redis_url.get_secret_value()
        try:
            with DeskClient(settings.kafka_client(), prefix=settings.topic_prefix, redis_url=redis_url) as desk:
                while not self._stopping.is_set():
                    messages = consumer.consume(AT_ONCE, 0.2)
                    warnings = [decode(m.value() or b"")[1] for m in messages if m.error() is None]
                    self._work([w for w in warnings if w["cause"] == "dispatch"], desk)
        except Exception as error:
            self.failure = error
            log.exception("officers.failed")
        finally:
            consumer.close()

    def _work(self, warnings: list[Record], desk: DeskClient) -> None:
        """Claim all, handle what was claimed, feed back on what was handled."""
        mine = [w for w in warnings if w["clue_id"] not in self.claimed]
        mine = self._step("claim", mine, desk, lambda _: {})
        self.claimed |= {w["clue_id"] for w in mine}
        mine = self._step("handle", mine, desk, lambda _: {"note": "已派员现场核查"})
        said = {w["clue_id"]: verdict(w, self._index, self._seed) for w in mine}
        mine = self._step("feedback", mine, desk, lambda w: _feedback(*said[w["clue_id"]]))
        self.done |= {w["clue_id"]: said[w["clue_id"]][0] for w in mine}

    def _step(self, verb: str, warnings: list[Record], desk: DeskClient, arguments: Any) -> list[Record]:
        commands = [
            command(
                verb,
                w["clue_id"],
                arguments(w),
                actor=f"officer-{w['department']}",
                department=w["department"],
                command_id=f"demo-{verb}-{w['clue_id']}",
            )
            for w in warnings
        ]
        answers = desk.post_many(commands, ANSWER_SECONDS) if commands else []
        accepted = []
        for warning, answer in zip(warnings, answers, strict=True):
            if answer["accepted"]:
                accepted.append(warning)
            else:
                self.refused[str(answer["reason"])] += 1
        return accepted


def _feedback(said: str, text: str) -> Record:
    return {"verdict": said, "text": text}
