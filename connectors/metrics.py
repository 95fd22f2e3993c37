"""What the gateways and the producer count, by Prometheus conventions: base units, `_total` on counters, few labels.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> GatewayMetrics(registry).rejected("http", "bad-uscc", 2)
>>> registry.get_sample_value("fengsui_gateway_events_rejected_total", {"gateway": "http", "reason": "bad-uscc"})
2.0
"""

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
