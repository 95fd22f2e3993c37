"""The file gateway without a broker: formats, mapping, order, pace, refusals. The writer is a list."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from connectors.files import FileError, MappingError, Pace, load_mapping, replay, send
from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone
from tests.unit.connectors.kept import Kept
from topics.catalogue import EVENT_BYTES
from topics.events import KINDS

NOW = 1_790_000_000_000
MAPPING = """
kind: complaint
constants: {sector: food-drug, source: test, complaint_type: complaint}
columns:
  event_id: "no"
  subject: {template: "site:{lat:.2f}_{lon:.2f}"}
  occurred_at: {column: day, format: ["%Y-%m-%d", "%d.%m.%Y"], timezone: Asia/Shanghai}
  category: {column: what, values: {rats: 鼠患, smell: 异味}, otherwise: reject}
  title: what
filter:
  - {column: state, in: [open, new]}
"""
HEAD = "no,day,lat,lon,what,state\n"


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics(CollectorRegistry())


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


Written = Callable[[str, str | bytes], Path]
PACE = Pace(now_ms=lambda: NOW)


def iot_rows(count: int) -> list[dict[str, Any]]:
    fixed = {"sector": "fire", "subject": "device:9", "source": "t", "device_id": "d", "metric": "m"}
    rows: list[dict[str, Any]] = [{"event_id": f"e{i}", "occurred_at": NOW - i, "value": i / 2} for i in range(count)]
    return [row | fixed | {"observed_at": NOW} for row in rows]


def test_a_mapped_csv(written: Written, metrics: GatewayMetrics) -> None:
    """Dates in a zone, translated values, rounded places, constants and the filter; keyed by subject."""
    rows = "1,2024-03-01,31.2304,121.47,rats,open\n2,02.03.2024,-0.001,0.001,smell,new\n3,2024-03-01,1,1,rats,closed\n"
    writer = Kept()
    path = written("c.csv", HEAD + rows)
    counts = replay(path, load_mapping(written("m.yaml", MAPPING)), writer, pace=PACE, metrics=metrics)
    assert counts.as_json() == {"read": 3, "sent": 2, "skipped": 1, "rejected": 0, "reasons": {}}
    first, second = writer.events()
    assert first["occurred_at"] == first["observed_at"] == 1_709_222_400_000  # midnight in Shanghai
    assert (first["subject"], first["category"], first["title"]) == ("site:31.23_121.47", "鼠患", "rats")
    assert (second["subject"], second["occurred_at"]) == ("site:0.00_0.00", 1_709_308_800_000)
    assert writer.records[0][1][0] == b"site:31.23_121.47"


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("1,2024-13-01,1,1,rats,open", "bad-mapping", "occurred_at"),
        ("1,,1,1,rats,open", "missing-field", "occurred_at"),
        ("1,2024-03-01,,1,rats,open", "missing-field", "subject"),
        ("1,2024-03-01,1,nan,rats,open", "missing-field", "subject"),
        ("1,2024-03-01,1,1,noise,open", "bad-mapping", "category"),
        ("1,1999-03-01,1,1,rats,open", "time-too-old", ""),
        ("1,2099-03-01,1,1,rats,open", "time-in-future", ""),
        ("1,2024-03-01,1,1", "bad-mapping", "4 columns, not 6"),
        ("1,2024-03-01,1,1,\udcff,open", "bad-utf8", ""),
    ],
)
def test_a_bad_row_is_a_dead_letter(
    written: Written, metrics: GatewayMetrics, row: str, reason: str, detail: str
) -> None:
    """A row that does not fit is refused by name with what it was, and its neighbours go on."""
    good = "7,2024-03-01,1,1,rats,open\n"
    path = written("c.csv", (HEAD + good + row + "\n" + good).encode("utf-8", "surrogateescape"))
    writer = Kept()
    counts = replay(path, load_mapping(written("m.yaml", MAPPING)), writer, pace=PACE, metrics=metrics)
    assert (counts.read, counts.sent, dict(counts.rejected)) == (3, 2, {reason: 1})
    (letter,) = writer.letters()
    assert (letter["reason"], letter["detail"], letter["stage"]) == (reason, detail, "gateway-file")
    assert b"1999" in letter["value"] or reason != "time-too-old"


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.jsonl", "e.ndjson.gz", "e.parquet", "e.parquet.gz"])
def test_every_format_says_the_same(tmp_path: Path, metrics: GatewayMetrics, name: str) -> None:
    """The same rows as CSV, JSON lines or Parquet, gzipped or not, give the same events in the same order."""
    rows = iot_rows(25_000)
    plain = tmp_path / name.removesuffix(".gz")
    if ".csv" in name:
        with plain.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    elif "parquet" in name:
        pl.DataFrame(rows).write_parquet(plain)
    else:
        plain.write_text("\n".join(json.dumps(row) for row in rows))
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(plain.read_bytes()))
    writer = Kept()
    counts = send(KINDS["iot"], path, writer, pace=PACE, metrics=metrics)
    assert counts.as_json() == {"read": 25_000, "sent": 25_000, "skipped": 0, "rejected": 0, "reasons": {}}
    events = writer.events()
    assert [event["event_id"] for event in events] == [row["event_id"] for row in rows]
    assert [(event["value"], event["occurred_at"]) for event in events] == [
        (r["value"], r["occurred_at"]) for r in rows
    ]


def test_json_lines_of_events(written: Written, metrics: GatewayMetrics) -> None:
    """Broken lines, other kinds, bad identifiers, lines too long are refused with the line; blank ones are nothing."""
    good = iot_rows(1)[0]
    lines = [
        json.dumps(good).encode(),
        b"",
        b'{"event_id": ',
        json.dumps(good | {"kind": "video"}).encode(),
        json.dumps(good | {"subject": "uscc:91350100M000100Y44"}).encode(),
        json.dumps(good | {"source": "x" * 5_000_000}).encode(),
        json.dumps(good).replace('"d"', '"\\ud800"').encode(),
        b'{"event_id": "\xff"}',
    ]
    writer = Kept()
    counts = send(KINDS["iot"], written("e.jsonl", b"\n".join(lines)), writer, pace=PACE, metrics=metrics)
    assert (counts.read, counts.sent) == (7, 1)
    expected = {"bad-json": 2, "wrong-kind": 1, "bad-uscc": 1, "too-large": 1, "bad-utf8": 1}
    assert dict(counts.rejected) == expected
    assert {letter["value"] for letter in writer.letters()} >= {lines[2], lines[3], lines[4]}


def test_typed_text_columns(written: Written, metrics: GatewayMetrics) -> None:
    """A CSV with field names: RFC 3339 or milliseconds, thousands separators, truth in two languages."""
    head = "event_id,sector,subject,source,penalty_type,occurred_at,observed_at,fine,hearing\n"
    rows = (
        'a,market,licence:1,t,02,2024-03-01T08:00:00+08:00,1709251200000,"1,250.5元",是\n'
        "b,market,licence:1,t,02,2024-03-01,1709251200000,1,0\n"
        "c,market,licence:1,t,02,1709251200000,1709251200000,many,1\n"
        "d,market,licence:1,t,02,1709251200000,1709251200000,,\n"
    )
    writer = Kept()
    counts = send(KINDS["penalty"], written("p.csv", "\ufeff" + head + rows), writer, pace=PACE, metrics=metrics)
    found = [(e["event_id"], e["occurred_at"], e["fine"], e["hearing"]) for e in writer.events()]
    assert found == [("a", 1_709_251_200_000, 1250.5, True), ("d", 1_709_251_200_000, None, None)]
    assert dict(counts.rejected) == {"bad-mapping": 2}
    assert sorted(letter["detail"] for letter in writer.letters()) == ["fine", "occurred_at"]


def test_an_event_larger_than_its_topic_takes(written: Written, metrics: GatewayMetrics) -> None:
    """A row whose event would not fit the topic is a dead letter, cut to what a dead letter holds."""
    row = f"1,2024-03-01,1,1,rats,open,{'x' * 5_000_000}\n2,2024-03-01,1,1,rats,open,y\n"
    plan = load_mapping(written("m.yaml", MAPPING.replace("title: what", "text: more")))
    writer = Kept()
    path = written("c.csv", HEAD.replace("state", "state,more") + row)
    counts = replay(path, plan, writer, pace=PACE, metrics=metrics)
    assert (counts.read, counts.sent, dict(counts.rejected)) == (2, 1, {"too-large": 1})
    assert len(writer.letters()[0]["value"]) == EVENT_BYTES


def test_by_time(written: Written, metrics: GatewayMetrics) -> None:
    """`order: time` sends the rows as they happened; rows of one moment keep the file's order."""
    rows = "".join(f"{i},2024-03-0{day},1,1,rats,open\n" for i, day in enumerate([3, 1, 2, 1, 3]))
    writer = Kept()
    plan = load_mapping(written("m.yaml", MAPPING + "order: time\n"))
    replay(written("c.csv", HEAD + rows), plan, writer, pace=PACE, metrics=metrics)
    assert [event["event_id"] for event in writer.events()] == ["1", "3", "2", "0", "4"]


def test_speed(written: Written, metrics: GatewayMetrics) -> None:
    """At speed s, what happened t later is sent t / s later; a row earlier than the one before it does not wait."""
    clock = [100.0]
    slept: list[float] = []
    writer = Kept()
    sent_at: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        sent_at.append((clock[0], len(writer.records)))
        slept.append(seconds)
        clock[0] += seconds

    rows = "".join(f"{i},2024-03-0{day},1,1,rats,open\n" for i, day in enumerate([1, 2, 1, 4]))
    pace = Pace(speed=86_400, clock=lambda: clock[0], sleep=sleep, now_ms=lambda: NOW)
    replay(written("c.csv", HEAD + rows), load_mapping(written("m.yaml", MAPPING)), writer, pace=pace, metrics=metrics)
    assert slept == pytest.approx([1.0, 2.0])
    assert [(round(at, 6), sent) for at, sent in sent_at] == [(100.0, 1), (101.0, 3)]
    assert len(writer.events()) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind: complaint", "kind: gossip"), "no such kind"),
        (('event_id: "no"', 'event_ids: "no"'), "no field event_ids"),
        (('event_id: "no"\n', ""), "missing"),
        (("timezone: Asia/Shanghai", "timezone: Mars/Base"), "unknown time zone"),
        ((", timezone: Asia/Shanghai", ""), "needs a time field and a timezone"),
        (("column: day", "colum: day"), "unknown field `colum`"),
        (("column: what", "column: what, template: x"), "either a column or a template"),
        (("complaint_type: complaint", "complaint_type: 5"), "type string"),
        (("kind: complaint", "kind: [complaint"), "m.yaml"),
        (("kind: complaint", "kind: !!python/object/apply:os.getcwd []"), "m.yaml"),
    ],
)
def test_a_wrong_mapping(written: Written, change: tuple[str, str], says: str) -> None:
    """A mapping file that is wrong is told in one line before any row is read."""
    text = MAPPING.replace(*change) if says != "missing" else MAPPING.replace('  event_id: "no"\n', "")
    with pytest.raises(MappingError) as error:
        load_mapping(written("m.yaml", text))
    assert (says if says != "missing" else "no column or constant for event_id") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("c.xlsx", "x", "not one of"),
        ("c.csv", "", "no header line"),
        ("c.csv", "a,a\n1,2\n", "stands twice"),
        ("c.parquet", "no parquet at all", "c.parquet"),
        ("c.csv.gz", "no gzip", "c.csv.gz"),
        ("c.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 999, mtime=0)[:-20], "c.jsonl.gz"),
    ],
)
def test_a_file_that_is_not_what_it_says(
    written: Written, metrics: GatewayMetrics, name: str, content: str | bytes, says: str
) -> None:
    """A file that cannot be read is told in one line."""
    with pytest.raises(FileError, match=says):
        replay(written(name, content), load_mapping(written("m.yaml", MAPPING)), Kept(), pace=PACE, metrics=metrics)


def test_a_column_that_is_not_there(written: Written, metrics: GatewayMetrics) -> None:
    """A table without a mapped column is refused whole; JSON lines may leave members out."""
    plan = load_mapping(written("m.yaml", MAPPING))
    with pytest.raises(MappingError, match="no column lat"):
        replay(written("c.csv", "no,day,lon,what,state\n1,2024-03-01,1,rats,open\n"), plan, Kept(), metrics=metrics)
    counts = replay(written("c.jsonl", '{"no": "1", "state": "open"}\n'), plan, Kept(), pace=PACE, metrics=metrics)
    assert dict(counts.rejected) == {"missing-field": 1}


def test_a_broker_that_is_gone(written: Written, metrics: GatewayMetrics) -> None:
    """What Kafka does not acknowledge is not counted as sent, but raised."""
    path = written("e.jsonl", json.dumps(iot_rows(1)[0]))
    with pytest.raises(BrokerGone):
        send(KINDS["iot"], path, Kept(failure=BrokerGone("gone")), pace=PACE, metrics=metrics)


def test_the_mapping_in_the_docs(written: Written) -> None:
    """The example of docs/gateways.md loads: a column may be called No."""
    text = (Path(__file__).parents[3] / "docs" / "gateways.md").read_text("utf-8")
    plan = load_mapping(written("m.yaml", text.split("```yaml\n")[1].split("```")[0]))
    assert plan.sources == {"No", "Code", "Day", "What", "State"}


@pytest.mark.parametrize("name", ["chicago_food_inspections", "chicago_sanitation_311"])
def test_the_mappings_that_come_along(name: str) -> None:
    """Each shipped mapping loads."""
    path = Path(__file__).parents[3] / "connectors" / "files" / "mappings" / f"{name}.yaml"
    assert load_mapping(path).kind.code in ("inspection", "complaint")
