"""Batch exchange: departments' tables (12345 tickets, penalties, inspections) cleaned by named rules and sent as events."""

from connectors.exchange.forms import FORMS, FormError
from connectors.exchange.progress import ProgressError, Tally
from connectors.exchange.run import Batch, Outcome, exchange
from connectors.exchange.source import SourceError
from connectors.exchange.sources import is_database, open_source
from connectors.exchange.table import Terms

__all__ = [
    "FORMS",
    "Batch",
    "FormError",
    "Outcome",
    "ProgressError",
    "SourceError",
    "Tally",
    "Terms",
    "exchange",
    "is_database",
    "open_source",
]
