"""What batch exchange counts: every rule that applied, by form; events and refusals are counted as any gateway's.

>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> ExchangeMetrics(registry).applied("penalty", "code-case", 3)
>>> registry.get_sample_value("fengsui_exchange_rules_applied_total", {"form": "penalty", "rule": "code-case"})
3.0
"""

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter


class ExchangeMetrics:
    """The metrics of batch exchange; one instance a registry (see `shared`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them. Raises ValueError when the registry has them already."""
        self._rules = Counter(
            "fengsui_exchange_rules_applied",
            "Values that a dirty-data rule mended, warned of, refused or skipped, in acknowledged rows, by form and rule.",
            ["form", "rule"],
            registry=registry,
        )

    def applied(self, form: str, rule: str, count: int) -> None:
        """The rule applied to `count` values."""
        self._rules.labels(form, rule).inc(count)


@cache
def shared() -> ExchangeMetrics:
    """The metrics on the process's own registry."""
    return ExchangeMetrics(REGISTRY)
