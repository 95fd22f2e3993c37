"""A condition in a file: read, or refused at its place.

>>> from rules.nodes import compose
>>> condition(compose("value > 8", "x.yaml"), {"value": "number"}).canonical
'(> value 8)'
"""

from collections.abc import Mapping

from rules.errors import SqlError
from rules.model import Condition
from rules.nodes import Value
from rules.sql import parse
from rules.tree import Type


def condition(value: Value, types: Mapping[str, Type]) -> Condition:
    """The condition over the named columns. Raises RuleError."""
    text = value.string()
    try:
        return Condition(parse(text, types), text)
    except SqlError as error:
        value.fail(error.message, error.offset)
