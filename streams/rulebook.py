"""The rules and lists in force in one task, as control records changed them. Shared by detect and regional."""

import json
from collections.abc import Sequence
from typing import Literal

import structlog

from rules import Judge, Rule, RuleError, parse_rule
from streams import metrics
from streams.stage import ControlRecord
from topics.wire import Refused, decode

log = structlog.get_logger()


class Rulebook:
    """Rule id -> rule, list name -> entries. A record that does not parse leaves what was in force, is logged and counted."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._lists: dict[str, set[str]] = {}

    @property
    def rules(self) -> list[Rule]:
        """The rules in force, in order of id."""
        return [self._rules[rule_id] for rule_id in sorted(self._rules)]

    @property
    def lists(self) -> dict[str, frozenset[str]]:
        """The lists in force."""
        return {name: frozenset(entries) for name, entries in self._lists.items()}

    def obey(self, topic: str, records: Sequence[ControlRecord]) -> bool:
        """Apply records of `rules` or `lists`; True when something changed."""
        changed = False
        for record in records:
            try:
                changed |= self._rule(record) if topic == "rules" else self._entry(record)
            except (Refused, RuleError, ValueError, KeyError) as error:  # keys and values are anybody's bytes
                metrics.REJECTED.labels("control", "bad-rule" if topic == "rules" else "bad-entry").inc()
                log.warning("control.refused", topic=topic, key=record.key.decode(errors="replace"), error=str(error))
        return changed

    def put_in_force(self, judge: Judge, scope: Literal["subject", "foreign"]) -> None:
        """Let a judge go by these rules and lists. A rule that does not compile is left out, and never stops the others."""
        try:
            judge.replace(self.rules, self.lists)
        except Exception:  # whatever it is: the culprit is looked for, one rule at a time
            for rule in self.rules:
                self._leave_out_if_broken(rule, scope)
            judge.replace(self.rules, self.lists)

    def _leave_out_if_broken(self, rule: Rule, scope: Literal["subject", "foreign"]) -> None:
        try:
            Judge([rule], scope=scope, lateness={}, lists=self.lists)
        except Exception:
            metrics.REJECTED.labels("control", "bad-rule").inc()
            log.exception("control.refused", topic="rules", key=rule.id)
            del self._rules[rule.id]

    def _rule(self, record: ControlRecord) -> bool:
        rule_id = record.key.decode()
        if record.value is None:
            return self._rules.pop(rule_id, None) is not None
        rule = parse_rule(decode(record.value)[1]["text"], f"rules/{rule_id}")
        if rule.id != rule_id:
            raise ValueError(f"rule {rule.id} under another key: a deletion would miss it")
        before = self._rules.get(rule.id)
        self._rules[rule.id] = rule
        return before is None or before.version != rule.version or before.status != rule.status

    def _entry(self, record: ControlRecord) -> bool:
        name, _, entry = record.key.decode().partition("/")
        if record.value is not None:
            json.loads(decode(record.value)[1]["body"])
        entries = self._lists.setdefault(name, set())
        (entries.discard if record.value is None else entries.add)(entry)
        return True
