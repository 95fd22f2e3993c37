"""The desk through the real engine: crowds of claimers, a view that is lost and rebuilt."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.view import DeskClient, ViewReader, command
from fengsui.embedded.valkey import ValkeyService
from fengsui.settings import Settings
from tests.acceptance.house import House, open_house, reading, wait_until
from tests.acceptance.rules import HOT

pytestmark = pytest.mark.broker
CLUES, CLAIMERS = 50, 100


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """One worker with one rule, and 50 clues on the desk."""
    with open_house(settings, [HOT]) as running:
        running.send([reading(i, 60.0) for i in range(CLUES)])
        running.settle()
        yield running


def client(settings: Settings) -> DeskClient:
    """A desk client of that house."""
    return DeskClient(
        settings.kafka_client(), prefix=settings.topic_prefix, redis_url=settings.redis_url.get_secret_value()
    )


def reader(settings: Settings) -> ViewReader:
    """The live view of that house."""
    return ViewReader(settings.redis_url.get_secret_value(), settings.topic_prefix)


def test_of_a_hundred_claimers_one_wins_each_clue_and_the_others_are_told_who(house: House) -> None:
    """100 officers claim all 50 clues at once: 50 owners, 4,950 refusals that name the owner."""
    ids = [clue["clue_id"] for clue in house.records("clues")]
    assert len(ids) == CLUES

    def claim_all(officer: int) -> list[dict[str, Any]]:
        shuffled = ids[officer % CLUES :] + ids[: officer % CLUES]
        who = {"actor": f"officer-{officer}", "department": "market-supervision"}
        return desk.post_many([command("claim", clue_id, **who) for clue_id in shuffled], 120)

    with client(house.settings) as desk, ThreadPoolExecutor(CLAIMERS) as crowd:
        answers = [answer for answers in crowd.map(claim_all, range(CLAIMERS)) for answer in answers]
    won = {answer["clue_id"]: answer["owner"] for answer in answers if answer["accepted"]}
    lost = [answer for answer in answers if not answer["accepted"]]
    assert len(won) == CLUES
    assert len(lost) == CLUES * CLAIMERS - CLUES
    assert {answer["reason"] for answer in lost} == {"already-claimed"}
    assert all(answer["owner"] == won[answer["clue_id"]] for answer in lost)
    log = [entry for entry in house.records("clue-log") if entry["verb"] == "claim" and entry["accepted"]]
    assert Counter(entry["clue_id"] for entry in log) == Counter(ids)


def test_a_lost_view_is_rebuilt_from_kafka_with_nothing_lost(house: House, valkey: ValkeyService) -> None:
    """Redis is killed in mid-run and comes back empty: the view is whole again, and claims went on meanwhile."""
    ids = [clue["clue_id"] for clue in house.records("clues")]
    who = {"actor": "li", "department": "market-supervision"}
    with client(house.settings) as desk:
        assert all(answer["accepted"] for answer in desk.post_many([command("claim", i, **who) for i in ids[:20]], 60))
        valkey.kill()
        with client(house.settings.model_copy(update={"redis_url": type(house.settings.redis_url)("")})) as log_only:
            answers = log_only.post_many([command("claim", i, **who) for i in ids[20:40]], 60)
            assert all(answer["accepted"] for answer in answers)
        valkey.restart()
    view = reader(house.settings)
    try:
        wait_until(lambda: _states(view) == {"claimed": 40, "dispatched": 10}, 60, "the rebuilt view")
        assert {i: view.get(i)["owner"] for i in ids[:40]} == dict.fromkeys(ids[:40], "li")  # type: ignore[index]
    finally:
        view.close()


def _states(view: ViewReader) -> dict[str, int]:
    import redis

    try:
        return dict(Counter(clue["state"] for clue in view.list(limit=1000).clues))
    except redis.RedisError:
        return {}


def test_a_claim_of_a_closed_clue_is_refused_with_its_reason(house: House) -> None:
    """Claimed, handled, fed back and closed: a later claim hears `clue-closed`, and the log shows the whole way."""
    clue_id = house.records("clues")[0]["clue_id"]
    who = {"actor": "li", "department": "market-supervision"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("claim", {}),
        ("handle", {"note": "现场核查"}),
        ("feedback", {"verdict": "confirmed", "text": "属实"}),
        ("close", {}),
    ]
    with client(house.settings) as desk:
        for verb, arguments in steps:
            assert desk.post(command(verb, clue_id, arguments, **who), 30)["accepted"]
        answer = desk.post(command("claim", clue_id, actor="wang", department="market-supervision"), 30)
    assert (answer["accepted"], answer["reason"]) == (False, "clue-closed")
    verbs = [entry["verb"] for entry in house.records("clue-log") if entry["clue_id"] == clue_id and entry["accepted"]]
    assert verbs == ["dispatch", "claim", "handle", "feedback", "close"]


def test_a_person_raises_a_clue_by_hand(house: House) -> None:
    """A clue raised by hand goes the same way: dispatched to its department, claimed, in the audit with its actor."""
    clue = {
        "title": "无证经营", "sector": "market", "severity": "yellow", "department": "market-supervision",
        "subject": "site:market-7", "explanation": "群众当面反映",
    }  # fmt: skip
    with client(house.settings) as desk:
        raised = desk.post(command("raise", "manual-1", clue, actor="zhao", department="coordinator"), 30)
        claimed = desk.post(command("claim", "manual-1", actor="li", department="market-supervision"), 30)
    assert raised["accepted"]
    assert claimed["owner"] == "li"
    house.settle()
    assert "manual-1" in {w["clue_id"] for w in house.records("warnings.market-supervision")}
    assert ("zhao", "clue.raise") in {(a["actor"], a["action"]) for a in house.records("audit")}
