"""Settings: what the environment says, what is refused, what is never shown, and the page made from them."""

import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fengsui import settings as module
from fengsui.settings import Settings, SettingsError, load, settings_markdown, user_cache_dir

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_without_environment_everything_is_embedded() -> None:
    """No variable set: no addresses, the contract's defaults."""
    settings = load()
    assert (settings.kafka, settings.redis_url.get_secret_value()) == ("", "")
    assert (settings.topic_prefix, settings.partitions, settings.group) == ("fengsui.", 4, "fengsui")
    assert settings.archive_dir == Path(".fengsui/archive")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A FENGSUI_ variable sets its field; an empty one counts as not set; an argument wins."""
    monkeypatch.setenv("FENGSUI_KAFKA", "k1:9092")
    monkeypatch.setenv("FENGSUI_PARTITIONS", "")
    monkeypatch.setenv("FENGSUI_DATA_DIR", "here")
    monkeypatch.setenv("FENGSUI_GROUP", "g")
    settings = load(group="other")
    assert (settings.kafka, settings.partitions, settings.group) == ("k1:9092", 4, "other")
    assert settings.archive_dir == Path("here/archive")


def test_an_archive_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named archive directory does not follow the data directory."""
    monkeypatch.setenv("FENGSUI_ARCHIVE_DIR", "elsewhere")
    assert load(data_dir=Path("here")).archive_dir == Path("elsewhere")


def shown(secret: str) -> list[str]:
    """Every way of printing settings that hold this secret."""
    settings = Settings(kafka_password=SecretStr(secret), redis_url=SecretStr(f"redis://:{secret}@h:1/0"))
    return [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]


@given(secret=st.text(min_size=1))
def test_secrets_are_never_shown(secret: str) -> None:
    """What can be printed of settings does not depend on the passwords in them."""
    assert shown(secret) == shown("another")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FENGSUI_REDIS_URL", "hunter2"),
        ("FENGSUI_PARTITIONS", "hunter2"),
        ("FENGSUI_TIMEZONE", "Mars/hunter2"),
        ("FENGSUI_TOPIC_PREFIX", "hunter2 "),
        ("FENGSUI_MAVEN_URL", "file:///hunter2"),
        ("FENGSUI_ALLOWED_LATENESS_MS", '{"iot": hunter2'),
        ("FENGSUI_ALLOWED_LATENESS_MS", '{"iot": -1}'),
        ("FENGSUI_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
    ],
)
def test_a_wrong_value_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A wrong value is refused in one line that names the setting and does not quote the value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    text = str(caught.value)
    assert "\n" not in text
    assert "hunter2" not in text
    assert name.removeprefix("FENGSUI_").lower() in text.lower() or "FENGSUI_KAFKA_USERNAME" in text


def test_a_misspelt_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A variable that no setting has is said, with the one that was meant and without its value."""
    monkeypatch.setenv("FENGSUI_REDIS_ULR", "hunter2")
    load()
    assert caplog.messages == ["FENGSUI_REDIS_ULR is not a setting; did you mean FENGSUI_REDIS_URL?"]


def test_lateness_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds that are not named keep their default; an unknown kind is refused."""
    monkeypatch.setenv("FENGSUI_ALLOWED_LATENESS_MS", '{"iot": 5}')
    assert load().allowed_lateness_ms["iot"] == 5
    assert load().allowed_lateness_ms["complaint"] == 259_200_000
    monkeypatch.setenv("FENGSUI_ALLOWED_LATENESS_MS", '{"iots": 5}')
    with pytest.raises(SettingsError, match="unknown kind iots"):
        load()


def test_kafka_client_plain() -> None:
    """Without security only the address is handed to librdkafka, and no password."""
    settings = Settings(kafka="h:1", kafka_password=SecretStr("p"), kafka_ca_file=Path("ca.pem"))
    assert settings.kafka_client() == {"bootstrap.servers": "h:1", "security.protocol": "PLAINTEXT"}


def test_kafka_client_secured() -> None:
    """SASL over TLS hands on mechanism, user, password and authorities, by librdkafka's names."""
    settings = Settings(
        kafka="h:1",
        kafka_security_protocol="SASL_SSL",
        kafka_username="u",
        kafka_password=SecretStr("p"),
        kafka_ca_file=Path("ca.pem"),
    )
    assert settings.kafka_client() == {
        "bootstrap.servers": "h:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "ca.pem",
    }


def test_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME moves the cache; without it the platform's directory below HOME is taken."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_dir() == tmp_path / "fengsui"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_dir().is_relative_to(tmp_path)


def test_every_setting_is_described() -> None:
    """Each field says what it is."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_page_is_current() -> None:
    """docs/settings.md is what `python -m fengsui.settings` would write."""
    assert PAGE.read_text("utf-8") == settings_markdown()


def test_examples_hold() -> None:
    """The examples in the docstrings run."""
    assert doctest.testmod(module).failed == 0
