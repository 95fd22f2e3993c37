"""Commands: what somebody asks to be done to a clue, checked before anything is decided.

>>> parse_command(b'{"command_id": "c1"}')
Traceback (most recent call last):
topics.wire.Refused: bad-command: clue_id: missing
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from topics.codes import DEPARTMENTS, FEEDBACKS, SECTORS, SEVERITIES
from topics.wire import Refused, decode

_Text = Annotated[str, msgspec.Meta(max_length=4000)]
_Must = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Ms = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_SHORT: Final = 200
_FIELDS: Final = ("command_id", "clue_id", "verb", "actor", "department", "arguments")


class Command(msgspec.Struct, frozen=True):
    """One command; `arguments` are still to be read by `arguments_of`."""

    command_id: str
    clue_id: str
    verb: str
    actor: str
    department: str
    issued_at: int
    arguments: str


class Raise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clue that a person raises by hand."""

    title: _Must
    sector: _Code
    severity: _Code
    department: _Code
    subject: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+:[^\s:]\S{0,127}$")]
    explanation: _Must
    subject_name: Annotated[str, msgspec.Meta(max_length=_SHORT)] | None = None
    region: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")] | None = None
    occurred_at: _Ms | None = None
    evidence: Annotated[list[Any], msgspec.Meta(max_length=100)] = []
    values: dict[str, Any] = {}


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """认领."""

    note: _Text = ""


class Return(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """退回: outside the department's duties, with the reason and the department it should go to."""

    reason: _Must
    suggested: _Code


class Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """转办 to another department; 指定办理 when the coordinator does it."""

    to: _Code
    reason: _Must


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """协查: another department is asked to answer; `copies` are told without a duty to answer (抄告)."""

    to: Annotated[list[_Code], msgspec.Meta(max_length=14)] = []
    text: _Text = ""
    by: _Ms | None = None
    copies: Annotated[list[_Code], msgspec.Meta(max_length=14)] = []
    reply: _Text = ""


class Handle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """处置: measures taken; `extend` asks for the one extension of the feedback limit."""

    note: _Must
    extend: bool = False


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """反馈: what was found."""

    verdict: _Code
    text: _Must
    evidence: Annotated[list[Any], msgspec.Meta(max_length=100)] = []


class Close(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """办结."""

    note: _Text = ""


Arguments = Raise | Claim | Return | Transfer | Ask | Handle | Feedback | Close
VERBS: Final[Mapping[str, type[Arguments]]] = {
    "raise": Raise,
    "claim": Claim,
    "return": Return,
    "transfer": Transfer,
    "assist": Ask,
    "handle": Handle,
    "feedback": Feedback,
    "close": Close,
}


def parse_command(value: bytes | Mapping[str, Any]) -> Command:
    """A command from its bytes (wire format) or its record. Raises Refused: bad-command, or what decoding names.

    Its arguments are only seen to be an object: a wrong one is answered through the clue log (see `arguments_of`).
    """
    record = value if isinstance(value, Mapping) else _record(value)
    for name in _FIELDS:
        given = record.get(name)
        if not isinstance(given, str):
            raise Refused("bad-command", f"{name}: missing")
        if not given.strip() or (name != "arguments" and len(given) > _SHORT):
            raise Refused("bad-command", f"{name}: empty or too long")
    if record["verb"] not in VERBS:
        raise Refused("bad-command", f"verb: {record['verb']}")
    issued = record.get("issued_at")
    if not isinstance(issued, int) or isinstance(issued, bool):
        raise Refused("bad-command", "issued_at: missing")
    if not record["arguments"].lstrip().startswith("{"):
        raise Refused("bad-command", "arguments: not a JSON object")
    return Command(issued_at=issued, **{name: record[name] for name in _FIELDS})


def _record(value: bytes) -> Mapping[str, Any]:
    if value.lstrip()[:1] == b"{":
        try:
            return msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("bad-command", str(error)[:_SHORT]) from error
    name, record = decode(value)
    if name != "Command":
        raise Refused("bad-command", f"a {name} record")
    return record


def arguments_of(command: Command) -> Arguments:
    """The arguments of a verb. Raises Refused: bad-command, unknown-department, unknown-sector, bad-subject."""
    try:
        given = msgspec.json.decode(command.arguments.encode(), type=VERBS[command.verb])
    except msgspec.ValidationError as error:
        raise Refused("bad-subject" if "$.subject`" in str(error) else "bad-command", str(error)[:_SHORT]) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused("bad-command", str(error)[:_SHORT]) from error
    for department in (command.department, *_named(given)):
        if department not in DEPARTMENTS:
            raise Refused("unknown-department", department)
    _check(given)
    return given


def _named(given: Arguments) -> list[str]:
    """The departments that arguments name."""
    match given:
        case Raise(department=department):
            return [department]
        case Return(suggested=department) | Transfer(to=department):
            return [department]
        case Ask(to=to, copies=copies):
            return [*to, *copies]
        case _:
            return []


def _check(given: Arguments) -> None:
    match given:
        case Raise(sector=sector) if sector not in SECTORS:
            raise Refused("unknown-sector", sector)
        case Raise(severity=severity) if severity not in SEVERITIES:
            raise Refused("bad-command", f"severity: {severity}")
        case Feedback(verdict=verdict) if verdict not in FEEDBACKS:
            raise Refused("bad-command", f"verdict: {verdict}")
        case Ask(to=to, copies=copies, text=text, reply=reply):
            if bool(reply) == bool(to or copies):
                raise Refused("bad-command", "assist: either departments (to, copies) or a reply")
            if to and not text:
                raise Refused("bad-command", "text: missing")
        case _:
            pass
