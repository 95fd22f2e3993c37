"""Rules, pure: load, compile, window features, evaluate, test. Imports nothing that touches the outside world."""

from rules.compile import Lists
from rules.errors import RuleError
from rules.filters import FILTER_KEY, Filter, load_filter, parse_filter, parse_keyed, scan_filters
from rules.judge import Judge
from rules.load import load_packs, load_rule, parse_rule, scan
from rules.model import Rule
from rules.selftest import run_tests

__all__ = [
    "FILTER_KEY",
    "Filter",
    "Judge",
    "Lists",
    "Rule",
    "RuleError",
    "load_filter",
    "load_packs",
    "load_rule",
    "parse_filter",
    "parse_keyed",
    "parse_rule",
    "run_tests",
    "scan",
    "scan_filters",
]
