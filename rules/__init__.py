"""Rules, pure: load, compile, window features, evaluate, test. Imports nothing that touches the outside world."""

from rules.errors import RuleError
from rules.load import load_packs, load_rule, parse_rule
from rules.model import Rule

__all__ = ["Rule", "RuleError", "load_packs", "load_rule", "parse_rule"]
