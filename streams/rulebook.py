"""The rules and lists in force in one task, as control records changed them. Shared by detect and regional."""

import json
from collections.abc import Sequence

import structlog

from rules import Rule, RuleError, parse_rule
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
            except (Refused, RuleError) as error:
                metrics.REJECTED.labels("control", "bad-rule" if topic == "rules" else "bad-entry").inc()
                log.warning("control.refused", topic=topic, key=record.key.decode(errors="replace"), error=str(error))
        return changed

    def _rule(self, record: ControlRecord) -> bool:
        rule_id = record.key.decode()
        if record.value is None:
            return self._rules.pop(rule_id, None) is not None
        rule = parse_rule(decode(record.value)[1]["text"], f"rules/{rule_id}")
        before = self._rules.get(rule.id)
        self._rules[rule.id] = rule
        return before is None or before.version != rule.version or before.status != rule.status

    def _entry(self, record: ControlRecord) -> bool:
        name, _, entry = record.key.decode().partition("/")
        entries = self._lists.setdefault(name, set())
        if record.value is None:
            entries.discard(entry)
        else:
            json.loads(decode(record.value)[1]["body"])
            entries.add(entry)
        return True
