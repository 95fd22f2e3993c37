"""What GA/T 1400 devices are answered: the standard's bodies and codes, with our named reasons in the text."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from connectors.devices.clock import CHINA
from connectors.protocols.gat1400 import response_status
from topics.reasons import REASONS

MEDIA: Final = "application/VIID+JSON"
# ConfirmStatusType of the standard.
OK, UNKNOWN, BUSY, INVALID_OPERATION, INVALID_JSON, INVALID_CONTENT = 0, 1, 2, 4, 7, 8
_NOT_ALLOWED: Final = ("bad-credentials", "bad-source", "no-session", "unknown-device", "no-device")
_CODES = dict.fromkeys(("bad-json", "bad-utf8"), INVALID_JSON) | dict.fromkeys(_NOT_ALLOWED, INVALID_OPERATION)
_CODES |= dict.fromkeys(("parking-full", "processing-failed"), BUSY)
_BY_STATUS: Final = {
    400: INVALID_CONTENT,
    401: INVALID_OPERATION,
    408: BUSY,
    413: INVALID_CONTENT,
    429: BUSY,
    503: BUSY,
}
_HANG_UP: Final = (408, 413)
_AGAIN: Final = {429: "1", 503: "5"}


class Denied(Exception):  # noqa: N818 - what the answer is
    """A request that is not done: HTTP status, named reason, detail; `key`: the device's, where it is known."""

    def __init__(self, status: int, reason: str, detail: str = "", key: str = "", *, stale: bool = False) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.key, self.stale = status, reason, detail, key, stale


@dataclass(frozen=True, slots=True)
class Told:
    """One object's answer: "" and a note, or a named reason."""

    id: str = ""
    reason: str = ""
    note: str = ""

    @property
    def code(self) -> int:
        """StatusCode of the standard."""
        return _CODES.get(self.reason, INVALID_CONTENT) if self.reason else OK


def words(reason: str) -> str:
    """A reason as devices' operators read it: its code, and what it means in Chinese."""
    known = REASONS.get(reason)
    return f"{reason} {known.zh}" if known is not None else reason


def one(url: str, now: dt.datetime, identity: str, text: str = "正常") -> Response:
    """A system interface did what it was asked."""
    return body(200, {"ResponseStatusObject": response_status(url, now, identity, OK, text)})


def many(url: str, now: dt.datetime, told: Sequence[Told]) -> Response:
    """The answer to an upload: a status for each of its objects, in order."""
    found = [
        response_status(url, now, each.id, each.code, words(each.reason) if each.reason else each.note or "正常")
        for each in told
    ]
    return body(200, {"ResponseStatusListObject": {"ResponseStatusObject": found}})


def denied(url: str, now: dt.datetime, why: Denied, challenge: str, *, listed: bool) -> Response:
    """The answer to a request that is not done; with a challenge where proof is missing."""
    code = _CODES.get(why.reason, _BY_STATUS.get(why.status, UNKNOWN))
    status: Any = response_status(url, now, "", code, " ".join(filter(None, (words(why.reason), why.detail))))
    headers = {"WWW-Authenticate": challenge} if why.status == 401 else {}  # noqa: PLR2004
    if why.status in _AGAIN:
        headers["Retry-After"] = _AGAIN[why.status]
    if why.status in _HANG_UP:
        headers["Connection"] = "close"  # the rest of such a body is not worth reading
    content = (
        {"ResponseStatusListObject": {"ResponseStatusObject": [status]}} if listed else {"ResponseStatusObject": status}
    )
    return body(why.status, content, headers)


def system_time(now: dt.datetime, server: str) -> Response:
    """Our clock, for devices that set theirs by it."""
    local = now.astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    told = {"VIIDServerID": server, "TimeMode": "1", "LocalTime": local, "TimeZone": "Asia/Shanghai"}
    return body(200, {"SystemTimeObject": told})


def body(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A response in JSON."""
    return Response(json.dumps(content, ensure_ascii=False), status, headers, MEDIA)
