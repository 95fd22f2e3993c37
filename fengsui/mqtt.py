"""The MQTT client's plan, as the settings have it."""

import os

from connectors.gateway.mqtt import Plan
from connectors.mqttlink import Address, Options, stable_id
from fengsui.settings import Settings, SettingsError


def mqtt_plan(settings: Settings) -> Plan:
    """How the gateway connects and what it subscribes to. Raises SettingsError, which shows no password.

    A dry run takes nothing away from anybody: a session of its own that ends with it, and no share in a group.
    """
    try:
        address = Address.of(settings.mqtt_url.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"FENGSUI_MQTT_URL: {error}") from None
    if settings.mqtt_ca_file is not None and not settings.mqtt_ca_file.is_file():
        raise SettingsError("FENGSUI_MQTT_CA_FILE: no such file")
    dry = settings.gateway_dry_run
    name = settings.mqtt_client_id or stable_id(str(settings.data_dir.resolve()), settings.topic_prefix)
    options = Options(
        client_id=f"{name}-dry-{os.getpid()}" if dry else name,
        version=settings.mqtt_version,
        keep_session=not dry,
        receive_maximum=settings.mqtt_receive_maximum,
        packet_bytes=2 * settings.max_event_bytes,
        ca_file=settings.mqtt_ca_file,
        manual_ack=True,
    )
    return Plan(
        address,
        options,
        settings.mqtt_topics,
        "" if dry else settings.mqtt_group,
        settings.mqtt_retained,
        settings.max_event_bytes,
    )
