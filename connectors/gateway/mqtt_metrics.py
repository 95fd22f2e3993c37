"""What the MQTT client counts beside what all gateways do."""

from typing import Final

from prometheus_client import Counter, Gauge

CONNECTED: Final = Gauge("fengsui_mqtt_connected", "1 while the gateway is connected to the MQTT broker.")
CONNECTIONS: Final = Counter(
    "fengsui_mqtt_connections",
    "Connections to the MQTT broker by outcome: up, down (lost, refused or not to be had).",
    ["outcome"],
)
MESSAGES: Final = Counter(
    "fengsui_mqtt_messages",
    "Messages from the MQTT broker: live, again (sent once more), retained (old, taken), skipped (retained, not wanted), "
    "held (not kept yet and tried again), dropped (of an unknown device beyond all that is kept for it).",
    ["outcome"],
)
UNACKNOWLEDGED: Final = Gauge("fengsui_mqtt_unacknowledged", "Messages of QoS 1 that were not acknowledged yet.")
PAUSES: Final = Counter(
    "fengsui_mqtt_pauses", "Times that the MQTT broker was not read from because the pipe was full."
)
REFUSED_FILTERS: Final = Counter("fengsui_mqtt_filters_refused", "Subscriptions that the MQTT broker refused.")
