"""Files onto a real broker: every row is an event, a dead letter or outside the filter, and each is there once."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from prometheus_client import CollectorRegistry

from connectors.files import Pace, load_mapping, replay
from connectors.metrics import GatewayMetrics
from connectors.producing import EventWriter
from fengsui.cli import gateway
from fengsui.cli.common import Failed, Wrong
from fengsui.settings import Settings
from tests.acceptance.gateway_helpers import make_topics, read, records

pytestmark = pytest.mark.broker

DATA = Path(__file__).parents[3] / "shared" / "data" / "chicago_food"
MAPPINGS = Path(gateway.__file__).parents[2] / "connectors" / "files" / "mappings"
TABLES = [
    ("inspections_all_canvass.csv.gz", "chicago_food_inspections.yaml", "events.inspection", 24_518, 0, 0),
    ("sanitation_311.csv.gz", "chicago_sanitation_311.yaml", "events.complaint", 70_744, 3_633, 24),
]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> App:
    """The gateways' commands, pointed to the test's own topics."""
    make_topics(settings)
    monkeypatch.setenv("FENGSUI_KAFKA", settings.kafka)
    monkeypatch.setenv("FENGSUI_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("FENGSUI_DATA_DIR", str(settings.data_dir))
    app = App()
    gateway.register(app)
    return app


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(app: App, *words: str) -> None:
    app(list(words), result_action="return_value", exit_on_error=False)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data is not here")
@pytest.mark.parametrize("case", TABLES, ids=lambda case: case[0])
def test_chicago(settings: Settings, case: tuple[str, str, str, int, int, int]) -> None:
    """The real tables arrive whole, each subject's events in the order they happened, related by their grid cell."""
    table, mapping, topic, sent, skipped, rejected = case
    make_topics(settings)
    metrics = GatewayMetrics(CollectorRegistry())
    writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix, metrics=metrics)
    counts = replay(DATA / table, load_mapping(MAPPINGS / mapping), writer, metrics=metrics)
    assert writer.close() == 0
    assert (counts.sent, counts.skipped, sum(counts.rejected.values())) == (sent, skipped, rejected)
    events = records(settings, topic)
    assert len(events) == sent
    assert len(records(settings, "rejected")) == rejected
    last: dict[str, int] = {}
    for one in events:
        assert one["occurred_at"] >= last.get(one["subject"], 0)
        last[one["subject"]] = one["occurred_at"]
    assert sum(one["chain"] is not None for one in events) > 0.99 * sent


def rows(count: int) -> list[dict[str, Any]]:
    fixed = {"sector": "fire", "subject": "device:9", "source": "t", "device_id": "d", "metric": "m", "value": 1.0}
    at = 1_709_251_200_000
    return [{"event_id": f"e{i}", "occurred_at": at + i, "observed_at": at + i} | fixed for i in range(count)]


def test_send(command: App, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`fengsui send` puts good rows on the topic, bad ones on `rejected`, and says how many of each."""
    path = tmp_path / "events.jsonl"
    good = [json.dumps(row) for row in rows(3000)]
    path.write_text("\n".join([*good, "{broken", json.dumps(rows(1)[0] | {"sector": "alchemy"})]))
    run(command, "send", "iot", str(path), "--json")
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    reasons = {"bad-json": 1, "unknown-sector": 1}
    assert found == {"read": 3002, "sent": 3000, "skipped": 0, "rejected": 2, "reasons": reasons}
    assert [message.offset() for message in read(settings, "events.iot")] == list(range(3000))
    assert {letter["reason"] for letter in records(settings, "rejected")} == set(reasons)


def test_replay_at_a_speed(settings: Settings) -> None:
    """At speed s the topic's append times follow the events' own times, divided by s."""
    make_topics(settings)
    path = settings.data_dir / "paced.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,at\n" + "".join(f"{i},2024-03-01T00:{i:02}:00Z\n" for i in range(5)))
    plan = settings.data_dir / "m.yaml"
    plan.write_text(
        "kind: iot\nconstants: {sector: fire, source: t, subject: 'device:1', device_id: d, metric: m, value: 1}\n"
        "columns: {event_id: id, occurred_at: at}\n"
    )
    metrics = GatewayMetrics(CollectorRegistry())
    writer = EventWriter(settings.kafka_client(), prefix=settings.topic_prefix, metrics=metrics)
    replay(path, load_mapping(plan), writer, pace=Pace(speed=120), metrics=metrics)
    assert writer.close() == 0
    times = [message.timestamp()[1] for message in read(settings, "events.iot")]
    assert len(times) == 5
    # Four minutes at 120 times the speed are two seconds; the first record also waits for the first connection.
    assert 1000 < times[-1] - times[0] < 5000


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("send", "gossip", "x.csv"), Wrong, "no such kind"),
        (("send", "iot", "missing.csv"), Wrong, "missing.csv"),
        (("send", "iot", "x.docx"), Wrong, "not one of"),
        (("replay", "x.csv", "--mapping", "missing.yaml"), Wrong, "missing.yaml"),
        (("replay", "x.csv", "--mapping", "m.yaml", "--speed", "0"), Wrong, "--speed"),
        (("send", "iot", "bad.jsonl"), Failed, "every row"),
    ],
)
def test_wrong_use_is_one_line(
    command: App, in_folder: Path, words: tuple[str, ...], error: type[Exception], says: str
) -> None:
    """What a person gets wrong is told in one line, never as a traceback."""
    (in_folder / "bad.jsonl").write_text("{}")
    with pytest.raises(error, match=says) as raised:
        run(command, *words)
    assert "\n" not in str(raised.value)
