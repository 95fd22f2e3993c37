"""The dead-letter desk on a real broker: look, mend, send again, with audit."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.archive.reading import Reader, ranges
from connectors.archive.table import Record
from fengsui.settings import Settings
from tests.acceptance.archive_helpers import Shell, make_topics, send
from tests.unit.topics.samples import USCC, event, record
from topics.keys import partition_of
from topics.records import COMMAND, REJECTED
from topics.wire import decode, encode

pytestmark = pytest.mark.broker

PARTITIONS = 4
BAD = "uscc:91350100M000100Y4Z"


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell beside a cluster with the topics in question."""
    names = ("rejected", "audit", "commands", "events.iot", "events.complaint")
    make_topics(settings, *names, partitions=PARTITIONS)
    return Shell(settings, monkeypatch, capsys)


def reject(settings: Settings, *letters: dict[str, Any]) -> None:
    """Write dead letters as stages do."""
    base: dict[str, Any] = {"reason": "bad-uscc", "detail": "", "stage": "intake", "topic": "events.iot"}
    base |= {"partition": 1, "offset": 7, "rejected_at": 1, "key": b"k", "value": event("iot", subject=BAD)}
    send(settings, "rejected", [(b"k", encode(REJECTED, base | letter)) for letter in letters])


def records(settings: Settings, topic: str) -> list[tuple[int, Record]]:
    """Partition and record of all that lies on a topic."""
    client, prefix = settings.kafka_client(), settings.topic_prefix
    with Reader(client) as reader:
        wanted = ranges(client, prefix, [topic])[topic]
        return [(s.partition, r) for s in reader.read(prefix + topic, wanted) for r in s.records]


def ids(shell: Shell, *tokens: str) -> list[str]:
    """Ids that `rejected list` names, the oldest first."""
    return [letter["id"] for letter in shell.json("rejected", "list", *tokens)[1]["letters"]][::-1]


def test_list_counts_and_filters(settings: Settings, shell: Shell) -> None:
    """All are counted by reason; reason, topic, time and limit choose what is shown; what is no dead letter is shown too."""
    reject(settings, {}, {"reason": "bad-json", "topic": "events.complaint"}, {"reason": "bad-json", "value": None})
    send(settings, "rejected", [(b"k", b"not a letter")])
    _, found = shell.json("rejected", "list")
    assert (found["total"], found["counts"]) == (4, {"bad-json": 2, "bad-uscc": 1, "unknown-format": 1})
    assert len(ids(shell, "--reason", "bad-json")) == 2
    assert len(ids(shell, "--topic", "events.complaint")) == 1
    assert len(ids(shell, "--since", "1h")) == 4
    assert ids(shell, "--since", "2100-01-01T00:00:00+08:00") == []
    _, one = shell.json("rejected", "list", "--limit", "1")
    assert (one["total"], len(one["letters"])) == (4, 1)
    code, out, _ = shell.run("rejected", "list")
    assert code == 0
    assert "统一社会信用代码校验不通过" in out
    for wrong in (["--since", "soon"], ["--reason", "nothing"], ["--limit", "0"]):
        assert shell.run("rejected", "list", *wrong)[0] == 2


def test_show_gives_raw_bytes_and_what_they_say(settings: Settings, shell: Shell) -> None:
    """Text as text, other bytes as hex, fields where the record can be read, no control characters on the terminal."""
    reject(settings, {}, {"value": b"\x00\xff", "reason": "broken-avro"}, {"value": b"\x1b[31m{oops", "topic": ""})
    first, second, third = ids(shell)
    assert shell.json("rejected", "show", first)[1]["decoded"]["subject"] == BAD
    found = shell.json("rejected", "show", second)[1]
    assert (found["value"], found["decoded"]) == ("0x00ff", None)
    code, out, _ = shell.run("rejected", "show", third)
    assert code == 0
    assert "\x1b" not in out
    assert shell.run("rejected", "show", "rejected/0/999")[0] == 2
    assert shell.run("rejected", "show", "nonsense")[0] == 2


def test_what_would_be_refused_again_is_not_sent(settings: Settings, shell: Shell) -> None:
    """Sending unchanged what is still bad is refused with the reason, exit code 1, and an audit record says so."""
    reject(settings, {})
    code, found = shell.json("rejected", "replay", *ids(shell), "--actor", "li")
    assert (code, found["sent"], found["refused"], found["letters"][0]["reason"]) == (1, 0, 1, "bad-uscc")
    assert records(settings, "events.iot") == []
    _, audit = decode(records(settings, "audit")[0][1].value or b"")
    assert (audit["actor"], audit["object"], audit["result"]) == ("li", ids(shell)[0], "bad-uscc")


def test_mended_fields_are_sent_to_the_origin_keyed_by_subject(settings: Settings, shell: Shell) -> None:
    """The record lies in its subject's partition, names the letter it mends, and the audit names its place."""
    reject(settings, {})
    (letter,) = ids(shell)
    code, found = shell.json("rejected", "replay", letter, "--set", f"subject=uscc:{USCC}", "--set", "value=-18.5")
    assert (code, found["sent"]) == (0, 1)
    ((partition, sent),) = records(settings, "events.iot")
    assert sent.key == f"uscc:{USCC}".encode()
    assert partition == partition_of(sent.key, PARTITIONS)
    assert sent.headers == [("mends", letter.encode())]
    assert decode(sent.value or b"")[1] == record("iot", subject=f"uscc:{USCC}", value=-18.5) | dict.fromkeys(
        ("subject_name", "region", "item_code", "person", "chain", "unit", "flag")
    )
    _, audit = decode(records(settings, "audit")[0][1].value or b"")
    assert (audit["action"], audit["result"]) == ("rejected.replay", f"events.iot/{partition}/{sent.offset}")


def test_many_letters_good_again_are_sent_as_they_are(settings: Settings, shell: Shell) -> None:
    """Raw bytes travel unchanged, Avro and JSON; a mixture sends the good and names the bad."""
    good = event("iot")
    as_json = json.dumps(record("complaint")).encode()
    reject(settings, {"value": good}, {"topic": "events.complaint", "value": as_json}, {"value": b"{oops"})
    code, found = shell.json("rejected", "replay", *ids(shell))
    assert (code, found["sent"], found["refused"]) == (1, 2, 1)
    assert found["letters"][2]["reason"] == "bad-json"
    assert [r.value for _, r in records(settings, "events.iot")] == [good]
    assert [r.value for _, r in records(settings, "events.complaint")] == [as_json]


def test_a_whole_new_body_and_a_letter_that_never_reached_a_topic(
    settings: Settings, shell: Shell, tmp_path: Path
) -> None:
    """`--with` replaces the record, checked as well; without an origin the record's own kind names the topic."""
    reject(settings, {"topic": "", "partition": -1, "offset": -1, "stage": "http", "value": b"\xff\xfe"})
    (letter,) = ids(shell)
    body = tmp_path / "mended.json"
    body.write_text(json.dumps(record("complaint", subject="nobody")))
    assert shell.json("rejected", "replay", letter, "--with", str(body))[1]["letters"][0]["reason"] == "bad-subject"
    body.write_text(json.dumps(record("complaint", subject="site:火锅")))
    assert shell.json("rejected", "replay", letter, "--with", str(body))[0] == 0
    assert records(settings, "events.complaint")[0][1].key == "site:火锅".encode()
    assert shell.run("rejected", "replay", letter, "--with", str(tmp_path / "nowhere"))[0] == 2
    assert shell.run("rejected", "replay", letter, letter, "--with", str(body))[0] == 2
    assert shell.run("rejected", "replay")[0] == 2


def test_commands_are_mended_too(settings: Settings, shell: Shell) -> None:
    """A command without a department gets one and goes to its clue's partition; other topics take nothing."""
    command = {f.name: "x" for f in COMMAND.fields} | {"issued_at": 1, "department": "", "clue_id": "c1"}
    value = encode(COMMAND, command)
    reject(settings, {"topic": "commands", "reason": "bad-command", "value": value}, {"topic": "models"})
    first, second = ids(shell)
    assert shell.json("rejected", "replay", first)[1]["letters"][0]["reason"] == "bad-command"
    assert shell.json("rejected", "replay", first, "--set", "department=fire-rescue")[0] == 0
    assert records(settings, "commands")[0][1].key == b"c1"
    assert shell.json("rejected", "replay", second)[1]["letters"][0]["reason"] == "unknown-kind"


def test_keys_go_where_librdkafka_sends_them(settings: Settings, shell: Shell) -> None:
    """`partition_of` names the partition that murmur2_random gives, for ASCII and Chinese keys of any length."""
    keys = [b"site:" + b"x" * i for i in range(40)] + [f"site:火锅{i}".encode() for i in range(40)]
    send(settings, "events.iot", [(key, b"v") for key in keys])
    found = {record.key: partition for partition, record in records(settings, "events.iot")}
    assert found == {key: partition_of(key, PARTITIONS) for key in keys}
