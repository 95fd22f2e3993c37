"""Personal data stays with the department in charge: what others see of a clue.

>>> masked_name("张小明"), masked_id("person:11010519491231002X")
('张**', 'person:1101**********002X')
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from topics.identifiers import person_check_digit

_SCHEME: Final = "person:"
_SHOWN: Final = 4
_PERSONAL: Final = frozenset(
    {"person", "party_name", "party_id", "complainant", "phone", "officers", "officer_codes", "legal_representative"}
)
_KEPT: Final = frozenset({"clue_id", "origin_id", "origin_version"})
_FREE: Final = frozenset({"title", "explanation", "values", "feedback_text"})
_STRUCTURE: Final = frozenset({"command_id", "verb", "actor", "department", "replied_by", "asked_by"})
# Person ids and mobile numbers, wherever a free text carries them.
_ID: Final = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z])")
_MOBILE: Final = re.compile(r"(?<![0-9A-Za-z.])1[3-9][0-9]{9}(?![0-9A-Za-z])")


def masked_name(name: str) -> str:
    """The first character, the rest as stars."""
    return name[:1] + "*" * max(len(name) - 1, 1)


def masked_id(subject: str) -> str:
    """An id with its middle hidden; a short one hidden whole. A `person:` before it stays."""
    scheme = _SCHEME if subject.startswith(_SCHEME) else ""
    code = subject[len(scheme) :]
    if len(code) <= 2 * _SHOWN:
        return scheme + "*" * len(code)
    return scheme + code[:_SHOWN] + "*" * (len(code) - 2 * _SHOWN) + code[-_SHOWN:]


def mask_person(record: Mapping[str, Any]) -> dict[str, Any]:
    """A clue, warning or state without personal data: no `person`; ids and names of natural persons masked."""
    secrets = _secrets(record)
    masked: dict[str, Any] = {}
    for name, value in record.items():
        if name == "person":
            continue
        text = _values(value) if name == "values" and isinstance(value, str) else value
        masked[name] = text if name in _KEPT else _deep(text, secrets, free=name in _FREE)
    return masked


def _secrets(record: Mapping[str, Any]) -> dict[str, str]:
    """Text to hide -> what stands in its place, the longest first."""
    found: dict[str, str] = {}
    for name in ("subject", "key", "person"):
        value = record.get(name)
        if isinstance(value, str) and (value.startswith(_SCHEME) or name == "person"):
            code = value.removeprefix(_SCHEME)
            found[code] = masked_id(code)
    called = record.get("subject_name")
    if str(record.get("subject", "")).startswith(_SCHEME) and isinstance(called, str):
        found[called] = masked_name(called)
    return {text: found[text] for text in sorted(found, key=len, reverse=True) if text}


def _deep(value: Any, secrets: Mapping[str, str], free: bool) -> Any:
    """Texts within lists and objects (a state's history, assists, evidence) are all free texts."""
    if isinstance(value, str):
        return _numbers(_hidden(value, secrets)) if free else _hidden(value, secrets)
    if isinstance(value, Mapping):
        return {name: _deep(one, secrets, free=name not in _STRUCTURE) for name, one in value.items()}
    return [_deep(one, secrets, free=True) for one in value] if isinstance(value, list | tuple) else value


def _hidden(text: str, secrets: Mapping[str, str]) -> str:
    for secret, stars in secrets.items():
        text = text.replace(secret, stars)
    return text


def _numbers(text: str) -> str:
    """A credit code of digits alone looks like a person id: the check character decides."""

    def hide(match: re.Match[str]) -> str:
        code = match[0].upper()
        return masked_id(code) if person_check_digit(code[:17]) == code[17] else match[0]

    return _MOBILE.sub(lambda match: masked_id(match[0]), _ID.sub(hide, text))


def _values(values: str) -> str:
    """The values without personal columns; nothing at all where they do not parse."""
    try:
        columns = msgspec.json.decode(values.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "{}"
    if columns.keys().isdisjoint(_PERSONAL):
        return values
    return msgspec.json.encode({name: value for name, value in columns.items() if name not in _PERSONAL}).decode()
