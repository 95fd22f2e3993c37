"""Rules, pure: load, compile, window features, evaluate, test. Imports nothing that touches the outside world."""

from rules.errors import RuleError
from rules.judge import Judge
from rules.load import load_packs, load_rule, parse_rule, scan
from rules.model import Rule
from rules.selftest import run_tests

__all__ = ["Judge", "Rule", "RuleError", "load_packs", "load_rule", "parse_rule", "run_tests", "scan"]
