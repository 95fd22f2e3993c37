"""What the live view counts and measures, by Prometheus conventions.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> ViewMetrics(registry).rebuilds.inc()
>>> registry.get_sample_value("fengsui_view_rebuilds_total")
1.0
"""

from collections.abc import Iterable
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from connectors.view.logged import Logged, state_of

_APPLY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_HOUR = 3600.0
_DAY = 24 * _HOUR
_CLAIM = (60.0, 600.0, 1800.0, _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 5 * _DAY, 10 * _DAY)
_FEEDBACK = (600.0, _HOUR, 8 * _HOUR, _DAY, 3 * _DAY, 5 * _DAY, 7 * _DAY, 14 * _DAY, 21 * _DAY, 30 * _DAY, 60 * _DAY)


class ViewMetrics:
    """The metrics of the view in one process; one instance a registry (see `shared`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them. Raises ValueError when the registry has them already."""
        self.rebuilds = Counter(
            "fengsui_view_rebuilds",
            "Times the live view was begun, at first or because Redis had lost it.",
            registry=registry,
        )
        self.waits = Counter(
            "fengsui_view_waits", "Times the projector had to wait for a service.", ["service"], registry=registry
        )
        self.bad = Counter("fengsui_view_records_bad", "Clue-log records that do not decode.", registry=registry)
        self.applied = Counter(
            "fengsui_view_records_applied", "Clue-log records applied to the view.", registry=registry
        )
        self.lag = Gauge(
            "fengsui_view_lag_records",
            "Clue-log records not in the view yet, by partition.",
            ["partition"],
            registry=registry,
        )
        self.seconds = Histogram(
            "fengsui_view_apply_seconds", "Time to apply one batch to Redis.", buckets=_APPLY, registry=registry
        )
        self.claim = Histogram(
            "fengsui_clue_claim_seconds",
            "From a clue's dispatch to a department until it is claimed there.",
            ["sector"],
            buckets=_CLAIM,
            registry=registry,
        )
        self.feedback = Histogram(
            "fengsui_clue_feedback_seconds",
            "From a clue's dispatch to a department until its first feedback.",
            ["sector"],
            buckets=_FEEDBACK,
            registry=registry,
        )

    def observe(self, records: Iterable[Logged]) -> None:
        """Claim and feedback times of accepted steps that are new to the view."""
        for logged in records:
            record = logged.record
            if record is None or not record["accepted"] or record["verb"] not in ("claim", "feedback"):
                continue
            state = state_of(record)
            if state is None:
                continue
            seconds = (record["at"] - state["assigned_at"]) / 1000
            if record["verb"] == "claim":
                self.claim.labels(state["sector"]).observe(seconds)
            elif state["fed_back_at"] == record["at"]:
                self.feedback.labels(state["sector"]).observe(seconds)


@cache
def shared() -> ViewMetrics:
    """The metrics on the process's own registry, which `/metrics` shows."""
    return ViewMetrics(REGISTRY)
