"""The JSON Schemas for editors: what the loader takes they take, and plain slips they show."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from fengsui.publishing import PACKS
from rules.schema import filter_schema, rule_schema
from tests.unit.rules.test_derived import LAW, SCORE
from tests.unit.rules.test_filters import exception
from tests.unit.rules.test_load import GOOD


class Plain(yaml.SafeLoader):
    """YAML as editors read it (1.2): a date is a text, and so is `on`."""


BOOL = "tag:yaml.org,2002:bool"
Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in (BOOL, "tag:yaml.org,2002:timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Plain.add_implicit_resolver(BOOL, re.compile("^(?:true|false)$"), list("tf"))


def errors(text: str, schema: dict[str, Any]) -> list[str]:
    """What an editor would underline."""
    checker = jsonschema.Draft202012Validator(schema)
    return [error.message for error in checker.iter_errors(yaml.load(text, Plain))]  # noqa: S506 - a safe loader's subclass


def test_schemas_are_schemas() -> None:
    """By their own meta-schema."""
    for schema in (rule_schema(), filter_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", sorted(PACKS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_rule_of_the_packs_is_taken(path: Any) -> None:
    """Whatever the loader takes."""
    assert errors(path.read_text("utf-8"), rule_schema()) == []


def test_rare_keys_are_taken() -> None:
    """Tables, score, suppression, sequences, absence, lists that expire; filters."""
    more = f"tables:{LAW}score:{SCORE}suppress: [{{when: \"flag = 'M'\", why: x}}]\n"
    more += "absence: {within: 15m, grace: 1h, of: 'value > 1'}\n"
    lists = GOOD.replace(
        "  - name: warm", '  - lists: {black: {"site:1": 2026-02-01}, white: ["site:2"]}\n    until: 1h\n    name: warm'
    )
    sequence = 'sequence: {steps: ["value > 1", "value > 2"], within: 1h, by: device_id}\n'
    assert errors(lists + more + sequence, rule_schema()) == []
    assert errors(exception(where='"value > 1"', **{"from": "2026-06-01"}).text, filter_schema()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title:", "titel:"),
        ("status: live", "status: on"),
        ("sector: food-drug", "sector: food-drugs"),
        ("on: iot", "on: iots"),
        ("agg: avg", "agg: mean"),
        ("of: value", "of: valu"),
        ("within: 10m", "within: ten minutes"),
        ("orange:", "organe:"),
        ("quiet: 2h", "quite: 2h"),
        ("severity: orange}", "severity: pink}"),
        ("department: market-supervision", "department: market"),
        ("when: ", "whne: "),
    ],
)
def test_slips_are_shown(old: str, new: str) -> None:
    """As the loader refuses them."""
    assert old in GOOD
    assert errors(GOOD.replace(old, new, 1), rule_schema())
