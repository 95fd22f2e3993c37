"""Every setting of the engine: read from `FENGSUI_*` environment variables, checked, described.

docs/settings.md is generated from this file. An empty address means "embedded": the engine then starts a service of its
own (see `fengsui.embedded`).
"""

import difflib
import json
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

_log = logging.getLogger(__name__)

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


class SettingsError(ValueError):
    """A setting is wrong; the message is one line and never shows a value."""


def user_cache_dir() -> Path:
    """`fengsui` below the user's cache directory by the platform's convention; XDG_CACHE_HOME wins."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    above = Path(named) if named else Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return above / "fengsui"


class Settings(BaseSettings):
    """The engine's settings. Construct it to read the environment; keyword arguments win over the environment.

    >>> Settings(topic_prefix="test.").topic_prefix
    'test.'
    """

    model_config = SettingsConfigDict(
        env_prefix="FENGSUI_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True, extra="forbid"
    )

    # Kafka
    kafka: str = Field(default="", description="Bootstrap servers, `host:port[,host:port]`. Empty: an embedded broker.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to talk to those servers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism, used with SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_username: str = Field(default="", description="SASL user name.")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="SASL password. Never shown or logged.")
    kafka_ca_file: Path | None = Field(default=None, description="PEM file of the authorities to trust with SSL.")
    topic_prefix: str = Field(
        default="fengsui.", pattern=r"^[A-Za-z0-9._-]{0,60}$", description="Put before each topic's name."
    )
    partitions: int = Field(
        default=4, ge=1, le=1024, description="Partitions of every event topic, fixed when they are created."
    )
    replication: int = Field(default=1, ge=1, le=9, description="Replicas of each topic; 3 on a real cluster.")
    group: str = Field(default="fengsui", min_length=1, description="Consumer group of the workers.")

    # Redis
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="Redis or Valkey, `redis://[user:password@]host:port/db` or `rediss://…`. Empty: an embedded one.",
    )

    # Embedded services
    embedded_heap_mb: int = Field(default=512, ge=192, le=65_536, description="Heap of the embedded broker, MiB.")
    embedded_jit: Literal["c1", "c2"] = Field(
        default="c1", description="Compiler of the embedded broker: `c1` starts quickly, `c2` runs faster later."
    )
    maven_url: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="Mirror for the embedded broker's jars, which are checked by SHA-256. Empty: Maven Central.",
    )

    # Files
    data_dir: Path = Field(default=Path(".fengsui"), description="Data of the embedded services, logs, and `run.json`.")
    archive_dir: Path = Field(
        default=Path(), description="The Parquet archive. Default: `archive` below the data directory."
    )
    pictures_dir: Path = Field(
        default=Path(),
        description="Pictures of cameras, by their SHA-256. Default: `pictures` below the data directory.",
    )
    cache_dir: Path = Field(
        default_factory=user_cache_dir,
        description="Downloads, shared by all checkouts. Default: `fengsui` below the user's cache directory.",
    )

    # HTTP
    bind: str = Field(default="127.0.0.1", description="Address that the HTTP servers listen on.")
    http_port: int = Field(default=0, ge=0, le=65_535, description="Port of intake and API. 0: chosen by the system.")
    http_tls_port: int = Field(
        default=-1,
        ge=-1,
        le=65_535,
        description="The same over TLS (needs a certificate). 0: chosen by the system; -1: none.",
    )
    http_connections: int = Field(
        default=5_000,
        ge=1,
        le=100_000,
        description="Open connections that a port of intake takes; those of the machine itself have no limit.",
    )
    http_connections_per_source: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Open connections it takes from one address: raise it where a proxy or NAT stands before many.",
    )
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="Port of /metrics. 0: chosen by the system.")
    max_event_bytes: int = Field(
        default=1_048_576, ge=1024, le=4_194_304, description="Larger ones are refused (HTTP 413)."
    )

    http_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Bearer tokens that may send events, a JSON list. Empty: everybody who reaches the address.",
    )

    # Natural persons
    person_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the tokens that stand for natural persons' ids in batch exchange, 16 characters or more, "
        "the same on every machine. Empty: made once and kept in the data directory.",
    )

    # Device gateways
    hj212_port: int = Field(
        default=0, ge=-1, le=65_535, description="TCP port of HJ 212. 0: chosen by the system; -1: none."
    )
    hj212_tls_port: int = Field(default=-1, ge=-1, le=65_535, description="The same over TLS (needs a certificate).")
    gb26875_port: int = Field(
        default=0, ge=-1, le=65_535, description="TCP port of GB/T 26875.3. 0: chosen by the system; -1: none."
    )
    gb26875_tls_port: int = Field(default=-1, ge=-1, le=65_535, description="The same over TLS (needs a certificate).")
    gb26875_udp_port: int = Field(
        default=-1, ge=-1, le=65_535, description="UDP port of GB/T 26875.3. 0: chosen by the system; -1: none."
    )
    gb26875_udp_allow: tuple[str, ...] = Field(
        default=("127.0.0.1",), description="Addresses and networks whose datagrams are read, a JSON list."
    )
    mqtt_url: SecretStr = Field(
        default=SecretStr(""),
        description="MQTT broker to subscribe to, `mqtt://[user:password@]host[:port]` or `mqtts://…`. Empty: none.",
    )
    mqtt_version: Literal["3.1.1", "5"] = Field(default="5", description="Version of MQTT to speak.")
    mqtt_topics: tuple[str, ...] = Field(
        default=("fengsui/+/events",),
        description="Topic filters, a JSON list. The device's name stands at the first `+` of each.",
    )
    mqtt_group: str = Field(
        default="",
        pattern=r"^[^/+#\s]*$",
        description="Gateways of one group share the messages out (`$share/<group>/…`; such subscriptions get no retained "
        "messages). Empty: a subscription of its own.",
    )
    mqtt_client_id: str = Field(
        default="",
        description="Client id, under which the broker keeps what comes while the gateway is away: another one for each "
        "gateway. Empty: made from the host's name and the data directory.",
    )
    mqtt_retained: Literal["take", "skip"] = Field(
        default="take", description="What becomes of retained messages, which a broker sends on subscribing."
    )
    mqtt_receive_maximum: int = Field(
        default=1_000,
        ge=1,
        le=65_535,
        description="Messages under way at once (MQTT 5; 3.1.1: the broker's own limit).",
    )
    mqtt_ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust with `mqtts://`. Empty: the system's."
    )
    tls_certificate_file: Path | None = Field(
        default=None, description="PEM file with the certificate (and chain) of TLS listeners."
    )
    tls_key_file: Path | None = Field(default=None, description="PEM file with its private key.")
    tls_clients_ca_file: Path | None = Field(
        default=None, description="PEM file of authorities: devices must then show a certificate of theirs."
    )
    sm4_keys_file: Path | None = Field(
        default=None,
        description='JSON file with the SM4 keys of HJ 212 devices: MN -> 32 hexadecimal digits, "*" for all others. '
        "Readable by the gateway alone.",
    )
    gateway_connections: int = Field(
        default=10_000, ge=1, le=100_000, description="Open connections a TCP gateway takes."
    )
    gateway_connections_per_source: int = Field(
        default=2_000, ge=1, le=100_000, description="Open connections it takes from one address."
    )
    gateway_frames_per_second: float = Field(
        default=500.0, gt=0, description="Messages a second of one connection; more are read later, datagrams dropped."
    )
    gateway_idle_seconds: float = Field(
        default=900.0, gt=0, description="A connection without a byte for so long is closed."
    )
    gateway_silence_seconds: float = Field(
        default=30.0, gt=0, description="How long the rest of a frame that has begun may take."
    )
    gat1400_park_unknown: bool = Field(
        default=True, description="Park what GA/T 1400 devices upload that are not registered; else they get 401."
    )
    gat1400_keepalive_seconds: float = Field(
        default=180.0, gt=0, description="Without a keepalive for so long a GA/T 1400 device has to register again."
    )
    gat1400_body_bytes: int = Field(
        default=8_388_608, ge=65_536, le=67_108_864, description="Larger uploads of GA/T 1400 are refused (HTTP 413)."
    )
    picture_bytes: int = Field(
        default=2_097_152, ge=1024, le=16_777_216, description="Larger pictures are not kept; their events are."
    )
    picture_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts, addresses and networks from which pictures are fetched that come as a URL, a JSON list. Private "
        "addresses only where they are on it themselves.",
    )
    gateway_dry_run: bool = Field(
        default=False,
        description="Judge and count what devices send, answer them, and write nothing: neither to Kafka nor pictures, which are "
        "not fetched either.",
    )

    # Engine
    archive_flush_seconds: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="The archive writes a file at least this often where there is something new.",
    )
    checkpoint_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Between two checkpoints of a task's state."
    )
    allowed_lateness_ms: dict[str, int] = Field(
        default_factory=lambda: {
            "inspection": 7 * _DAY_MS,
            "penalty": 7 * _DAY_MS,
            "complaint": 3 * _DAY_MS,
            "iot": 10 * _MINUTE_MS,
            "video": 10 * _MINUTE_MS,
            "opinion": _DAY_MS,
        },
        description="JSON, kind of event -> how late (observed - occurred, ms) it may come and still complete a "
        "crossing. Kinds not named keep their default.",
    )
    timezone: str = Field(
        default="Asia/Shanghai",
        description="Zone in which the command line shows times. Rules and deadlines keep China's.",
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe lines logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto`: coloured lines on a terminal, JSON elsewhere."
    )

    @field_validator("allowed_lateness_ms")
    @classmethod
    def _complete_lateness(cls, given: dict[str, int]) -> dict[str, int]:
        default: dict[str, int] = cls.model_fields["allowed_lateness_ms"].get_default(call_default_factory=True)
        unknown = sorted(given.keys() - default.keys())
        if unknown:
            raise ValueError(f"unknown kind {unknown[0]}")
        if min(given.values(), default=0) < 0:
            raise ValueError("a lateness cannot be negative")
        return default | given

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a known time zone") from error
        return name

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return url

    @field_validator("mqtt_url")
    @classmethod
    def _mqtt_scheme(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("mqtt://", "mqtts://")):
            raise ValueError("must start with mqtt:// or mqtts://")
        return url

    @field_validator("mqtt_topics")
    @classmethod
    def _mqtt_filters(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        for one in filters:
            levels = one.split("/")
            if "+" not in levels or "#" in levels[:-1] or any(len(x) > 1 and ("+" in x or "#" in x) for x in levels):
                raise ValueError("each is a topic filter in which a level of its own is +")
        return filters

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not self.kafka_username:
            raise ValueError(f"{self.kafka_security_protocol} needs FENGSUI_KAFKA_USERNAME")
        return self

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> Self:
        wanted = [name for name in ("http_tls_port", "hj212_tls_port", "gb26875_tls_port") if getattr(self, name) >= 0]
        if wanted and (self.tls_certificate_file is None or self.tls_key_file is None):
            raise ValueError(f"{variable(wanted[0])} needs FENGSUI_TLS_CERTIFICATE_FILE and FENGSUI_TLS_KEY_FILE")
        return self

    @model_validator(mode="after")
    def _below_data(self) -> Self:
        if self.archive_dir == Path():
            object.__setattr__(self, "archive_dir", self.data_dir / "archive")  # frozen for everyone else
        if self.pictures_dir == Path():
            object.__setattr__(self, "pictures_dir", self.data_dir / "pictures")
        return self

    def kafka_client(self) -> dict[str, str | int]:
        """librdkafka's configuration to reach the cluster: `bootstrap.servers` and security.

        It may hold a password: never log it.
        """
        config: dict[str, str | int] = {
            "bootstrap.servers": self.kafka,
            "security.protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol.startswith("SASL"):
            config["sasl.mechanism"] = self.kafka_sasl_mechanism
            config["sasl.username"] = self.kafka_username
            config["sasl.password"] = self.kafka_password.get_secret_value()
        if self.kafka_security_protocol.endswith("SSL") and self.kafka_ca_file is not None:
            config["ssl.ca.location"] = str(self.kafka_ca_file)
        return config


def variable(field: str) -> str:
    """The environment variable of a field.

    >>> variable("data_dir")
    'FENGSUI_DATA_DIR'
    """
    return f"{Settings.model_config['env_prefix']}{field}".upper()


def misspelt(names: Iterable[str]) -> list[str]:
    """A line for each name that looks like a setting of ours and is none.

    >>> misspelt(["FENGSUI_KAFAK", "FENGSUI_KAFKA", "KAFAK"])
    ['FENGSUI_KAFAK is not a setting; did you mean FENGSUI_KAFKA?']
    """
    known = [variable(field) for field in Settings.model_fields]
    lines = []
    for name in sorted(name for name in names if name.startswith("FENGSUI_") and name not in known):
        near = difflib.get_close_matches(name, known, 1)
        lines.append(f"{name} is not a setting{f'; did you mean {near[0]}?' if near else ''}")
    return lines


def load(**given: Any) -> Settings:
    """Settings from the environment with `given` on top. A FENGSUI_ variable that is none is warned of.

    Raises SettingsError: one line that names the variable but no value.
    """
    for line in misspelt(os.environ):
        _log.warning(line)
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = f"{variable(str(first['loc'][0]))}: " if first["loc"] else ""
        raise SettingsError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None
    except PydanticSettingsError as error:  # a mapping that is not JSON
        raise SettingsError(str(error).replace("\n", " ")) from None


_SECTIONS = {  # the first field of each section of the page
    "kafka": "Kafka",
    "redis_url": "Redis",
    "embedded_heap_mb": "Embedded services",
    "data_dir": "Files",
    "bind": "HTTP",
    "hj212_port": "Device gateways",
    "checkpoint_seconds": "Engine",
    "log_level": "Logs",
}

_PAGE_HEAD = """# Settings

Written by `python -m fengsui.settings`; do not edit. Each setting is an environment variable. An empty address means
that `fengsui up` and `fengsui demo` start a service of their own on 127.0.0.1 and stop it when they end, in any way.
While one of them runs, the other commands find its addresses in `run.json` of the data directory; a variable that is
set wins over that file. Passwords are never shown or logged.
"""

_TABLE_HEAD = "| variable | default | what it is |\n|---|---|---|\n"


def _default(field: FieldInfo) -> str:
    if field.default_factory is user_cache_dir:
        return "by platform"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", Path()):
        return ""
    return f"`{json.dumps(value)}`" if isinstance(value, dict) else f"`{value}`"


def _row(name: str, field: FieldInfo) -> str:
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    one_of = f" One of {', '.join(choices)}." if choices else ""
    return f"| `{variable(name)}` | {_default(field)} | {field.description}{one_of} |\n"


def settings_markdown() -> str:
    """The page docs/settings.md: every setting with its variable, default and description, by section."""
    parts = [_PAGE_HEAD]
    for name, field in Settings.model_fields.items():
        if name in _SECTIONS:
            parts.append(f"\n## {_SECTIONS[name]}\n\n{_TABLE_HEAD}")
        parts.append(_row(name, field))
    return "".join(parts)


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "settings.md").write_text(settings_markdown(), "utf-8")
