"""MQTT in the settings: addresses, filters, client ids, what a dry run changes."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from fengsui.mqtt import mqtt_plan
from fengsui.settings import Settings, SettingsError

URL = SecretStr("mqtts://gateway:s%40cret@broker")


def given(**more: Any) -> Settings:
    return Settings(mqtt_url=URL, **more)


def test_a_plan() -> None:
    """Address, session and limits are the settings'; no text of it shows the password."""
    plan = mqtt_plan(given(mqtt_group="kitchens", mqtt_receive_maximum=50))
    assert (plan.address.host, plan.address.port, plan.address.tls) == ("broker", 8883, True)
    assert (plan.address.user, plan.address.password) == ("gateway", "s@cret")
    assert (plan.group, plan.options.receive_maximum, plan.options.keep_session) == ("kitchens", 50, True)
    assert "cret" not in repr(plan)


def test_client_ids(tmp_path: Path) -> None:
    """The same after a restart; another in another directory; as given, where one is given."""
    here, there = given(data_dir=tmp_path / "a"), given(data_dir=tmp_path / "b")
    assert mqtt_plan(here).options.client_id == mqtt_plan(here).options.client_id
    assert mqtt_plan(here).options.client_id != mqtt_plan(there).options.client_id
    assert mqtt_plan(given(mqtt_client_id="mine")).options.client_id == "mine"


def test_a_dry_run_takes_nothing_away() -> None:
    """A session of its own that ends with it, under another id, and no share in the group."""
    plan = mqtt_plan(given(mqtt_group="kitchens", mqtt_client_id="mine", gateway_dry_run=True))
    assert (plan.group, plan.options.keep_session) == ("", False)
    assert plan.options.client_id != "mine"


@pytest.mark.parametrize("filters", [["fengsui/events"], ["a/#/+"], ["a+/+"], ["+/b#"]])
def test_filters_that_are_none(filters: list[str]) -> None:
    """A filter must be one, and say where the device's name stands."""
    with pytest.raises(ValidationError, match="topic filter"):
        given(mqtt_topics=filters)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    """By the variable, without a password."""
    with pytest.raises(ValidationError, match="mqtt://"):
        Settings(mqtt_url=SecretStr("http://a:secret@b"))
    with pytest.raises(SettingsError, match="FENGSUI_MQTT_URL") as refused:
        mqtt_plan(Settings(mqtt_url=SecretStr("mqtt://a:secret@b:port")))
    assert "secret" not in str(refused.value)
    with pytest.raises(SettingsError, match="FENGSUI_MQTT_CA_FILE"):
        mqtt_plan(given(mqtt_ca_file=tmp_path / "none.pem"))
