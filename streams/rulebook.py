"""The rules, filters and lists in force in one task, as control records changed them. Shared by detect and regional."""

import json
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import structlog

from rules import FILTER_KEY, Filter, Judge, Lists, Rule, RuleError, parse_filter, parse_rule
from streams import metrics
from streams.stage import ControlRecord
from topics.wire import Refused, decode

log = structlog.get_logger()
T = TypeVar("T", Rule, Filter)


class Rulebook:
    """Rule id -> rule, filter id -> filter, list name -> entries and when they expire. A record that does not parse leaves what
    was in force, is logged and counted."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._filters: dict[str, Filter] = {}
        self._lists: dict[str, dict[str, int | None]] = {}

    @property
    def rules(self) -> list[Rule]:
        """The rules in force, in order of id."""
        return [self._rules[rule_id] for rule_id in sorted(self._rules)]

    @property
    def filters(self) -> list[Filter]:
        """The filters in force, in order of id."""
        return [self._filters[filter_id] for filter_id in sorted(self._filters)]

    @property
    def lists(self) -> Lists:
        """The lists in force."""
        return {name: dict(entries) for name, entries in self._lists.items()}

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
        """Let a judge go by these rules and lists. One that does not compile is left out, as is such a filter."""
        try:
            judge.replace(self.rules, self.lists, self.filters)
        except Exception:  # whatever it is: the culprit is looked for, one rule at a time, then one filter at a time
            for rule in self.rules:
                self._leave_out_if_broken(self._rules, rule.id, scope, [rule], [])
            for one in self.filters:
                about = [rule for rule in self.rules if one.hides(rule.id, rule.sector)]
                self._leave_out_if_broken(self._filters, one.id, scope, about, [one])
            judge.replace(self.rules, self.lists, self.filters)

    def _leave_out_if_broken(
        self,
        held: dict[str, T],
        key: str,
        scope: Literal["subject", "foreign"],
        rules: Sequence[Rule],
        filters: Sequence[Filter],
    ) -> None:
        try:
            Judge(rules, scope=scope, lateness={}, lists=self.lists, filters=filters)
        except Exception:
            metrics.REJECTED.labels("control", "bad-rule").inc()
            log.exception("control.refused", topic="rules", key=key)
            del held[key]

    def _rule(self, record: ControlRecord) -> bool:
        key = record.key.decode()
        if key.startswith(FILTER_KEY):
            return _kept(self._filters, key.removeprefix(FILTER_KEY), record.value, parse_filter)
        return _kept(self._rules, key, record.value, parse_rule)

    def _entry(self, record: ControlRecord) -> bool:
        name, _, entry = record.key.decode().partition("/")
        if record.value is None:
            entries = self._lists.get(name, {})
            known = entry in entries
            entries.pop(entry, None)
            return known
        found = decode(record.value)[1]
        json.loads(found["body"])
        self._lists.setdefault(name, {})[entry] = found["expires_at"]
        return True


def _kept(held: dict[str, T], key: str, value: bytes | None, parse: Callable[[str, str], T]) -> bool:
    """Keep what a record says of a rule or filter, or forget it; whether its meaning is another now."""
    if value is None:
        return held.pop(key, None) is not None
    found = parse(decode(value)[1]["text"], f"rules/{key}")
    if found.id != key:
        raise ValueError(f"{found.id} under another key: a deletion would miss it")
    before = held.get(key)
    held[key] = found
    return before is None or before.version != found.version
