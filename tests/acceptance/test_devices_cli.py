"""`fengsui devices` and `fengsui simulate`, as people use them beside a gateway that runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fengsui.cli import main
from fengsui.crew import environment
from fengsui.embedded import mqtt
from fengsui.settings import Settings
from tests.acceptance.device_helpers import gateway, make_topics, until
from tests.acceptance.gateway_helpers import records

pytestmark = pytest.mark.broker


@dataclass
class Shell:
    """Commands in this process, which has imported everything already."""

    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        with self.monkeypatch.context() as patch:
            mine = {name: value for name, value in environment(self.settings).items() if name.startswith("FENGSUI_")}
            for name, value in (mine | env).items():
                patch.setenv(name, value)
            try:
                main(list(arguments))
                code = 0
            except SystemExit as left:
                code = int(left.code or 0)
        out = self.capsys.readouterr()
        return code, out.out, out.err

    def said(self, *arguments: str, **env: str) -> dict[str, Any]:
        """The JSON object of a command that succeeds."""
        code, out, err = self(*arguments, **env)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


@pytest.fixture
def fengsui(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(settings, monkeypatch, capsys)


def test_the_register_from_a_shell(fengsui: Shell, settings: Settings, tmp_path: Path) -> None:
    """Add, import (all or nothing), list, show, remove; no secret is ever shown, and none is on the topic in the clear."""
    make_topics(settings)
    arguments = ["hj212:A1", "--subject", "site:1", "--sector", "ecology", "--channel", "w01018=cod,mg/L,2,1"]
    added = fengsui.said("devices", "add", *arguments, "--json", FENGSUI_DEVICE_PASSWORD="s3cret-9")
    assert added == {"device": "hj212:A1", "registered": 1}
    table = tmp_path / "devices.csv"
    table.write_text(
        "key,subject,sector,region,channels,password\n"
        'gb26875:010203040506,site:2,fire,330106,"1-2-40-05000600=cable_temp;fire_alarm=fire_alarm",\n'
        "mqtt:cold-1,site:3,food-drug,330106,,s3cret-9\n"
    )
    assert fengsui.said("devices", "import", str(table), "--json") == {"registered": 2}
    table.write_text("key,subject,sector\nhj212:B1,site:4,ecology\nhj212:B2,site:4,space\n")
    code, _, err = fengsui("devices", "import", str(table))
    assert (code, "sector" in err) == (2, True)
    listed = fengsui.said("devices", "list", "--json")["devices"]
    assert listed.keys() == {"hj212:A1", "gb26875:010203040506", "mqtt:cold-1"}
    assert {"metric": "cod", "unit": "mg/L", "scale": 2.0, "offset": 1.0}.items() <= listed["hj212:A1"]["channels"][
        "w01018"
    ].items()
    shown = fengsui.said("devices", "show", "hj212:A1")
    assert shown["secret"] is True
    assert "s3cret-9" not in json.dumps([record["body"] for record in records(settings, "devices")]) + json.dumps(shown)
    assert fengsui.said("devices", "remove", "hj212:A1", "--json") == {"removed": 1}
    assert "hj212:A1" not in fengsui.said("devices", "list", "--json")["devices"]
    assert fengsui("devices", "show", "hj212:A1")[0] == 2
    assert fengsui("devices", "add", "A1", "--subject", "site:1", "--sector", "ecology")[0] == 2


def test_simulated_devices_are_answered(fengsui: Shell, settings: Settings) -> None:
    """A fleet that registers itself; one that nobody knows is parked, and answered all the same."""
    make_topics(settings)
    with gateway(settings) as door:
        line = ["--devices", "20", "--rate", "100", "--seconds", "2", "--json"]
        where = [f"127.0.0.1:{door.ports[name]}" for name in ("hj212", "gb26875")]
        found = fengsui.said("simulate", "hj212", *line, "--to", where[0], "--register", "--factors", "2")
        assert found["answered"] == found["sent"] > 150
        wanted = 2 * found["sent"]  # those that came before the gateway had read the register are replayed
        until(lambda: len(records(settings, "events.iot")) >= wanted)
        assert len(records(settings, "events.iot")) == wanted
        found = fengsui.said("simulate", "gb26875", *line, "--to", where[1])
        assert found["answered"] == found["sent"] > 150
        parked = [record for record in records(settings, "parking") if record["protocol"] == "gb26875"]
        assert len(parked) == found["sent"]
        few = ["--devices", "3", "--rate", "20", "--seconds", "2", "--register", "--json"]
        found = fengsui.said("simulate", "gat1400", *few, "--url", door.url)
        assert found["answered"] == found["sent"] == len(records(settings, "events.video")) > 20
        before = len(records(settings, "events.iot"))
        found = fengsui.said("simulate", "http", *line, "--url", door.url)
        assert found["answered"] == found["sent"] == len(records(settings, "events.iot")) - before > 150


def test_simulated_sensors_speak_mqtt(fengsui: Shell, settings: Settings) -> None:
    """Through the embedded broker: every reading that it acknowledged is an event."""
    make_topics(settings)
    with mqtt.running(settings, ["simulated"]) as broker:
        told = {f"FENGSUI_{name.upper()}": _plain(value) for name, value in broker.settings().items()}
        address = broker.address("simulated")
        url = f"mqtt://{address.user}:{address.password}@{address.host}:{address.port}"
        with gateway(settings, **{name.removeprefix("FENGSUI_").lower(): value for name, value in told.items()}):
            line = ["--devices", "30", "--rate", "300", "--seconds", "2", "--register", "--json"]
            found = fengsui.said("simulate", "mqtt", *line, FENGSUI_MQTT_URL=url)
            assert found["sent"] > 400
            until(lambda: len(records(settings, "events.iot")) >= found["sent"])
            assert len(records(settings, "events.iot")) == found["sent"]


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["simulate", "hj212"], "no gateway"),
        (["simulate", "gat1400"], "no gateway"),
        (["simulate", "http"], "no gateway"),
        (["simulate", "mqtt"], "which broker"),
        (["simulate", "mqtt", "--url", "http://x"], "--url"),
        (["simulate", "hj212", "--to", "nowhere"], "HOST:PORT"),
        (["simulate", "hj212", "--to", "127.0.0.1:9", "--devices", "0"], "--devices"),
        (["devices", "list"], "no engine"),
        (["gateway"], "no engine"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line."""
    monkeypatch.setenv("FENGSUI_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert word in capsys.readouterr().err
