"""What the gateways and the producer count, by Prometheus conventions: base units, `_total` on counters, few labels.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> GatewayMetrics(registry).rejected("http", "bad-uscc", 2)
>>> registry.get_sample_value("fengsui_gateway_events_rejected_total", {"gateway": "http", "reason": "bad-uscc"})
2.0
"""

from collections.abc import Mapping
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BYTES = (256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0)


class GatewayMetrics:
    """The metrics of all gateways of a process; one instance a registry (see `shared`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them. Raises ValueError when the registry has them already."""
        self._accepted = Counter(
            "fengsui_gateway_events_accepted",
            "Events acknowledged by Kafka, by gateway and kind.",
            ["gateway", "kind"],
            registry=registry,
        )
        self._rejected = Counter(
            "fengsui_gateway_events_rejected",
            "Events refused at a gateway, by named reason.",
            ["gateway", "reason"],
            registry=registry,
        )
        self._requests = Histogram(
            "fengsui_gateway_request_seconds",
            "Time from a request's head to its answer, by status.",
            ["gateway", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._body = Histogram(
            "fengsui_gateway_body_bytes",
            "Size of request bodies, decompressed.",
            ["gateway"],
            buckets=_BYTES,
            registry=registry,
        )
        self.queue = Gauge(
            "fengsui_producer_queue_records",
            "Records handed to the producer and not acknowledged yet.",
            registry=registry,
        )
        self.broker_waits = Counter(
            "fengsui_producer_broker_waits",
            "Writes that had to wait because no broker answered.",
            registry=registry,
        )
        self.failed = Counter(
            "fengsui_producer_records_failed",
            "Records that Kafka did not acknowledge in time; their senders were told.",
            registry=registry,
        )

        self._frames = Counter(
            "fengsui_gateway_frames",
            "Messages of devices, by gateway and outcome: accepted, parked, replayed (from parking), refused.",
            ["gateway", "outcome"],
            registry=registry,
        )
        self.repeated = Counter(
            "fengsui_gateway_events_repeated",
            "Events that devices sent again and that were in Kafka already; they are not written again.",
            registry=registry,
        )
        self.registered = Gauge(
            "fengsui_gateway_devices_registered",
            "Devices in the register, as this gateway knows it.",
            registry=registry,
        )
        self._splits = Counter(
            "fengsui_gateway_split_messages",
            "Messages of HJ 212 sent in several packets, by outcome: complete, incomplete (some did not come in time).",
            ["outcome"],
            registry=registry,
        )
        self._connections = Gauge(
            "fengsui_gateway_connections", "Open connections of devices.", ["gateway"], registry=registry
        )
        self._refused_connections = Counter(
            "fengsui_gateway_connections_ended",
            "Connections that the gateway refused or ended, by named reason.",
            ["gateway", "reason"],
            registry=registry,
        )
        self._datagrams = Counter(
            "fengsui_gateway_datagrams_dropped",
            "Datagrams that were not read, by named reason.",
            ["gateway", "reason"],
            registry=registry,
        )
        self.outstanding = Gauge(
            "fengsui_gateway_frames_outstanding",
            "Messages of devices that Kafka has not acknowledged yet.",
            registry=registry,
        )
        self.waits = Counter(
            "fengsui_gateway_waits",
            "Times that a batch of messages had to be written again because Kafka did not take it.",
            registry=registry,
        )
        self._device_frames = Counter(
            "fengsui_gateway_device_frames", "Messages of a registered device.", ["device"], registry=registry
        )
        self._device_refused = Counter(
            "fengsui_gateway_device_refused",
            "What was refused of a registered device's messages, by named reason.",
            ["device", "reason"],
            registry=registry,
        )
        self._skew = Gauge(
            "fengsui_gateway_device_clock_skew_seconds",
            "A registered device's clock before ours (negative: behind), at its last message; delays count as behind.",
            ["device"],
            registry=registry,
        )

    def frames(self, told: Mapping[tuple[str, str], int]) -> None:
        """Messages by (gateway, outcome)."""
        for (gateway, outcome), count in told.items():
            self._frames.labels(gateway, outcome).inc(count)

    def devices(self, seen: Mapping[str, int], skew: Mapping[str, int]) -> None:
        """Messages and clock skew (ms) of registered devices, by key: there are as many labels as registered devices."""
        for device, count in seen.items():
            self._device_frames.labels(device).inc(count)
        for device, milliseconds in skew.items():
            self._skew.labels(device).set(milliseconds / 1000)

    def device_refused(self, device: str, reason: str) -> None:
        """Something of a registered device's message was refused ("": of an unknown one, which has no label)."""
        if device:
            self._device_refused.labels(device, reason).inc()

    def split(self, outcome: str) -> None:
        """A message of several packets ended."""
        self._splits.labels(outcome).inc()

    def connected(self, gateway: str, count: int) -> None:
        """So many connections are open."""
        self._connections.labels(gateway).set(count)

    def refused_connection(self, gateway: str, reason: str) -> None:
        """A connection was refused or ended."""
        self._refused_connections.labels(gateway, reason).inc()

    def dropped(self, gateway: str, reason: str) -> None:
        """A datagram was not read."""
        self._datagrams.labels(gateway, reason).inc()

    def accepted(self, gateway: str, kind: str, count: int) -> None:
        """`count` events of that kind are in Kafka."""
        self._accepted.labels(gateway, kind).inc(count)

    def rejected(self, gateway: str, reason: str, count: int = 1) -> None:
        """`count` events were refused with that named reason."""
        self._rejected.labels(gateway, reason).inc(count)

    def request(self, gateway: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(gateway, str(status)).observe(seconds)

    def body(self, gateway: str, size: int) -> None:
        """One request body was read whole."""
        self._body.labels(gateway).observe(size)


@cache
def shared() -> GatewayMetrics:
    """The metrics on the process's own registry, which `/metrics` shows."""
    return GatewayMetrics(REGISTRY)
